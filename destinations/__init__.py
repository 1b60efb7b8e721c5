"""Segment-Actions-style destinations in Python: definitions as data, one generic runtime.

An event's way: subscription (FQL), mapping (directives), empty values out, coercion and JSON
Schema, payload, request, transport, response rules, outcome, ledger.
"""

import sys

# pip refuses an older Python by itself; a checkout can be started with any.
if sys.version_info < (3, 11):  # noqa: UP036 - as said above
    sys.exit(
        "destinations needs Python 3.11 or newer, but this is Python {}.{}; "
        "start it with a newer one, such as python3.11".format(*sys.version_info[:2])
    )

from destinations.lazy import names_of_stub

# The public names are listed in __init__.pyi, for type checkers and for this. They are loaded when
# they are first used: the command line must not wait for what a command does not need.
__getattr__, __dir__, __all__ = names_of_stub(__name__, __file__)
