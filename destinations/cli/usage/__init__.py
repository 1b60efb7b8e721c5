"""The commands of ``destinations usage``."""

__all__: list[str] = []
