from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from destinations import (
    Answer,
    Call,
    HeldError,
    HttpRequest,
    HttpResponse,
    RetryableError,
    Sender,
)
from destinations.http.transport import HttpTransport
from destinations.pipeline.reading import Entry
from destinations.pipeline.run import Run
from destinations.runtime.destination import Delivery
from kana_destination.identify import identify
from tests.case_tables import each_value

X = "x@example.com"
SEED: dict[str, Any] = {
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
        {"userId": "1", "featureId": "seats", "used": -2},
        {"userId": X, "featureId": "calls", "used": 7},
        {"userId": X, "featureId": "gb", "used": 1},
    ],
}
TRAITS = {"email": X, "name": "N"}
EVENT = json.dumps({"type": "identify", "userId": "1", "messageId": "m", "traits": TRAITS}).encode()
LOOK_UPS = ["FindUser", "FindUser", "ListUsers", "ListFeatures"]
REQUESTS = [
    *LOOK_UPS,
    *["UsageOfBoth"] * 3,
    "FreezeUser",
    *["UsageOfBoth", "MoveUsage"] * 2,  # calls and seats
    "UsageOfBoth",  # gb
    "AdoptUser",  # the plan is done
    "AdoptUser",  # adopt
]
STEPS = range(len(REQUESTS))
LEFT = "1~left-over~2"


class KilledError(BaseException):
    """The process ends here."""


class Watched:
    """A transport that does something right before the request with a number (from 0)."""

    def __init__(self, inner: HttpTransport, at: int, act: Callable[[], object]) -> None:
        self._inner = inner
        self._left = at
        self._act = act

    def send(self, request: HttpRequest) -> HttpResponse:
        self._left -= 1
        if self._left == -1:
            self._act()
        return self._inner.send(request)

    def close(self) -> None:
        self._inner.close()


class Mortal(Watched):
    """One that ends the process instead, before or after the request reached Kana."""

    def __init__(self, inner: HttpTransport, at: int, *, reached: bool) -> None:
        super().__init__(inner, at, self._die)
        self._reached = reached
        self._dies = False

    def _die(self) -> None:
        self._dies = True

    def send(self, request: HttpRequest) -> HttpResponse:
        if self._left > 0 or self._dies:
            return super().send(request)
        if self._reached:
            self._inner.send(request)
        raise KilledError


def _run(kana: Any, make: Callable[[HttpTransport], Any] = lambda inner: inner) -> bool:
    """Whether the process survived the event; as each new process, it knows nothing before."""
    with closing(HttpTransport(kana.definition.transport.timeouts)) as inner:
        run = Run(kana.bind(), make(inner), clock=kana.clock, inline=True, recorders=[kana._record])
        kana.rows = {}
        try:
            run.execute([Entry(1, EVENT)])
        except KilledError:
            return False
    return True


def _operations(kana: Any) -> list[str | None]:
    return [record.operation for record in kana.sandbox.requests]


def _check(kana: Any, usage: dict[str, int] | None = None, left: str = LEFT) -> None:
    users = kana.users
    assert set(users) == {"1", left}
    one = users["1"]
    assert (one["name"], one["email"], one["billingId"]) == ("N", X, "cus_1")
    assert users[left]["metadata"]["kept"] is True
    assert kana.usage["1"] == (usage or {"calls": 12, "seats": -2, "gb": 1})


def test_the_requests_of_a_merge(make_kana: Callable[..., Any]) -> None:
    """Look, freeze, move what was used, adopt; the tests below stop at each of these requests."""
    kana = make_kana(SEED)
    assert _run(kana)
    assert _operations(kana) == REQUESTS
    assert kana.result(1).reason == f"merged with {X}, imported from Stripe"
    _check(kana)
    plan = kana.users[LEFT]["metadata"]["kanaDestinationMerge"]
    period = plan["moved"]["calls"].pop("periodStart")
    assert plan == {
        "survivor": X,
        "moved": {
            "calls": {"amount": 5, "before": 7, "ok": True},
            "seats": {"amount": -2, "before": 0, "periodStart": period, "ok": True},
        },
        "done": True,
    }


