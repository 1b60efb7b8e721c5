"""Build a destination's documentation page from its definition: Markdown, samples, preview."""

from destinations.lazy import names_of_stub

# A page is rendered in a separate process, which must load only what it needs.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
# Constants, then classes, then functions.
__all__.sort(key=lambda name: (not name.isupper(), not name[:1].isupper()))
