"""The small numbers that the tables have in place of words."""

from __future__ import annotations

from typing import Final

from destinations.outcome import Effect, Outcome, State, Status

__all__ = ["EFFECTS", "EFFECT_CODES", "STATUSES", "STATUS_CODES", "TYPES", "TYPE_CODES"]

STATUS_CODES: Final[dict[Status, int]] = {
    Outcome.DELIVERED: 0,
    Outcome.FILTERED: 1,
    Outcome.DROPPED: 2,
    Outcome.UNMAPPED: 3,
    Outcome.INVALID: 4,
    Outcome.REJECTED: 5,
    Outcome.DEAD: 6,
    State.HELD: 7,
    State.READY: 8,
    State.UNKNOWN: 9,
}
"""Below 3: in the ledger; below 8: kept until an operator acts; the others wait.

``sending`` is what waits and has an intent.
"""

STATUSES: Final = {code: status for status, code in STATUS_CODES.items()}

EFFECT_CODES: Final = {Effect.NONE: 0, Effect.MAYBE: 1, Effect.APPLIED: 2}
EFFECTS: Final = {code: effect for effect, code in EFFECT_CODES.items()}

TYPE_CODES: Final = {
    "": 0, "identify": 1, "track": 2, "page": 3, "screen": 4, "group": 5, "alias": 6,
    "delete": 7,
}  # fmt: skip
"""The types of events; empty for an entry that is not an event."""

TYPES: Final = {code: name for name, code in TYPE_CODES.items()}
