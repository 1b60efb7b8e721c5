"""The Kana destination: what its definition cannot say as data, and its sandbox server.

Public are the functions for what ``destinations kana`` does: rules, unmapped events, flagged users
and merges.
"""

from destinations.lazy import names_of_stub

# The names are listed in __init__.pyi, and loaded when they are used: the sandbox needs none.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
