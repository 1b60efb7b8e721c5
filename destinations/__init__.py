"""Segment-Actions-style destinations in Python: definitions as data, one generic runtime.

An event's way: subscription (FQL), mapping (directives), empty values out, coercion and JSON
Schema, payload, request, transport, response rules, outcome, ledger.
"""

from destinations.lazy import names_of_stub

# The public names are listed in __init__.pyi, for type checkers and for this. They are loaded when
# they are first used: the command line must not wait for what a command does not need.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
