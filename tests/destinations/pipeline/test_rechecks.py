"""When a balance is looked at again, what it should be then, and what is a surprise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.pipeline.queue import (
    Balance,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Recheck,
    Scope,
)
from destinations.pipeline.rechecks import AGAIN, RECHECKED_AFTER, Rechecks
from destinations.pipeline.reconcile import LossOptions, longest_wait
from destinations.runtime.subscription_key import SubscriptionKey

ONE, TWO = Scope(1, "one"), Scope(2, "two")


def _delivery(amount: int, number: int = 1, key: str = "k") -> QueuedDelivery:
    event = QueuedEvent(f"m{number}", "track", "u", 0.0)
    subscription = SubscriptionKey("Counts", "count")
    increment = Increment(key, amount)
    return QueuedDelivery(event, subscription, payload=b"{}", increment=increment, id=number)


def _shown(amount: int, period: str | None = None) -> Balance:
    return Balance("u", amount, period)


def _begun(amount: int = 10) -> Rechecks:
    """Return what is known after one delivery that adds 5 was sent a second time, at 100."""
    found = Rechecks()
    found.begin(ONE, "k", _shown(amount), [_delivery(5)])
    found.ended(_delivery(5), 100.0, applied=True)
    return found


def test_the_times() -> None:
    """They are counted from the second request; before it nothing is due."""
    found = Rechecks()
    found.begin(ONE, "k", _shown(10), [_delivery(5)])
    assert found.next_time(ONE) is None
    found.ended(_delivery(9, 2), 50.0, applied=True)  # another one of the user
    assert found.next_time(ONE) is None
    found.ended(_delivery(5), 100.0, applied=True)
    assert [found.next_time(ONE), found.next_time(TWO)] == [100.0 + RECHECKED_AFTER[0], None]
    assert found.take_due(ONE, 699.0, 10) == {}
    assert found.take_due(TWO, 700.0, 10) == {}
    assert list(found.take_due(ONE, 700.0, 10)) == ["k"]
    assert found.next_time(ONE) is None  # as long as it is looked at
    found.put_off("k", 700.0)
    assert found.next_time(ONE) == 700.0 + AGAIN
    assert found.looked("k", _shown(24), 701.0) is None
    assert found.next_time(ONE) == 100.0 + RECHECKED_AFTER[1]
    assert found.looked("k", _shown(24), 4_000.0) is None
    assert (found.next_time(ONE), bool(found)) == (None, False)
    assert found.changes == {(ONE, "k"): None}


@pytest.mark.parametrize(
    ("happens", "shown", "expected"),
    [
        (lambda _: None, _shown(15), None),
        (lambda _: None, _shown(20), 15),
        (lambda _: None, _shown(10), 15),
        (lambda _: None, None, None),
        (lambda it: it.ended(_delivery(7, 2), 200.0, applied=True), _shown(22), None),
        (lambda it: it.ended(_delivery(7, 2), 200.0, applied=True), _shown(27), 22),
        (lambda it: it.ended(_delivery(7, 2), 200.0, applied=False), _shown(22), 15),
        (lambda it: it.ended(_delivery(7, 2, "other"), 200.0, applied=True), _shown(22), 15),
        (lambda it: it.rebase("k", 40), _shown(40), None),
        (lambda it: it.rebase("k", 40), _shown(15), 40),
        # Not known any more, or of another period: nothing can be told.
        (lambda it: it.rebase("k", None), _shown(99), None),
        (lambda it: it.forget_user("u"), _shown(99), None),
        (lambda it: it.forget_user("v"), _shown(99), 15),
        (lambda it: it.rebase("k", 15, "may"), _shown(3, "june"), None),
        (lambda it: it.rebase("k", 15, "may"), _shown(3, "may"), 15),
        # Something that adds to it is under way.
        (lambda it: it.sends([_delivery(7, 2)]), _shown(22), None),
    ],
)
def test_what_is_a_surprise(
    happens: Callable[[Rechecks], None], shown: Balance | None, expected: int | None
) -> None:
    """Another amount than what was shown before the second request, and was added since."""
    found = _begun()
    happens(found)
    surprise = found.looked("k", shown, 700.0)
    assert (None if surprise is None else surprise.amount) == expected
    if surprise is not None:
        assert surprise.deliveries == (1,)
        assert found.looked("k", shown, 701.0) is None  # told once


def test_what_is_sent_while_it_is_looked_at() -> None:
    """It may be in what is shown, or not: so that tells nothing."""
    found = _begun()
    other = [_delivery(7, 2)]
    found.sends(other)
    assert found.take_due(ONE, 700.0, 10) == {}
    found.sent(other)
    assert list(found.take_due(ONE, 700.0 + AGAIN, 10)) == ["k"]
    assert found.is_untouched("k")
    found.sends(other)
    found.sent(other)
    assert not found.is_untouched("k")


def test_what_is_known_again() -> None:
    """What an earlier process left goes on as it was."""
    written = _begun().changes[ONE, "k"]
    assert written == Recheck("u", "count", b"{}", 15, None, (700.0, 3_700.0), (1,))
    found = Rechecks()
    found.load(TWO, {"k": written})
    assert list(found.take_due(TWO, 700.0, 10)) == ["k"]
    assert found.looked("k", _shown(20), 700.0) is written


def test_longest_wait(bind: Any) -> None:
    """The definition says how long it is waited for, unless whoever delivers does."""
    definition = bind().definition
    assert longest_wait(definition, LossOptions()) == 0.0
    assert longest_wait(definition, LossOptions(5.0)) == 5.0