@each_value
@pytest.mark.parametrize("reached", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("at", STEPS)
def test_a_merge_that_was_cut_off(make_kana: Callable[..., Any], at: int, reached: bool) -> None:
    """Cut off at any request, and run again: both usages are kept, nothing is counted twice."""
    kana = make_kana(SEED)
    assert not _run(kana, lambda inner: Mortal(inner, at, reached=reached))
    assert _run(kana)
    _check(kana)


@each_value
@pytest.mark.parametrize("first", STEPS[::3])
@pytest.mark.parametrize("second", STEPS[::4])
def test_a_merge_that_was_cut_off_twice(
    make_kana: Callable[..., Any], first: int, second: int
) -> None:
    """Also a second cut in the repeat does no harm."""
    kana = make_kana(SEED)
    _run(kana, lambda inner: Mortal(inner, first, reached=True))
    _run(kana, lambda inner: Mortal(inner, second, reached=True))
    assert _run(kana)
    _check(kana)


FAULTS: dict[str, dict[str, Any]] = {
    "request lost": {"drop": "before"},
    "answer lost": {"drop": "after"},
    "answer cut": {"cut": 9},
    "late by one": {"late": 1},
    "late by ten": {"late": 10},
    "after all": {"late": 1_000},
    "twice at once": {"again": [0]},
    "twice, late": {"again": [4, 1_000]},
    "away": {"status": 503, "retryAfter": 3},
    "done, and away": {"status": 502, "apply": True},
}


@each_value
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("at", STEPS[len(LOOK_UPS) :])
def test_a_request_that_is_lost_late_or_repeated(
    make_kana: Callable[..., Any], at: int, fault: dict[str, Any]
) -> None:
    """Whatever the network does with one request, the merge ends with the same usage."""
    kana = make_kana(SEED)
    kana.sandbox.faults.add({"nth": at + 1, **fault})
    assert _run(kana)
    assert kana.result(1).outcome == "delivered"
    _check(kana)
    kana.sandbox.arrive()
    _check(kana)


def _add(kana: Any, user: str, feature: str, amount: int) -> bool:
    """Somebody else adds usage; whether Kana took it."""
    asked = {"userId": user, "featureId": feature, "delta": amount}
    with closing(HttpTransport(kana.definition.transport.timeouts)) as transport:
        sender = Sender(kana.bind(), transport)
        (verdict,) = sender.ask("recordUsage", [asked])
    return isinstance(verdict, Answer)


@each_value
@pytest.mark.parametrize("fault", [{"delay": 0}, {"drop": "after"}, {"late": 3}], ids=str)
@pytest.mark.parametrize("at", STEPS)
def test_somebody_else_adds_usage(
    make_kana: Callable[..., Any], at: int, fault: dict[str, Any]
) -> None:
    """Before any request, to either user: what Kana took is kept, also when an answer is lost."""
    kana = make_kana(SEED)
    added = 0

    def write() -> None:
        nonlocal added
        for user, amount in ((X, 100), ("1", 1_000)):
            added += amount * _add(kana, user, "calls", amount)
        kana.sandbox.faults.add(fault)

    assert _run(kana, lambda inner: Watched(inner, at, write))
    assert added >= 100
    _check(kana, {"calls": 12 + added, "seats": -2, "gb": 1})


# -- where the partner breaks off between the two mutations of a document -------------------------


def _break_off(kana: Any, at: int = REQUESTS.index("MoveUsage") + 1, **fault: Any) -> None:
    error = {"message": "broke off", "code": "INTERNAL_SERVER_ERROR", "exception": "Error"}
    kana.sandbox.faults.add({"nth": at, "errors": {"e0_move": error}, **fault})


@pytest.mark.parametrize("fault", [{}, {"drop": "after"}, {"cut": 3}], ids=str)
@pytest.mark.parametrize("at", [number for number in STEPS if REQUESTS[number] == "MoveUsage"])
def test_the_token_is_used_up_without_a_move(
    make_kana: Callable[..., Any], at: int, fault: dict[str, Any]
) -> None:
    """Kana shows that nothing was added, so it is moved with the next token."""
    kana = make_kana(SEED)
    _break_off(kana, at + 1, **fault)
    assert _run(kana)
    assert kana.result(1).outcome == "delivered"
    _check(kana, left="1~left-over~3")


# What others add between the break and the look at it, and whether it counts as moved.
DIFFERENCES: dict[str, tuple[int, str]] = {
    "as much as was moved": (5, "moved"),
    "more": (50, "moved"),
    "less": (4, "held"),
    "taken back": (-1, "held"),
}


@pytest.mark.parametrize(("added", "end"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_that_somebody_else_made(
    make_kana: Callable[..., Any], added: int, end: str
) -> None:
    """At least what was moved counts as moved; a smaller one is held with both numbers."""
    kana = make_kana(SEED)
    _break_off(kana, drop="after")
    again = REQUESTS.index("MoveUsage") + 1
    assert _run(kana, lambda inner: Watched(inner, again, lambda: _add(kana, X, "calls", added)))
    if end == "moved":
        assert kana.usage["1"]["calls"] == 7 + added
        return
    result = kana.result(1)
    assert (result.outcome, result.code) == ("held", "CONFLICT")
    assert f"while 5 of calls were added to {X!r}, which had 7 before" in result.reason
    assert f"has {7 + added} now" in result.reason
    assert f"destinations kana merge {X} 1 with --moved or --not-moved" in result.reason
    assert set(kana.users) == {X, "1~left-over~1"}
    assert kana.usage[X]["calls"] == 7 + added


def test_usage_that_was_taken_back(make_kana: Callable[..., Any]) -> None:
    """A negative amount was moved where the other user has less, whatever others have added."""
    kana = make_kana(SEED)
    at = len(REQUESTS) - REQUESTS[::-1].index("MoveUsage")
    kana.sandbox.faults.add({"nth": at, "drop": "after"})
    assert _run(kana, lambda inner: Watched(inner, at, lambda: _add(kana, X, "seats", 1)))
    _check(kana, {"calls": 12, "seats": -1, "gb": 1})


def test_a_new_period(make_kana: Callable[..., Any]) -> None:
    """What a lost answer did cannot be told once usage counts anew: held, with both numbers."""
    moment = datetime(2099, 1, 31, 23, tzinfo=UTC)
    kana = make_kana(SEED, clock=lambda: moment)

    def turn() -> None:
        nonlocal moment
        moment = datetime(2099, 2, 1, 1, tzinfo=UTC)

    at = REQUESTS.index("MoveUsage") + 1
    kana.sandbox.faults.add({"nth": at, "drop": "after"})
    assert _run(kana, lambda inner: Watched(inner, at, turn))
    assert kana.result(1).outcome == "held"
    assert "which had 7 before and has 0 now" in kana.result(1).reason


def test_a_lost_answer_is_not_asked_about_again(make_kana: Callable[..., Any]) -> None:
    """Once the plan is done a repeat asks nothing of usage, though it may have changed since."""
    kana = make_kana(SEED)
    assert not _run(kana, lambda inner: Mortal(inner, len(REQUESTS) - 1, reached=False))
    before = len(_operations(kana))
    _add(kana, X, "calls", -12)
    assert _run(kana)
    assert _operations(kana)[before + 1 :] == [*LOOK_UPS, "AdoptUser"]
    _check(kana, {"calls": 0, "seats": -2, "gb": 1})


@pytest.mark.parametrize("lost", ["the plan is done", "adopt"])
def test_a_lost_answer_of_another_attempt(make_kana: Callable[..., Any], lost: str) -> None:
    """Whoever goes on with a merge keeps others off its users until it is over.

    That is another event, which has not frozen or moved anything itself: what it changes alone
    would leave nothing half done.
    """
    kana = make_kana(SEED)
    left = 2 if lost == "the plan is done" else 1
    assert not _run(kana, lambda inner: Mortal(inner, len(REQUESTS) - left, reached=False))
    (subscription,) = [one for one in kana.bind().subscriptions if one.key.action == "identify"]
    kana.sandbox.faults.add({"match": {"operation": "AdoptUser"}, "drop": "after"})
    delivery = Delivery(subscription, {}, {"id": "1", "email": X}, resumes=True)
    with _sender(kana) as sender:
        (result,) = sender.deliver([delivery])
        assert (result.outcome, result.maybe_applied, result.has_begun) == ("ready", True, True)
        (result,) = sender.deliver([delivery])
    assert result.outcome == "delivered"
    assert set(kana.users) == {"1", LEFT}
    assert kana.usage["1"] == {"calls": 12, "seats": -2, "gb": 1}


# -- where a user is not what it was -------------------------------------------------------------


@contextmanager
def _sender(kana: Any) -> Iterator[Sender]:
    with closing(HttpTransport(kana.definition.transport.timeouts)) as inner:
        yield Sender(kana.bind(), inner, clock=kana.clock)


def _rename(kana: Any, user: str, new_id: str) -> None:
    with _sender(kana) as sender:
        (verdict,) = sender.ask("updateUser", [{"id": user, "changes": {"id": new_id}}])
    assert isinstance(verdict, Answer)


@pytest.mark.parametrize("at", STEPS)
def test_the_other_user_is_gone(make_kana: Callable[..., Any], at: int) -> None:
    """Nothing was moved: user 1 has its id back. Else nobody guesses, and it is held."""
    kana = make_kana(SEED)
    before = kana.users["1"]
    usage = kana.usage
    assert _run(kana, lambda inner: Watched(inner, at, lambda: _rename(kana, X, "new@example.com")))
    result = kana.result(1)
    if at > REQUESTS.index("MoveUsage"):
        assert result.outcome == "held"
        assert f"{X!r} is gone, with which '1' was merged" in result.reason
        assert kana.usage["new@example.com"]["calls"] == 12
        return
    assert result.outcome == "delivered"
    assert set(kana.users) == {"1", "new@example.com"}
    one = kana.users["1"]
    assert (one["name"], one["email"], one["billingId"]) == ("N", X, None)
    assert one["metadata"] == before["metadata"]
    assert kana.usage == {"1": usage["1"], "new@example.com": usage[X]}


def test_without_metadata_of_its_own(make_kana: Callable[..., Any]) -> None:
    """A user that gets its id back has no metadata, if it had none."""
    users = [{"id": "1"}, SEED["users"][1]]
    kana = make_kana({**SEED, "users": users})
    at = REQUESTS.index("FreezeUser") + 1
    assert _run(kana, lambda inner: Watched(inner, at, lambda: _rename(kana, X, "new@example.com")))
    assert kana.users["1"]["metadata"] is None


@pytest.mark.parametrize("metadata", [["a"], "text", 7, False])
def test_metadata_that_is_no_object(make_kana: Callable[..., Any], metadata: object) -> None:
    """It is kept beside the plan."""
    users = [{"id": "1", "metadata": metadata}, SEED["users"][1]]
    kana = make_kana({**SEED, "users": users})
    assert _run(kana)
    assert kana.users[LEFT]["metadata"]["metadata"] == metadata


def test_a_user_that_was_made_anew(make_kana: Callable[..., Any]) -> None:
    """Somebody creates user 1 while it is merged: both are merged, with all their usage."""
    kana = make_kana(SEED)

    def create() -> None:
        with _sender(kana) as sender:
            (verdict,) = sender.ask("createUser", [{"id": "1"}])
        assert isinstance(verdict, Answer)
        assert _add(kana, "1", "calls", 100)

    at = len(REQUESTS) - REQUESTS[::-1].index("MoveUsage") - 1
    assert _run(kana, lambda inner: Watched(inner, at, create))
    users = kana.users
    assert set(users) == {"1", "1~left-over~2", "1~left-over~4"}
    assert kana.usage["1"] == {"calls": 112, "seats": -2, "gb": 1}
    assert users["1"]["billingId"] == "cus_1"


def test_the_left_over_of_a_merge_with_a_user_that_has_gone(make_kana: Callable[..., Any]) -> None:
    """User 1 is created again, but not where an attempt was cut off: that may be the same merge."""
    kana = make_kana(SEED)
    assert _run(kana)
    _rename(kana, "1", "elsewhere")
    with _sender(kana) as sender:
        with pytest.raises(HeldError, match="remove '1~left-over~2' to have that user"):
            sender.perform(identify.resume({"id": "1", "email": X}))
        assert sender.perform(identify({"id": "1", "email": X})).note == "created"
    assert kana.users["1"]["billingId"] is None
    assert kana.usage["elsewhere"] == {"calls": 12, "seats": -2, "gb": 1}


def test_a_resumed_merge_with_another_email(make_kana: Callable[..., Any]) -> None:
    """An event that brings another email goes on with the merge that one before it began."""
    kana = make_kana(SEED)
    at = REQUESTS.index("MoveUsage")
    assert not _run(kana, lambda inner: Mortal(inner, at, reached=True))
    with _sender(kana) as sender:
        sender.perform(identify.resume({"id": "1", "email": "other@example.com"}))
    assert set(kana.users) == {"1", LEFT}
    assert kana.users["1"]["email"] == "other@example.com"
    assert kana.usage["1"] == {"calls": 12, "seats": -2, "gb": 1}


def test_two_users_who_want_the_same_stripe_user(make_kana: Callable[..., Any]) -> None:
    """The second is updated: the Stripe user is the first one's."""
    kana = make_kana({**SEED, "users": [*SEED["users"], {"id": "2"}]})
    second = {"type": "identify", "userId": "2", "messageId": "m2", "traits": {"email": X}}
    kana.run(EVENT, second)
    assert kana.result(2).outcome == "delivered"
    assert set(kana.users) == {"1", "2", LEFT}
    assert (kana.users["2"]["email"], kana.users["2"]["billingId"]) == (X, None)
    assert kana.usage["1"] == {"calls": 12, "seats": -2, "gb": 1}


# -- what Kana does not count --------------------------------------------------------------------


def test_usage_that_kana_cannot_count_together(make_kana: Callable[..., Any]) -> None:
    """Two users whose sum has more than 32 bits stay as they are, with a message that says why."""
    most = 2**31 - 1
    usage = [
        {"userId": user, "featureId": "calls", "used": used}
        for user, used in (("1", most), (X, most))
    ]
    kana = make_kana({**SEED, "usage": usage})
    users, before = kana.users, kana.usage
    assert _run(kana)
    assert kana.result(1).outcome == "rejected"
    assert "their usage of calls together is more than the 32 bits" in kana.result(1).reason
    assert (kana.users, kana.usage) == (users, before)
    assert "FreezeUser" not in _operations(kana)


def test_usage_that_becomes_too_much_meanwhile(make_kana: Callable[..., Any]) -> None:
    """It is held with both numbers, since user 1 has its left-over id by then."""
    kana = make_kana(SEED)
    at = REQUESTS.index("FreezeUser")
    assert _run(kana, lambda inner: Watched(inner, at, lambda: _add(kana, X, "calls", 2**31 - 10)))
    assert kana.result(1).outcome == "held"
    assert f"5 of calls and {2**31 - 3} are together more than the 32 bits" in kana.result(1).reason


def test_usage_that_kana_refuses(make_kana: Callable[..., Any]) -> None:
    """It stays with the left-over, which says why; the rest is merged."""
    features = [*SEED["features"], {"id": "sso", "name": "SSO", "type": "BINARY"}]
    package = {"id": "pro", "name": "Pro", "features": [{"id": "sso"}]}
    seed = {
        **SEED,
        "features": features,
        "packages": [package],
        "subscriptions": [{"userId": "1", "packageId": "pro"}],
        "usage": [*SEED["usage"], {"userId": "1", "featureId": "sso", "used": 3}],
    }
    kana = make_kana(seed)
    assert _run(kana)
    _check(kana, left="1~left-over~3")
    left_over = kana.users["1~left-over~3"]["metadata"]["kanaDestinationMerge"]["moved"]["sso"]
    assert left_over["ok"] is False
    assert left_over["reason"] == "the user has no access to the feature 'sso'"
    assert kana.usage["1~left-over~3"]["sso"] == 3


# -- merges that an earlier version began --------------------------------------------------------

SUMS = {"calls": 12, "seats": -2}
EARLIER: dict[str, tuple[dict[str, Any] | None, dict[str, int]]] = {
    "renamed": (None, {"calls": 12, "seats": -2, "gb": 1}),
    "done": ({"survivor": X, "usage": SUMS, "done": True}, {"calls": 7, "gb": 1}),
}


def _earlier(plan: dict[str, Any] | None) -> dict[str, Any]:
    metadata = {"kept": True} if plan is None else {"kept": True, "kanaDestinationMerge": plan}
    left_over = {"id": "1~left-over", "name": "One", "metadata": metadata}
    usage = [
        {**one, "userId": "1~left-over" if one["userId"] == "1" else one["userId"]}
        for one in SEED["usage"]
    ]
    return {**SEED, "users": [left_over, SEED["users"][1]], "usage": usage}


@pytest.mark.parametrize(("plan", "usage"), EARLIER.values(), ids=EARLIER)
def test_a_merge_of_an_earlier_version(
    make_kana: Callable[..., Any], plan: dict[str, Any] | None, usage: dict[str, int]
) -> None:
    """It goes on from where it certainly is."""
    kana = make_kana(_earlier(plan))
    assert _run(kana)
    assert kana.result(1).outcome == "delivered"
    _check(kana, usage, left="1~left-over" if plan else LEFT)


def test_a_merge_of_an_earlier_version_that_set_usage(make_kana: Callable[..., Any]) -> None:
    """Which of the sums were set cannot be told: held, with all of them."""
    kana = make_kana(_earlier({"survivor": X, "usage": SUMS}))
    users, usage = kana.users, kana.usage
    assert _run(kana)
    assert kana.result(1).outcome == "held"
    assert "was cut off while it set the usage" in kana.result(1).reason
    assert "(calls: 12, seats: -2)" in kana.result(1).reason
    assert (kana.users, kana.usage) == (users, usage)


# -- the plugin's code, played ------------------------------------------------------------------


def test_the_id_of_another_left_over_is_not_taken(make_kana: Callable[..., Any]) -> None:
    """The number goes on behind those that earlier merges of the user have left."""
    old = {"id": "1~left-over~4", "metadata": {"kanaDestinationMerge": {"survivor": "y"}}}
    kana = make_kana({**SEED, "users": [*SEED["users"], old]})
    assert _run(kana)
    assert set(kana.users) == {"1", "1~left-over~4", "1~left-over~7"}


@pytest.mark.parametrize("answer", ["survivor_gone", "gone", "taken"])
def test_users_that_changed_before_the_merge(answer: str) -> None:
    """The event is tried again, with what Kana holds then."""
    one = {"id": "1", "name": None, "email": None, "billingId": None, "metadata": None}
    users = [one, {**one, "id": X, "email": X, "billingId": "cus_1"}]
    steps = identify({"id": "1", "email": X})
    call: Call = next(steps)
    for found in (users[0], users[1], users, []):
        call = steps.send(Answer("ok", found))
    assert call.request == "freezeUser"
    last = Answer(answer, {"guard": None, "freeze": None})
    if answer == "gone":  # perhaps by the same request before
        assert steps.send(last) == Call("findUser", {"id": "1~left-over"})
        last = Answer("missing")
    with pytest.raises(RetryableError, match="changed before their merge"):
        steps.send(last)


@pytest.mark.parametrize("at", STEPS[len(LOOK_UPS) :])
def test_an_answer_that_is_lost_outside_of_events(make_kana: Callable[..., Any], at: int) -> None:
    """A command makes a request again in the same merge, which finds that it was carried out."""
    kana = make_kana(SEED)
    kana.sandbox.faults.add({"nth": at + 1, "drop": "after"})
    with _sender(kana) as sender:
        sender.perform(identify({"id": "1", **TRAITS}))
    _check(kana)
