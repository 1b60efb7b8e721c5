"""Definitions as data: YAML folders, their checks, and the typed model."""

from destinations.lazy import names_of_stub

# Who only writes YAML must not load what checks definitions: a page is rendered in a new process.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
