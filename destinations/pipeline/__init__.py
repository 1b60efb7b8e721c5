"""The way of deliveries: planned, queued, sent, and settled, for one event and for many."""

__all__: list[str] = []
