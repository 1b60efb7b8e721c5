"""Open a destination by its name or folder, with settings and a store, and deliver events to it.

Programs begin here, and so do commands.
"""

from destinations.lazy import names_of_stub

# Loaded when they are used: many commands need a definition, and no transport.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
