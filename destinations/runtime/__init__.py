"""Turn one event into one result, without threads and disk: destinations, actions, plugins."""

__all__: list[str] = []
