"""Definitions as data: YAML folders, their checks, and the typed model."""

from destinations.lazy import names_of_stub

# Loaded lazily: a page is rendered in a new process, which must not load the checks.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
