"""Known balances are counted on, and forgotten by user, by key, and where there are too many."""

from __future__ import annotations

import pytest

from destinations.pipeline import balances as module
from destinations.pipeline.balances import KnownBalances
from destinations.pipeline.queue import Balance, Increment, QueuedDelivery, QueuedEvent


def _delivery(key: str | None, amount: int = 1) -> QueuedDelivery:
    increment = None if key is None else Increment(key, amount)
    return QueuedDelivery(QueuedEvent("m", "track", "u", 0.0), None, increment=increment)


def test_counting_on() -> None:
    """What was applied is added to what was asked for; of anything else nothing is known."""
    known = KnownBalances()
    known.note("a", Balance("u", 5, "p", 9.0, 3.0))
    for delivery in (_delivery("a", 2), _delivery("b", 2), _delivery(None)):
        known.add(delivery)
    assert known.get("a") == Balance("u", 7, "p", 9.0, 3.0)
    assert known.of([_delivery("a"), _delivery("b"), _delivery(None)]) == {"a": known.get("a")}


def test_forgetting_a_user() -> None:
    """Those of the user are forgotten, whoever they belonged to before."""
    known = KnownBalances()
    for key, user in (("a", "u"), ("b", "u"), ("c", "v"), ("b", "v"), ("d", "u"), ("d", "u")):
        known.note(key, Balance(user, 1))
    known.note("c", None)
    known.note("unknown", None)
    known.forget_user("u")
    known.forget_user("nobody")
    assert [key for key in "abcd" if known.get(key) is not None] == ["b"]


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked for longest ago is forgotten."""
    monkeypatch.setattr(module, "_MOST", 2)
    known = KnownBalances()
    for key in "aba":
        known.note(key, Balance("u", 1))
    known.note("c", Balance("u", 1))
    assert [key for key in "abc" if known.get(key) is not None] == ["a", "c"]
