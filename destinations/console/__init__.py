"""Serve operators over HTTP: the JSON API and the pages of the console."""

__all__: list[str] = []
