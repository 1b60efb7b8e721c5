"""Pages of the reference, which `destinations help` shows too: data, no code."""

__all__: list[str] = []
