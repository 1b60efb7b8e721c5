"""HTTP in: events are taken from Segment and others, kept, and delivered for as long as it runs."""

from destinations.lazy import names_of_stub

# The names are listed in __init__.pyi; a command loads only the modules that it needs.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
