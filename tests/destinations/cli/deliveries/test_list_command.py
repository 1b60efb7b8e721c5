from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Drift, Round, Scope
from destinations.postgres import StoreAddress, open_at
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]


def test_an_empty_store(deliveries: Run, path: StoreAddress) -> None:
    """Nothing needs an operator, and that is no error."""
    done = deliveries("list")
    assert (done.code, done.out.strip()) == (0, f"0 deliveries that need an operator, in {path}")
    assert deliveries("list", "--json").json == {
        "store": str(path),
        "total": 0,
        "classes": [],
        "deliveries": [],
    }


def test_the_table(deliveries: Run, dead: Put, held: Put, put: Put, path: StoreAddress) -> None:
    """What needs an operator, with what it takes to find it again, and counts by class."""
    dead()
    held()
    put()
    text = deliveries("list").out
    assert text.startswith("2 deliveries that need an operator, in ")
    row = " ".join(text.splitlines()[2].split())
    assert row == (
        "1000 1970-01-01T00:16:40Z sample Counts u1 track/m1 dead 3 "
        "SERVICE_UNAVAILABLE: the partner is down"
    )
    assert " held " in text.splitlines()[3]
    assert f"To see one: destinations deliveries show ID --store {path}\n" in text
    classes = text.partition("By class\n")[2]
    assert "SERVICE_UNAVAILABLE" in classes
    assert "held" in classes
    assert deliveries("list", "--all").out.startswith("3 deliveries, in ")


def test_one_delivery(deliveries: Run, dead: Put, put: Put) -> None:
    """It is written as one."""
    dead()
    assert deliveries("list").out.startswith("1 delivery that needs an operator, in ")
    put()
    assert deliveries("list", "--state", "ready").out.startswith("1 delivery, in ")


# With the deliveries that each shows, in thousands.
FILTERS: Sequence[tuple[tuple[str, ...], set[int]]] = [
    ((), {1, 2, 6}),
    (("--all",), {1, 2, 3, 4, 5, 6}),
    (("--state", "ready"), {3}),
    (("--state", "sending"), {5}),
    (("--state", "held"), {2}),
    (("--state", "unknown"), set()),
    (("--outcome", "dead"), {1}),
    (("--outcome", "delivered"), {4}),
    (("--since", "1970-01-01", "--until", "2026-05-04"), {1, 2, 6}),
    (("--code", "SERVICE_UNAVAILABLE"), {1}),
    (("--user", "u2"), {2}),
    (("--user", "u2", "--all"), {2, 4}),
    (("--destination", "sample"), {1, 2, 6}),
    (("--destination", "other"), set()),
    (("--account", "main"), {6}),
    (("--account", "nobody"), set()),
    (("--since", "1970-01-01T00:16:40Z"), {1, 2, 6}),
    (("--since", "2h"), set()),
    (("--until", "1970-01-01T00:16:40Z"), set()),
    (("--limit", "1"), {1}),
    (("--limit", "2", "--all"), {1, 2}),
]


def test_filters(
    deliveries: Run,
    dead: Put,
    held: Put,
    put: Put,
    named_account: Callable[[], None],
    served: Callable[..., Any],
) -> None:
    """Each narrows what is shown; the class that is asked for replaces that of the default."""
    named_account()
    dead()
    held(user="u2")
    put()
    put(user="u2", status=Outcome.DELIVERED)
    put(sending=True)
    put(served=False, account="main", status=Outcome.REJECTED)
    with served("sample"):
        for options, ids in FILTERS:
            found = deliveries("list", *options, "--json").json
            shown = {one["id"] for one in found["deliveries"]}
            assert shown == {number * 1000 for number in ids}, options
            if "--limit" not in options:
                counted = sum(one["deliveries"] for one in found["classes"])
                assert found["total"] == len(ids) == counted, options


def test_as_json(deliveries: Run, held: Put, dead: Put) -> None:
    """Everything that is known of each, and the counts by class."""
    held()
    dead()
    found = deliveries("list", "--json").json
    assert found["classes"] == [
        {
            "destination": "sample",
            "class": "dead",
            "code": "SERVICE_UNAVAILABLE",
            "deliveries": 1,
        },
        {"destination": "sample", "class": "held", "code": None, "deliveries": 1},
    ]
    assert found["deliveries"][0] == {
        "id": 1000,
        "event_id": 1,
        "destination": "sample",
        "account": "http://127.0.0.1/, unnamed-1",
        "tenant": None,
        "user": "u1",
        "subscription": "Counts",
        "action": "count",
        "connection": None,
        "type": "track",
        "message_id": "m1",
        "state": "held",
        "outcome": None,
        "effect": "maybe",
        "attempts": 1,
        "accepted_at": 1_000.0,
        "first_attempt_at": 2_000.0,
        "next_at": None,
        "settled_at": 2_000.0,
        "code": None,
        "status": None,
        "reason": "",
        "stage": "send",
        "increment": {"key": "u1 calls", "amount": 5},
        "restored": False,
        "evidence": {"expected": 12_000, "found": 9, "note": "another writer"},
    }
    assert (found["deliveries"][1]["state"], found["deliveries"][1]["outcome"]) == ("done", "dead")


def test_the_limit_says_that_there_are_more(deliveries: Run, dead: Put) -> None:
    """The counts are of all."""
    for _ in range(3):
        dead()
    text = deliveries("list", "--limit", 2).out
    assert text.startswith("3 deliveries that need an operator, in ")
    assert "These are the first 2; --limit shows more." in text


