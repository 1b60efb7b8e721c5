"""A stand-in for a partner on this machine, made from its definition or by a plugin."""

from destinations.lazy import names_of_stub

# Loaded when they are used: the sandbox of a plugin may need only the server.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
