"""Tools for authors of destinations: cases, the partner's page, the linter, import, init."""

__all__: list[str] = []
