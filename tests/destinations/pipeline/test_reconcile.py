"""What the partner shows tells which of the amounts were added, or that it cannot be told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import DestinationDefinition, ReconcileDefinition
from destinations.http import Answer
from destinations.pipeline.queue import Balance, Increment
from destinations.pipeline.reconcile import _Rule as Rule
from destinations.pipeline.reconcile import judge, longest_way, proposal


def _at(amount: int, period: str | None = "may") -> Balance:
    return Balance("u", amount, period)


@pytest.mark.parametrize(
    ("before", "now", "amounts", "applied"),
    [
        (_at(10), _at(15), [5], (True,)),
        (_at(10), _at(10), [5], (False,)),
        (_at(10), _at(7), [-3], (True,)),
        (_at(0), _at(6), [1, 2, 3], (True, True, True)),
        (_at(0), _at(0), [1, 2, 3], (False, False, False)),
        (_at(0), _at(5), [1, 2, 3], (False, True, True)),
        (_at(0), _at(1), [1, 2, 4], (True, False, False)),
        # Equal amounts: whichever it was, the effect is the same.
        (_at(0), _at(2), [1, 1, 1], (True, True, False)),
        # Of several selections, the first few or the last few, as a request is carried out.
        (_at(0), _at(3), [1, 2, 3, 4], (True, True, False, False)),
        (_at(0), _at(5), [1, 4, 2, 3], (True, True, False, False)),
        (_at(0), _at(7), [4, 3, 1, 2, 5], (True, True, False, False, False)),
        (_at(0), _at(7), [2**n for n in range(20)], (True,) * 3 + (False,) * 17),
        (_at(10, None), _at(15), [5], (True,)),
        (_at(10), _at(15, None), [5], (True,)),
        (_at(3), _at(3), [0], (True,)),
    ],
)
def test_it_can_be_told(
    before: Balance, now: Balance, amounts: Sequence[int], applied: tuple[bool, ...]
) -> None:
    """One selection of the amounts makes the difference."""
    assert judge(before, now, amounts).applied == applied


@pytest.mark.parametrize(
    ("before", "now", "amounts", "why"),
    [
        (None, _at(5), [5], "before is not known"),
        (_at(5), None, [5], "shows no amount"),
        (_at(5, "may"), _at(5, "june"), [5], "a new billing period"),
        (_at(0), _at(4), [5], "another writer"),
        (_at(0), _at(6), [5], "another writer"),
        (_at(0), _at(-1), [5], "another writer"),
        (_at(0), _at(5), [2, 1, 3, 1, 9], "more than one combination"),
        (_at(0), _at(5), [1, 2, 3, 4, 9], "more than one combination"),
        (_at(0), _at(2), [2**n for n in range(20)], "more than one combination"),
    ],
)
def test_it_cannot_be_told(
    before: Balance | None, now: Balance | None, amounts: Sequence[int], why: str
) -> None:
    """Then nothing is decided, and an operator is told why."""
    verdict = judge(before, now, amounts)
    assert verdict.applied is None
    assert why in verdict.why


@pytest.mark.parametrize(
    ("difference", "amounts", "applied"),
    [
        (3, [3, 3], None),
        (6, [3, 3], (True, True)),
        (0, [3, 3], (False, False)),
        (3, [3, 5, 5], (True, False, False)),
        (10, [3, 5, 5], (False, True, True)),
        (5, [3, 5, 5], None),
        (3, [1, 2, 3, 4], None),
        (5, [1, 2, 2**5], None),
    ],
)
def test_what_has_a_key_has_to_be_told_apart(
    difference: int, amounts: Sequence[int], applied: tuple[bool, ...] | None
) -> None:
    """The partner would not count again the one of two equal ones that it has."""
    assert judge(_at(10), _at(10 + difference), amounts, keyed=True).applied == applied
    shown = proposal(_at(10), _at(10 + difference), amounts, keyed=True)
    assert shown is None or applied in {None, shown}


@given(
    amounts=st.lists(st.integers(-6, 6), min_size=1, max_size=7),
    difference=st.integers(-20, 20),
)
def test_what_is_decided_is_what_is_seen(amounts: list[int], difference: int) -> None:
    """What counts as added makes the difference, in the one way that there is.

    If there are several, it is all, none, or the first or last few. Any of them would leave the
    partner with the same amount in the end; but which events it were cannot be told for certain.
    """
    verdict = judge(_at(100), _at(100 + difference), amounts)
    chosen = {
        tuple(sorted(amount for amount, taken in zip(amounts, ways, strict=True) if taken))
        for ways in itertools.product((False, True), repeat=len(amounts))
    }
    ways = [selection for selection in chosen if sum(selection) == difference]
    if verdict.applied is None:
        assert len(ways) != 1
        assert difference not in {0, sum(amounts)}
    else:
        added = [one for one, taken in zip(amounts, verdict.applied, strict=True) if taken]
        assert sum(added) == difference
        runs = [sorted(run) for n in range(len(amounts) + 1) for run in (amounts[:n], amounts[n:])]
        assert len(ways) == 1 or sorted(added) in runs


RULE = ReconcileDefinition(
    ask="shown",
    key=[{"@path": "$.payload.user"}, {"@path": "$.payload.thing"}],
    amount={"@path": "$.payload.by"},
    shown={"@path": "$.answer.used"},
    period={"@path": "$.answer.from"},
    until={"@path": "$.answer.until"},
    nothing=("missing",),
)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"user": "u", "thing": "ü", "by": 3}, Increment('["u","ü"]', 3)),
        ({"user": "u", "by": -3}, Increment('["u",null]', -3)),
        ({"user": "u", "thing": "t"}, None),
        ({"user": "u", "thing": "t", "by": True}, None),
        ({"user": "u", "thing": "t", "by": 1.5}, None),
        ({"user": "u", "thing": "t", "by": "3"}, None),
    ],
)
def test_what_a_payload_adds(payload: dict[str, object], expected: Increment | None) -> None:
    """A key and an integer, or nothing that could be judged by."""
    assert Rule(RULE).increment(payload) == expected


@pytest.mark.parametrize(
    ("answer", "amount"),
    [
        (
            Answer("ok", {"used": 7, "from": "2026-01-01", "until": "2026-02-01T00:00:00Z"}),
            Balance("u", 7, "2026-01-01", 1_769_904_000.0, 5.0),
        ),
        (Answer("ok", {"used": 7}), Balance("u", 7, None, None, 5.0)),
        (Answer("ok", {"used": 7, "until": "soon"}), Balance("u", 7, None, None, 5.0)),
        (Answer("missing"), Balance("u", 0, None, None, 5.0)),
        (Answer("other"), None),
        (Answer("ok", {"used": None}), None),
        (Answer("ok", {"used": "7"}), None),
        (Answer("ok", {"used": True}), None),
        (Answer("ok", None), None),
    ],
)
def test_what_is_shown(answer: Answer, amount: Balance | None) -> None:
    """An integer with its period, nothing where the partner knows of none, else no amount."""
    assert Rule(RULE).balance(answer, "u", 5.0) == amount


@pytest.mark.parametrize(
    ("perform", "requests"),
    [
        ({"request": "save"}, 1),
        ({"steps": [{"name": "a", "request": "save"}, {"name": "b", "request": "save"}]}, 2),
        ({"generator": "sync", "requests": ["find", "create"], "batch": {"size": 5}}, 10),
    ],
)
def test_how_long_a_last_request_takes_to_leave(
    load: Callable[..., DestinationDefinition], perform: dict[str, Any], requests: int
) -> None:
    """The others of a batch may each take the whole time of a request."""

    def change(documents: dict[str, Any]) -> None:
        if "generator" not in perform:
            del documents["sync"]
            del documents["destination"]["presets"][2]
            for name in ("find", "create"):
                documents["destination"]["requests"][name]["graphql"]["variables"] = {"id": "u1"}
        documents["save" if "generator" not in perform else "sync"]["perform"] = perform

    definition = load(change)
    assert longest_way(definition) == (requests - 1) * definition.transport.timeouts.total
