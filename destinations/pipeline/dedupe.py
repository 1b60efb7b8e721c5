"""Recognise an event that comes again, and tell it from another one with the same messageId.

What a message is recognised by is its messageId, within one account. Its fingerprint is a digest of
its content, except for what a sender sets each time it sends.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.places import Place
from destinations.pipeline.queue import History, Past
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = [
    "CONFLICT",
    "Verdict",
    "conflict",
    "content",
    "counted",
    "fingerprint",
    "fingerprints",
    "recognise",
]

CONFLICT: Final = "CONFLICT"
"""The code of an event that comes under another's messageId."""

_OF_THE_SENDING: Final = ("sentAt", "receivedAt", "writeKey")

_encode: Final = msgspec.json.Encoder(order="sorted").encode

_blake: Final = hashlib.blake2b

_find_whole: Final = re.compile(rb"[.]0[],}]").search
"""Finds what may be a float that is a whole number, or the end of a string that looks like it."""

_TEXT_OR_WHOLE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|-0[.]0(?=[],}])|[.]0(?=[],}])')


class Verdict(Enum):
    """The verdict on an event, given earlier events with its messageId."""

    NEW = "new"
    """It was not known."""
    SAME = "same"
    """The latest event that had it, again."""
    REPLACED = "replaced"
    """An event that a later one has replaced, again."""
    CORRECTION = "correction"
    """Another content, and nothing of the one before was applied."""
    CONFLICT = "conflict"
    """Another content, while the one before has, or may yet have, an effect."""
    REFUSED = "refused"
    """Another content, refused as a conflict before, and still one."""


def fingerprint(event: Mapping[str, Any]) -> int:
    """Return a digest (48 bits, never 0) of an event's content.

    The order of keys makes no difference, nor do ``sentAt``, ``receivedAt`` and ``writeKey``; and
    5, 5.0 and 5e0 are one number, as they are in JSON (below 1e16, from where on a float keeps
    its exponent).
    """
    return fingerprints(event)[0]


def fingerprints(event: Mapping[str, Any]) -> tuple[int, int]:
    """Return the `fingerprint` of an event, and the one that it had in earlier versions.

    For them 5 and 5.0 were two values. It is 0 where it is the same.
    """
    encoded = _encode(content(event))
    if _find_whole(encoded) is None:
        return _digest(encoded), 0
    whole = _TEXT_OR_WHOLE.sub(_as_whole, encoded)
    return _digest(whole), 0 if whole == encoded else _digest(encoded)


def _as_whole(found: re.Match[bytes]) -> bytes:
    """Return a string as it is, and nothing for the fraction of a whole number."""
    text = found.group()
    if text.startswith(b'"'):
        return text
    return b"0" if text.startswith(b"-") else b""


def _digest(encoded: bytes) -> int:
    return int.from_bytes(_blake(encoded, digest_size=6).digest()) or 1


def content(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event without what a sender sets each time it sends it."""
    kept = dict(event)
    for key in _OF_THE_SENDING:
        kept.pop(key, None)
    return kept


def recognise(history: History | None, found: int, former: int = 0) -> Verdict:
    """Tell what an event with the fingerprint ``found`` is; a fingerprint of 0 equals any.

    ``former`` is the one that it had in earlier versions, if that is another one.
    """
    if history is None:
        return Verdict.NEW
    if former and found != history.fingerprint and found not in history.others:
        is_of_before = former == history.fingerprint or former in history.others
        found = former if is_of_before else found
    if found == history.fingerprint or not history.fingerprint or not found:
        return Verdict.SAME
    if history.others.get(found) is False:
        return Verdict.REPLACED
    # Without a delivery, all that is known is that there was such an event.
    if history.deliveries and all(
        past.state is State.DONE and past.effect is Effect.NONE
        for past in history.deliveries.values()
    ):
        return Verdict.CORRECTION
    return Verdict.REFUSED if found in history.others else Verdict.CONFLICT


def counted(deliveries: Mapping[SubscriptionKey | None, Past], action: str) -> Past | None:
    """Return the delivery of an event that counts for an action, whatever its subscription was.

    One that has an effect, or may have or get one, comes before those that have none. None if no
    subscription of the action took the event.
    """
    order = (Effect.APPLIED, Effect.MAYBE, Effect.NONE)
    found = [
        past
        for key, past in deliveries.items()
        if key is not None and key.action == action and not _is_filtered(past)
    ]
    return min(
        found,
        key=lambda past: (order.index(past.effect), past.state is State.DONE),
        default=None,
    )


def _is_filtered(past: Past) -> bool:
    return past.outcome is Outcome.FILTERED and past.effect is Effect.NONE


_WAITS: Final = (State.READY, Effect.NONE)


def _in_the_way(history: History) -> Past | None:
    """Return the delivery that has, or may have, an effect; one that has it before all others."""
    order = (Effect.APPLIED, Effect.MAYBE, Effect.NONE)
    found = [
        one
        for one in history.deliveries.values()
        if one.effect is not Effect.NONE or one.state is not State.DONE
    ]
    return min(found, key=lambda one: order.index(one.effect), default=None)


def conflict(
    history: History,
    place: Place | None = None,
    deletion_after: Callable[[int], int | None] | None = None,
) -> Result:
    """Return the result of an event that comes under another's messageId.

    It names the delivery that is in the way, as an operator knows it, and the ``place`` that it was
    read at in the same input. ``deletion_after`` returns the deletion of the user after a delivery.
    """
    other = _in_the_way(history)
    if other is not None and other.id:
        name = f"delivery {other.id}" + ("" if place is None else f" ({place})")
    elif place is not None:
        name = f"the event of {place}"
    else:  # a queue in memory keeps no ids of what is finished
        name = "another event"
    has = "may have an effect"
    if other is not None and other.effect is Effect.APPLIED:
        has = "has an effect"
    elif other is not None and other.id and (other.state, other.effect) == _WAITS:
        has = "waits to be sent; drop it first if that content is wrong"
    deletion = None
    if deletion_after is not None and other is not None and other.id:
        deletion = deletion_after(other.id)
    if deletion is not None:
        has = (
            f"the partner was asked to delete its user after it (delivery {deletion}); if the user "
            "is back, send the event under another messageId"
        )
    reason = f"{name} has the same messageId and different content, and {has}"
    return Result(Outcome.REJECTED, reason, CONFLICT, 409)
