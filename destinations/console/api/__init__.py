"""The JSON API: routing, checks of input and the OpenAPI document are made of one table."""

__all__: list[str] = []
