from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.pipeline.reading import Entry
from destinations.pipeline.run import Run

X = "x@example.com"
SEED = {
    "users": [
        {"id": "1", "name": "One", "metadata": {"kept": True}},
        {"id": X, "email": X, "billingId": "cus_1"},
    ],
    "features": [
        {"id": feature, "name": feature, "type": "CONSUMABLE"}
        for feature in ("calls", "seats", "gb")
    ],
    "usage": [
        {"userId": "1", "featureId": "calls", "used": 5},
        {"userId": "1", "featureId": "seats", "used": 2},
        {"userId": X, "featureId": "calls", "used": 7},
        {"userId": X, "featureId": "gb", "used": 1},
    ],
}
EVENT = json.dumps(
    {"type": "identify", "userId": "1", "messageId": "m", "traits": {"email": X, "name": "N"}}
).encode()
STEPS = 15


class KilledError(BaseException):
    """The process ends here."""


class Mortal:
    """A transport that ends the process at one request, before or after it reached Kana."""

    def __init__(self, inner: HttpTransport, dies_at: int, *, reached: bool) -> None:
        self._inner = inner
        self._left = dies_at
        self._reached = reached

    def send(self, request: HttpRequest) -> HttpResponse:
        self._left -= 1
        if self._left >= 0:
            return self._inner.send(request)
        if self._reached:
            self._inner.send(request)
        raise KilledError

    def close(self) -> None:
        self._inner.close()


def _run(kana: Any, dies_at: int, *, reached: bool) -> bool:
    """Whether the run survived."""
    inner = HttpTransport(kana.definition.transport.timeouts)
    mortal = Mortal(inner, dies_at, reached=reached)
    try:
        Run(kana.bind(), mortal, clock=kana.clock, inline=True).execute([Entry(1, EVENT)])
    except KilledError:
        return False
    finally:
        mortal.close()
    return True


def _check(kana: Any) -> None:
    users, usage = kana.users, kana.usage
    assert set(users) == {"1", "1~left-over"}
    one = users["1"]
    assert (one["name"], one["email"], one["billingId"]) == ("N", X, "cus_1")
    assert users["1~left-over"]["metadata"]["kept"] is True
    assert usage["1"] == {"calls": 12, "seats": 2, "gb": 1}


@pytest.mark.parametrize("reached", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("dies_at", range(STEPS))
def test_a_merge_that_was_cut_off(
    make_kana: Callable[..., Any], dies_at: int, reached: bool
) -> None:
    """Cut off at any request, and run again: both usages are kept, nothing is counted twice."""
    kana = make_kana(SEED)
    survived = _run(kana, dies_at, reached=reached)
    assert not survived
    assert _run(kana, 1_000, reached=False)
    _check(kana)


def test_the_number_of_steps(make_kana: Callable[..., Any]) -> None:
    """The test above stops after every step: the merge has just as many requests."""
    kana = make_kana(SEED)
    assert _run(kana, STEPS, reached=False)
    assert kana.sandbox.requests.count == STEPS
    _check(kana)


@pytest.mark.parametrize("first", range(0, STEPS, 3))
@pytest.mark.parametrize("second", range(0, STEPS, 4))
def test_a_merge_that_was_cut_off_twice(
    make_kana: Callable[..., Any], first: int, second: int
) -> None:
    """Also a second cut in the repeat does no harm."""
    kana = make_kana(SEED)
    _run(kana, first, reached=True)
    _run(kana, second, reached=True)
    assert _run(kana, 1_000, reached=False)
    _check(kana)


def test_usage_recorded_after_the_sums_were_set_is_kept(make_kana: Callable[..., Any]) -> None:
    """A repeat of the last steps leaves usage alone that was recorded since."""
    kana = make_kana(SEED)
    _run(kana, STEPS - 1, reached=False)
    kana.run(
        {
            "type": "track",
            "event": "Used",
            "userId": X,
            "messageId": "t",
            "properties": {"featureId": "calls", "delta": 100},
        }
    )
    assert _run(kana, 1_000, reached=False)
    assert kana.usage["1"]["calls"] == 112


def test_another_stripe_user_is_not_mistaken_for_the_one_of_the_plan(
    make_kana: Callable[..., Any],
) -> None:
    """A left-over of a finished merge is not merged into a user that came later."""
    kana = make_kana(SEED)
    assert _run(kana, 1_000, reached=False)
    kana.run({"type": "identify", "userId": "1", "messageId": "n", "traits": {"name": "M"}})
    assert kana.users["1"]["name"] == "M"
    assert kana.usage["1"] == {"calls": 12, "seats": 2, "gb": 1}


def test_usage_that_kana_cannot_count_together(make_kana: Callable[..., Any]) -> None:
    """Two users whose sum has more than 32 bits stay as they are, with a message that says why."""
    most = 2**31 - 1
    usage = [
        {"userId": user, "featureId": "calls", "used": used}
        for user, used in (("1", most), (X, most))
    ]
    kana = make_kana({**SEED, "usage": usage})
    users, before = kana.users, kana.usage
    kana.run(json.loads(EVENT))
    assert kana.result(1).outcome == "rejected"
    assert "their usage of calls together is more than the 32 bits" in kana.result(1).reason
    assert (kana.users, kana.usage) == (users, before)
