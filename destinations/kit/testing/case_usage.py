"""Ask the partner of a case what it has counted, and compare that, and what is kept of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from destinations.clock import WallClock
from destinations.definition import UsageQuestion
from destinations.http.transport import Transport
from destinations.kit.testing.case import ABSENT, AskedUsage, ExpectedUsage
from destinations.kit.testing.difference import Difference
from destinations.runtime.amounts import Usage, amount_text, read_amount
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.runtime.usage_questions import Counted, UsageAsker, iso_time

__all__ = [
    "answered",
    "ask_usage",
    "asked_differences",
    "differing",
    "kept_differences",
    "kept_usage",
    "milliseconds",
]

_KEYS: Final = ("user", "feature", "amount", "at")


def milliseconds(text: str) -> int:
    """Return the text of an ISO time in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def ask_usage(
    destination: Destination, transport: Transport, clock: WallClock, asked: Sequence[AskedUsage]
) -> list[Counted]:
    """Return what the partner has counted, as `destinations usage reconcile` asks for it.

    Questions of one form share their look-ups.
    """
    sender = Sender(destination, transport, clock=clock)
    askers: list[tuple[UsageQuestion, UsageAsker]] = []
    found = []
    for one in asked:
        usage = destination.definition.actions[one.action].usage
        assert usage is not None  # noqa: S101 - a case without it is not read
        asker = next((each for question, each in askers if question == usage.ask), None)
        if asker is None:
            asker = UsageAsker(destination, sender, usage.ask)
            askers.append((usage.ask, asker))
        start, end = milliseconds(one.start), milliseconds(one.end)
        found.append(asker.ask(one.user, one.feature, start, end))
    return found


def answered(asked: AskedUsage, counted: Counted) -> AskedUsage:
    """Return a question with what came of it; what the case says stays if it still holds."""
    if not list(asked_differences(0, asked, counted)):
        return asked
    if counted.amount is None:
        return replace(asked, shown=ABSENT, error=counted.error)
    return replace(asked, shown=amount_text(counted.amount), error=None)


def asked_differences(number: int, expected: AskedUsage, got: Counted) -> Iterator[Difference]:
    """Yield how the answer to a question differs; questions are counted from 1."""
    place = f"usage {number}, {expected.feature} of {expected.user} "
    shown = f"{amount_text(got.amount)} shown" if got.amount is not None else got.error
    if expected.error is not None:
        if got.amount is not None or expected.error not in got.error:
            yield Difference(place + "error", expected.error, shown)
    elif got.amount is None:
        yield Difference(place + "shown", _amount(expected.shown), f"an error: {got.error}")
    elif read_amount(expected.shown) != got.amount:
        yield Difference(place + "shown", _amount(expected.shown), amount_text(got.amount))


def kept_usage(usage: Usage) -> ExpectedUsage:
    """Return what a case expects if this is to be kept of an event."""
    return ExpectedUsage(usage.user, usage.feature, usage.amount, iso_time(usage.at))


def kept_differences(
    place: str, expected: ExpectedUsage, got: Usage | None
) -> Iterator[Difference]:
    """Yield how what is kept of an event differs; the place ends with a space."""
    if got is None:
        given = {key: getattr(expected, key) for key in _KEYS}
        wanted = {key: value for key, value in given.items() if value is not ABSENT}
        yield Difference(place + "usage", wanted, ABSENT)
        return
    kept = kept_usage(got)
    for key in differing(expected, kept):
        yield Difference(f"{place}usage {key}", getattr(expected, key), getattr(kept, key))


def differing(expected: ExpectedUsage, kept: ExpectedUsage) -> Sequence[str]:
    """Return the keys of what is expected that have another value in what is kept."""
    return [key for key in _KEYS if not _is_same(key, getattr(expected, key), getattr(kept, key))]


def _is_same(key: str, expected: Any, kept: Any) -> bool:
    if expected is ABSENT:
        return True
    if key == "at":
        return milliseconds(expected) == milliseconds(kept)
    return bool(_amount(expected) == kept if key == "amount" else expected == kept)


def _amount(value: Any) -> str | None:
    """Return an amount of a case in one form; None for none."""
    return None if value is None else amount_text(value)
