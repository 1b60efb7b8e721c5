"""Say why a verb refuses."""

from __future__ import annotations

from destinations.errors import UsageError

__all__ = ["StaleDecisionError", "UnknownError"]


class UnknownError(UsageError):
    """There is nothing of this id or name; ``what`` is the filter that named it, if one did."""

    def __init__(self, message: str, what: str = "") -> None:
        self.what = what
        super().__init__(message)


class StaleDecisionError(UsageError):
    """The delivery is not as the operator saw it, or cannot be decided on like that any more."""
