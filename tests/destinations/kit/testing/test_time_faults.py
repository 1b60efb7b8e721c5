"""Faults of time and of choices: each ends as it must, and none passes with a broken runtime."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from destinations.http.idempotency import KeyMaker
from destinations.kit.testing.made_faults import FaultReport, fault_cases, play_fault
from destinations.kit.testing.subject import Subject
from destinations.outcome import OUTSIDE_WINDOW, Outcome, Result
from destinations.pipeline.pipeline import Pipeline
from destinations.pipeline.retry import LossRule
from destinations.runtime import choices
from destinations.runtime.window import EventWindow
from tests.destinations.pipeline.metering import metered

MakeSubject = Callable[..., Subject]
Change = Callable[[dict[str, Any]], None]
Break = Callable[[pytest.MonkeyPatch], None]


def _played(subject: Subject, *kinds: str) -> Mapping[str, FaultReport]:
    return {
        case.fault.name: play_fault(case)
        for case in fault_cases(subject)
        if case.fault.kind in kinds and case.action == "count"
    }


def _table(played: Mapping[str, FaultReport]) -> dict[str, tuple[list[str], int]]:
    return {name: ([one.value for one in each.ends], each.sent) for name, each in played.items()}


def _passed(played: Mapping[str, FaultReport]) -> bool:
    return all(one.passed for one in played.values())


def windowed(
    *,
    batch: int = 1,
    idempotent: bool = False,
    asks: bool = False,
    source: object = None,
    **window: Any,
) -> Change:
    """Count things by requests with a key, of events that come in time."""

    def change(documents: dict[str, Any]) -> None:
        metered(batch=batch, asks=asks)(documents)
        if idempotent:
            request = documents["destination"]["requests"]["count"]
            del request["idempotencyKey"]
            request["idempotent"] = True
        given = {} if source is None else {"from": source}
        documents["count"]["window"] = {**given, **window}

    return change


def of_account(**window: Any) -> Change:
    """Let a setting say how long events are taken."""

    def change(documents: dict[str, Any]) -> None:
        windowed(grace={"@path": "$.settings.grace"}, **window)(documents)
        documents["destination"]["settings"]["properties"]["grace"] = {
            "title": "Grace",
            "description": "How old an event may be.",
            "type": "string",
            "default": "12h",
        }

    return change


BEFORE, AFTER = "event before the end of its window", "event after the end of its window"
UNSENT = "time-out before sending, then the end of its window"
LOST = "time-out after sending, then the end of its window"
IN_TIME = "event after the beginning of its window"
EARLY = "event before the beginning of its window"
AT_BY = {"@path": "$.payload.by"}  # an integer: no sample of it is a time of today


@pytest.mark.parametrize(
    ("change", "table"),
    [
        (
            windowed(then="reject", grace="30d", ahead="5m"),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["rejected"], 0),
                UNSENT: (["rejected"], 1),
                LOST: (["held"], 1),
                IN_TIME: (["delivered"], 1),
                EARLY: (["rejected"], 0),
            },
        ),
        (
            windowed(then="hold", grace="12h"),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["held"], 0),
                UNSENT: (["held"], 1),
                LOST: (["held"], 1),
            },
        ),
        (
            windowed(then="hold", ahead="5m"),
            {IN_TIME: (["delivered"], 1), EARLY: (["held"], 0)},
        ),
        (
            windowed(then="reject", grace="30d", asks=True),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["rejected"], 0),
                UNSENT: (["rejected"], 1),
                LOST: (["unknown"], 1),
            },
        ),
        (
            windowed(then="hold", grace="30d", asks=True),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["held"], 0),
                UNSENT: (["held"], 1),
                LOST: (["unknown"], 1),
            },
        ),
        (
            windowed(batch=4, idempotent=True, then="reject", grace="30d"),
            {
                BEFORE: (["delivered"] * 2, 1),
                AFTER: (["rejected"] * 2, 0),
                UNSENT: (["rejected"] * 2, 1),
                LOST: (["held"] * 2, 1),
            },
        ),
        (
            windowed(then="reject", grace="30d", source=AT_BY),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["rejected"], 0),
                UNSENT: (["rejected"], 1),
                LOST: (["held"], 1),
            },
        ),
        (windowed(then="reject", grace="30d", source={"@path": "$.payload.thing"}), None),
        (
            of_account(then="hold"),
            {
                BEFORE: (["delivered"], 1),
                AFTER: (["held"], 0),
                UNSENT: (["held"], 1),
                LOST: (["held"], 1),
            },
        ),
    ],
)
def test_windows(
    make_subject: MakeSubject, change: Change, table: dict[str, tuple[list[str], int]] | None
) -> None:
    """What is outside ends as the window says; what may have been applied is never rejected."""
    played = _played(make_subject(change), "window")
    assert _passed(played)
    if table is not None:
        assert _table(played) == table
    else:  # its time is no time, so that of the event counts
        assert _table(played)[AFTER] == (["rejected"], 0)


AGAIN = "time-out after sending, then again before the end of its key"
ENDED = "time-out after sending, then the end of its key"


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        (metered(batch=1), ["held"]),
        (metered(batch=4), ["held", "held"]),
        (metered(batch=1, asks=True), ["unknown"]),
        (metered(batch=1, header="Idempotency-Key"), ["held"]),
        (metered(batch=4, failures=True, all_or_nothing=True), ["held", "held"]),
    ],
)
def test_keys(make_subject: MakeSubject, change: Change, ended: list[str]) -> None:
    """A lost answer is sent again, with its key, while the partner knows it; and never after."""
    played = _played(make_subject(change), "key")
    assert _passed(played)
    assert _table(played) == {AGAIN: (["delivered"] * len(ended), 2), ENDED: (ended, 1)}


def test_a_key_after_a_request_that_was_applied(make_subject: MakeSubject, with_steps: Any) -> None:
    """An event that is half done is not begun again, whatever the partner recognises."""

    def change(documents: dict[str, Any]) -> None:
        with_steps(documents)
        documents["destination"]["requests"]["search"]["example"] = {"results": []}
        documents["destination"]["requests"]["alter"] |= {
            "idempotent": False,
            "idempotencyKey": {"from": {"@path": "$.event.messageId"}, "for": "1h", "header": "K"},
        }
        documents["sync"]["perform"]["steps"][2]["when"] = {"create": "ok"}
        steps = documents["destination"]["requests"]["alter"]["rest"]
        steps["path"] = ["contacts", {"@path": "$.answers.create.id"}]

    cases = [one for one in fault_cases(make_subject(change)) if one.fault.kind == "key"]
    reports = [play_fault(one) for one in cases]
    assert [one.case.way.step for one in reports] == ["change", "change"]
    assert all(one.passed for one in reports)
    assert [[end.value for end in one.ends] for one in reports] == [["held"], ["held"]]


def test_what_has_neither(make_subject: MakeSubject) -> None:
    """Time does nothing to an event without a window, and to a request without a key."""
    kinds = {case.fault.kind for case in fault_cases(make_subject())}
    assert not kinds & {"window", "key", "choices"}


def _never_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EventWindow, "result", lambda *_: None)


def _always_late(patch: pytest.MonkeyPatch) -> None:
    late = Result(Outcome.REJECTED, "too late", OUTSIDE_WINDOW)
    patch.setattr(EventWindow, "result", lambda *_: late)


def _rejected_though_it_may_be_applied(patch: pytest.MonkeyPatch) -> None:
    def rejected(self: Pipeline, over: Any, now: float, round_: Any, why: str = "") -> None:
        for delivery in over:
            found = self.policy.window_over(delivery, now, LossRule(), why)
            ended = Result(Outcome.REJECTED, why, OUTSIDE_WINDOW)
            round_.transitions.append((self.scope, replace(found, result=ended)))

    patch.setattr(Pipeline, "_end_repeats", rejected)


def _keys_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LossRule, "repeats", lambda *_: True)
    patch.setattr(LossRule, "repeat_until", lambda *_: None)


def _keys_end_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LossRule, "repeats", lambda *_: False)


def _another_key_each_time(patch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    patch.setattr(KeyMaker, "key", lambda *_: f"key-{next(numbers)}")


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        (_never_late, {AFTER, UNSENT, LOST}),
        (_always_late, {BEFORE}),
        (_rejected_though_it_may_be_applied, {LOST}),
        (_keys_never_end, {ENDED}),
        (_keys_end_at_once, {AGAIN}),
    ],
)
def test_a_broken_runtime(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, wrong: Break, failed: set[str]
) -> None:
    """Each mistake is found by the faults that are there for it."""
    subject = make_subject(windowed(then="hold", grace="30d"))
    wrong(monkeypatch)
    played = _played(subject, "window", "key")
    assert {name for name, one in played.items() if not one.passed} >= failed


@pytest.mark.parametrize(
    "change",
    [
        metered(batch=1),
        metered(batch=4),
        metered(batch=1, header="Idempotency-Key"),
        metered(
            batch=1,
            rest={"method": "POST", "url": "http://127.0.0.1:9/usage", "form": {"thing": "a"}},
        ),
    ],
)
def test_another_key_each_time(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """A key is found wherever it stands, and a partner would count an event with two keys twice."""
    subject = make_subject(change)
    assert _passed(_played(subject, "key"))
    _another_key_each_time(monkeypatch)
    played = _played(subject, "key")
    assert "keys of the request" in str(played[AGAIN].differences[0])


# -- choices ---------------------------------------------------------------------------------------

CHOICES: dict[str, Any] = {
    "request": "lists",
    "items": {"@path": "$.answer.lists"},
    "value": {"@path": "$.id"},
    "label": {"@path": "$.name"},
    "next": {"@path": "$.answer.paging.next"},
}
NAMES = {
    "HTML": ("an error", 1),
    "no list": ("an error", 1),
    "pages that never end": ("list ends at its limit", 21),
    "a page that comes again": ("list ends: it repeats itself", 2),
    "pages with the same choices": ("list ends: it repeats itself", 4),
}


def chosen(*, expect: bool = False, **changed: Any) -> Change:
    """Let a field have choices, which the partner is asked for."""

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["lists"] = {
            "description": "Returns a page of lists.",
            "idempotent": True,
            "rest": {
                "method": "GET",
                "url": "https://api.example.com/lists",
                "query": {"after": {"@path": "$.page"}},
            },
            "example": {
                "lists": [{"id": "1", "name": "One"}],
                "paging": {"next": None},
                "total": 1,
            },
            **({"expect": {"type": "object", "required": ["lists"]}} if expect else {}),
        }
        given = {key: value for key, value in {**CHOICES, **changed}.items() if value is not None}
        documents["count"]["fields"]["properties"]["thing"]["x-choices"] = given

    return change


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (chosen(), NAMES.keys()),
        (chosen(next=None), ["HTML", "no list"]),
        (chosen(items={"@path": "$.answer"}, next=None), ["HTML", "no list"]),
        (chosen(items={"@if": {"exists": 1, "then": {"@path": "$.answer"}}}), ["HTML"]),
        (chosen(value={"@template": "{{id}}"}), ["HTML"]),
    ],
)
def test_choices(make_subject: MakeSubject, change: Change, names: Any) -> None:
    """A list ends, whatever the partner says, and what is no list is an error with its request."""
    played = _played(make_subject(change), "choices")
    assert _passed(played)
    assert {name: (one.ending, one.sent) for name, one in played.items()} == {
        name: NAMES[name] for name in names
    }
    assert {one.case.field for one in played.values()} == {"thing"}


def test_html_for_choices_where_an_answer_must_fit(make_subject: MakeSubject) -> None:
    """Then it is a failure that may pass, and is asked for a few times."""
    played = _played(make_subject(chosen(expect=True)), "choices")
    assert _passed(played)
    assert played["HTML"].ending == "an error"


def _pages_are_not_recognised(patch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    patch.setattr(choices, "_key", lambda _: f"{next(numbers)}")


def _stale_pages_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(choices, "MOST_STALE", 10_000)
    patch.setattr(choices, "MOST_PAGES", 100)


def _what_is_no_list_is_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(choices._Reader, "choices", lambda *_: iter(()))


def _html_is_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(choices, "_answer", lambda *_: {"lists": []})


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        (_pages_are_not_recognised, {"a page that comes again"}),
        (_stale_pages_go_on, {"pages with the same choices"}),
        (_what_is_no_list_is_empty, {"no list"}),
        (_html_is_empty, {"HTML"}),
    ],
)
def test_choices_of_a_broken_runtime(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, wrong: Break, failed: set[str]
) -> None:
    """Each mistake is found by the faults that are there for it."""
    subject = make_subject(chosen())
    wrong(monkeypatch)
    played = _played(subject, "choices")
    assert {name for name, one in played.items() if not one.passed} >= failed
