"""The kit for authors of destinations: recorded cases, made faults, and tests to inherit."""

import lazy_loader

# pytest loads the plugin in this package whenever it starts: nothing else may be loaded with it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
