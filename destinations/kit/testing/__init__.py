"""The kit for authors of destinations: recorded cases, made faults, and tests to inherit."""

from destinations.lazy import names_of_stub

# pytest loads the plugin in this package whenever it starts: nothing else may be loaded with it.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
