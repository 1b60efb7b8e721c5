"""Cursors: where the next page of a list begins, in a text that callers only hand back."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
from collections.abc import Sequence
from typing import Final

from destinations.errors import UsageError

__all__ = ["CursorError", "make_cursor", "read_cursor"]

_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 200


class CursorError(UsageError):
    """The cursor is not one of this list."""


def make_cursor(after: int, of: Sequence[object]) -> str:
    """Return the cursor of what follows an id in the list that ``of`` describes."""
    text = json.dumps([after, _digest(of)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, of: Sequence[object]) -> int | None:
    """Return the id in a cursor; raises `CursorError` for one that is not of this list."""
    if cursor is None:
        return None
    read = None
    with contextlib.suppress(ValueError, RecursionError, binascii.Error):
        padded = cursor[:_LONGEST] + "=" * (-len(cursor) % 4)
        read = json.loads(base64.b64decode(padded, b"-_", validate=True))
    match read:
        case [int(after), str(digest)] if 0 <= after <= _LARGEST and digest == _digest(of):
            return after
    msg = "invalid cursor: expected next of a page of the same list, with the same conditions"
    raise CursorError(msg)


def _digest(of: Sequence[object]) -> str:
    return hashlib.blake2b(
        repr(list(of)).encode("utf-8", "surrogatepass"), digest_size=6
    ).hexdigest()
