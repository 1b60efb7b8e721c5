"""Test destinations with recorded cases, simulated faults, and tests to inherit."""

from destinations.lazy import names_of_stub

# pytest always loads the plugin in this package, so nothing else may be loaded with it.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
