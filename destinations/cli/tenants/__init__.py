"""The sub-commands of ``destinations tenants``."""

__all__: list[str] = []
