"""Serve operators over HTTP: the JSON API and the pages of the console."""

from destinations.lazy import names_of_stub

__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
