"""One event to one result, without threads and without a disk: destinations, actions, plugins."""

__all__: list[str] = []
