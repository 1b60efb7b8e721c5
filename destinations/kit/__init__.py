"""What authors of destinations use: cases, the partner's page, the linter, importing, starting."""

__all__: list[str] = []
