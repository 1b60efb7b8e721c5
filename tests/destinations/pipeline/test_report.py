"""The account of a run adds up, and names the reasons."""

from __future__ import annotations

import pytest

from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.report import SHOWN, Reason, Row, Totals
from destinations.runtime.subscription_key import SubscriptionKey

COUNT = SubscriptionKey("Counts", "count")
SAVE = SubscriptionKey("Pages", "save")


def test_totals_add_up() -> None:
    """Each row counts once in the total, once for its action."""
    totals = Totals()
    for line, (key, outcome) in enumerate(
        [
            (COUNT, Outcome.DELIVERED),
            (COUNT, Outcome.DEAD),
            (SAVE, Outcome.DELIVERED),
            (None, Outcome.FILTERED),
            (COUNT, Outcome.DELIVERED),
        ]
    ):
        totals.add(Row(line, key, Result(outcome)))
    assert totals.rows == 5
    assert totals.outcomes == {Outcome.DELIVERED: 3, Outcome.DEAD: 1, Outcome.FILTERED: 1}
    assert totals.by_action == {
        "count": {Outcome.DELIVERED: 2, Outcome.DEAD: 1},
        "save": {Outcome.DELIVERED: 1},
        "-": {Outcome.FILTERED: 1},
    }
    assert totals.by_subscription == {
        COUNT: {Outcome.DELIVERED: 2, Outcome.DEAD: 1},
        SAVE: {Outcome.DELIVERED: 1},
    }
    assert sum(sum(counts.values()) for counts in totals.by_action.values()) == totals.rows


def test_what_is_shown() -> None:
    """All outcomes, and the states of what has none: they add up to the rows."""
    statuses: list[Status] = [*Outcome, State.READY, State.UNKNOWN, State.HELD]
    assert list(SHOWN) == statuses
    totals = Totals()
    for line, status in enumerate(statuses):
        totals.add(Row(line, None, Result(status)))
    assert sum(totals.outcomes[status] for status in SHOWN) == totals.rows == len(statuses)


def test_reasons() -> None:
    """By outcome, the most frequent first; the example is of the first line, in whatever order."""
    totals = Totals()
    rows = [
        (9, Outcome.DEAD, "line 9", "SELF_TIMEOUT"),
        (5, Outcome.DEAD, "line 5", "BAD_GATEWAY"),
        (7, Outcome.DEAD, "line 7", "BAD_GATEWAY"),
        (3, Outcome.DEAD, "line 3", "BAD_GATEWAY"),
        (0, Outcome.DEAD, "of an earlier run", "BAD_GATEWAY"),
        (0, Outcome.INVALID, "no code", None),
        (1, Outcome.INVALID, "no code", None),
        (2, Outcome.INVALID, "no code", None),
        (8, Outcome.DELIVERED, "created", None),
    ]
    for line, outcome, reason, code in rows:
        totals.add(Row(line, COUNT, Result(outcome, reason, code)))
    assert totals.reasons == [
        Reason(Outcome.INVALID, "no code", 3, 1, "no code"),
        Reason(Outcome.DEAD, "BAD_GATEWAY", 3, 3, "line 3"),
        Reason(Outcome.DEAD, "SELF_TIMEOUT", 1, 9, "line 9"),
        Reason(Outcome.DEAD, "BAD_GATEWAY", 1, 0, "of an earlier run"),
    ]


KINDS: dict[str, tuple[list[str], int]] = {
    "other fields": (["/a: must be text", "/b: must be text"], 2),
    "other values": (["/a: must be text, not 'x'", "/a: must be text, not 'it is y'"], 1),
    "other quotes": (['/a: "x" is too long', '/a: "y z" is too long'], 1),
    "other numbers": (["/a: -3 is less than 0", "/a: 1,000.5 is less than 0"], 1),
    "other times": (
        ["too late: it is of 2026-01-01T00:00:00Z", "too late: it is of 2025-12-31T10:00:01Z"],
        1,
    ),
    "other lines": (["line 3: no event", "line 1,004: no event"], 1),
    "other files": (["a.ndjson:3: no event", "in/b 2.ndjson:14: no event"], 1),
    "other words": (["HTTP 500: away", "HTTP 503: away", "HTTP 500: broken"], 2),
    "one that is there twice": (["/a: must be text", "/a: must be text"], 1),
}


@pytest.mark.parametrize(("texts", "kinds"), KINDS.values(), ids=KINDS)
def test_reasons_with_one_code(texts: list[str], kinds: int) -> None:
    """Each has a row of its own, unless only the values of events, or their places, differ."""
    totals = Totals()
    for line, text in enumerate(texts, start=1):
        totals.add(Row(line, COUNT, Result(Outcome.INVALID, text, "BAD_REQUEST")))
    assert len(totals.reasons) == kinds
    assert sum(one.count for one in totals.reasons) == len(texts)
    assert totals.reasons[-1].example in texts
    assert not totals.other_reasons


def test_other_reasons_are_counted() -> None:
    """Of one code a few reasons have rows of their own; the others are counted, by outcome."""
    totals = Totals()
    names = [chr(ord("a") + number) for number in range(15)]
    for line, name in enumerate([*names, names[0]], start=1):
        totals.add(Row(line, COUNT, Result(Outcome.INVALID, f"/{name}: missing", "BAD_REQUEST")))
    totals.add(Row(20, COUNT, Result(Outcome.DELIVERED)))
    assert len(totals.reasons) == 10
    assert totals.reasons[0] == Reason(Outcome.INVALID, "BAD_REQUEST", 2, 1, "/a: missing")
    assert totals.other_reasons == {Outcome.INVALID: 5}


@pytest.mark.parametrize("rows", [200, 5000])
def test_the_account_stays_small(rows: int) -> None:
    """However many different reasons there are, few are kept, and all rows are counted."""
    totals = Totals()
    for line in range(rows):
        totals.add(Row(line, None, Result(Outcome.REJECTED, f"reason {line}")))
    assert len(totals.reasons) == 200
    assert totals.rows == rows