@few_in_postgres
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--limit", "0"), "0 is not in the range"),
        (
            ("--all", "--outcome", "dead"),
            "--all cannot be used with --state, --outcome, --code or --needs-operator",
        ),
        (
            ("--all", "--state", "held"),
            "--all cannot be used with --state, --outcome, --code or --needs-operator",
        ),
        (
            ("--all", "--code", "X"),
            "--all cannot be used with --state, --outcome, --code or --needs-operator",
        ),
    ],
)
def test_wrong_options(deliveries: Run, options: tuple[str, ...], message: str) -> None:
    """Each is refused with what would be right."""
    done = deliveries("list", *options)
    assert done.code == 2
    assert message in done.err


def test_an_event_without_a_subscription(deliveries: Run, put: Put) -> None:
    """It stands there without one."""
    put(subscription=None, status=Outcome.INVALID, reason="no event")
    row = deliveries("list").out.splitlines()[2]
    assert row.split()[2:] == ["sample", "u1", "track/m1", "invalid", "0", "no", "event"]


@few_in_postgres
@pytest.mark.parametrize("state", [State.READY, State.UNKNOWN])
def test_why_it_waits(deliveries: Run, put: Put, state: State) -> None:
    """What waits after an attempt says why it failed."""
    put(status=state, reason="busy", code="BUSY", attempts=1, next_at=5_000.0)
    row = " ".join(deliveries("list", "--state", state).out.splitlines()[2].split())
    assert row.endswith(f"track/m1 {state} 1 BUSY: busy")


def test_nothing_drives_the_terminal(deliveries: Run, dead: Put) -> None:
    """Users, names and reasons come from anywhere."""
    dead(user="\x1b[2Ju", reason="[bold]no[/bold]\x07\nnext")
    text = deliveries("list").out
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]no[/bold]" in text


@pytest.fixture
def drifted(path: StoreAddress, put: Callable[..., int]) -> None:
    """Balances of two users that were not as expected."""
    put()  # so that there is a destination
    with open_at(path) as store:
        queue = store.queue()
        (scope,) = [Scope(one.id, one.destination) for one in store.ledger().totals(0.0)]
        drifts = [
            Drift('["u1","calls"]', "u1", 12_000, 12_005, 1_000.0, (1_000,)),
            Drift('["u2","calls"]', "u2", 7, 3, 2_000.0),
        ]
        queue.commit(Round(drifts=[(scope, one) for one in drifts]))


def test_drift(deliveries: Callable[..., Any], drifted: None) -> None:  # noqa: ARG001 - it is there
    """Balances are listed with both numbers, and with what was sent a second time."""
    done = deliveries("list", "--drift")
    assert done.code == 0
    assert "2 unexpected balances" in done.out
    for text in ('["u1","calls"]', "12,000", "12,005", "1000", '["u2","calls"]'):
        assert text in done.out
    assert "count twice" in done.out
    done = deliveries("list", "--drift", "--user", "u2", "--json")
    shown = json.loads(done.out)
    assert shown["total"] == 1
    assert [(one["expected"], one["found"]) for one in shown["drifts"]] == [(7, 3)]
    assert deliveries("list", "--drift", "--all").code == 2
    assert deliveries("list", "--drift", "--state", "held").code == 2
    done = deliveries("list", "--drift", "--destination", "nobody")
    assert (done.code, "0 unexpected balances" in done.out) == (0, True)


def test_unmapped_ones_are_told(deliveries: Run, put: Put, path: StoreAddress) -> None:
    """They need a rule, as the console says, and are not in the list: a line counts them."""
    put(status=Outcome.UNMAPPED)
    put(status=Outcome.UNMAPPED)
    told = (
        "And 2 unmapped, which wait for a rule. "
        f"See: destinations deliveries list --outcome unmapped --store {path}"
    )
    assert deliveries("list").out.splitlines()[-1] == told
    assert told in deliveries("list", "--needs-operator").out
    assert "And 2 unmapped" not in deliveries("list", "--all").out
    assert deliveries("list", "--outcome", "unmapped", "--json").json["total"] == 2


def test_after_a_process_was_killed(deliveries: Run, put: Put, path: StoreAddress) -> None:
    """What it was sending is unknown, also to whoever looks for what needs an operator."""
    put(sending=True)
    put(sending=True)
    text = deliveries("list").out
    assert text.splitlines()[-1] == (
        "2 more are unknown: a run or server asks the partner. "
        f"See: destinations deliveries list --state unknown --store {path}"
    )
    found = deliveries("list", "--state", "unknown", "--json").json
    assert [one["code"] for one in found["deliveries"]] == ["ANSWER_LOST"] * 2
    assert found["classes"] == [
        {"destination": "sample", "class": "unknown", "code": "ANSWER_LOST", "deliveries": 2}
    ]
    assert deliveries("list", "--state", "sending", "--json").json["total"] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--account", "nobody"), "The store has no account 'nobody'; it has: unnamed-1.\n"),
        (("--destination", "none"), "The store has no destination 'none'; it has: sample.\n"),
        (("--account", "unnamed-1", "--destination", "sample"), ""),
    ],
)
def test_a_name_that_nothing_has(
    deliveries: Run, dead: Put, options: tuple[str, ...], told: str
) -> None:
    """It is said, so that nobody takes it for an account without deliveries."""
    dead()
    for command in (("list",), ("export",), ("drop", "--reason", "x", "--dry-run")):
        done = deliveries(*command, *options)
        assert done.code == 0
        assert done.err.startswith(told)
        assert ("The store has no" in done.err) is bool(told)
