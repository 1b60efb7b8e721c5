"""The pages of the site, which `destinations help` shows too: data, no code."""

__all__: list[str] = []
