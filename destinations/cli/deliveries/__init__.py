"""The sub-commands of ``destinations deliveries``."""

__all__: list[str] = []
