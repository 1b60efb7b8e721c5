from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import fields

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    RunContext,
    RunRecord,
    account_figures,
    last_run,
    lock_run,
    note_run,
)
from destinations.operations.run_records import RunReason
from destinations.outcome import Outcome, Result, State
from destinations.pipeline.event_names import UnmappedNames
from destinations.pipeline.places import Places
from destinations.pipeline.report import NotKept, Report, Row, Stopped
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker
from destinations.store import SqliteStore, StoredLedger, erase_user
from tests.stores import AnyStore, both_kinds

KEY = SubscriptionKey("Count", "count")
SECRET = "sk_live_abcdefgh"
CONTEXT = RunContext("sample", "Sample", "1.2.0", "main", "events.ndjson")

SECOND = AccountIdentity("sample", "http://127.0.0.1/", "", "another key", "second")


def _report() -> Report:
    """The report of a run in which everything happened."""
    report = Report(lines=9, empty=1, requests=4, seconds=2.5, began=100.0, ended=102.5)
    for number, result in enumerate(
        [
            Result(Outcome.DELIVERED, ""),
            Result(Outcome.DEAD, f"refused with {SECRET}", "GONE"),
            Result(Outcome.DEAD, "later", "GONE"),
            Result(Outcome.UNMAPPED, "no rule"),
            Result(State.READY, "not sent"),
            Result(State.HELD, "nobody knows", "ANSWER_LOST"),
        ],
        1,
    ):
        report.totals.add(Row(number, KEY, result))
        report.timeline.add([result.outcome], 100.0 + number)
    report.totals.add(Row(7, None, Result(Outcome.INVALID, "line 7: is not JSON")))
    report.earlier[Outcome.DELIVERED] = 3
    report.derived["content"] = 2
    report.stopped = Stopped("unavailable", 8, f"no answer to {SECRET}")
    report.not_kept = NotKept(2, 1, 8, f"full {SECRET}")
    report.hidden_from = 5
    return report


def _record() -> RunRecord:
    names = UnmappedNames()
    unmapped = Row(4, KEY, Result(Outcome.UNMAPPED, "no rule"))
    names.record([(unmapped, json.dumps({"event": f"Used {SECRET}"}).encode())])
    return RunRecord.of(
        _report(), CONTEXT, Masker([SECRET]), exit_code=75, names=names, failure=f"x {SECRET}"
    )


def test_a_record_has_what_the_report_has() -> None:
    """Counts, reasons with their first line, and why it ended; what was read has a row, or not."""
    record = _record()
    assert record.outcomes == {
        "delivered": 1,
        "unmapped": 1,
        "invalid": 1,
        "dead": 2,
        "ready": 1,
        "held": 1,
    }
    assert [(one.name, sum(one.outcomes.values())) for one in record.subscriptions] == [
        ("", 1),
        ("Count", 6),
    ]
    assert record.reasons == [
        RunReason("unmapped", "", 1, "line 4", "no rule"),
        RunReason("invalid", "", 1, "line 7", "is not JSON"),
        RunReason("dead", "GONE", 1, "line 2", "refused with ***"),
        RunReason("dead", "GONE", 1, "line 3", "later"),
        RunReason("ready", "", 1, "line 5", "not sent"),
        RunReason("held", "ANSWER_LOST", 1, "line 6", "nobody knows"),
    ]
    assert (record.rows, record.missing) == (7, 1)
    assert record.unmapped == {"Used ***": 1}
    assert (record.stopped_at, record.why_stopped) == ("line 8", "no answer to ***")
    assert record.not_kept == "2 from line 8 on: full ***"


def test_a_record_as_json() -> None:
    """It is the same again; no secret is in it, and it says which version can read it."""
    record = _record()
    text = json.dumps(record.to_json())
    assert SECRET not in text
    again = RunRecord.from_json(json.loads(text))
    for one in fields(RunRecord):
        if one.name != "timeline":
            assert getattr(again, one.name) == getattr(record, one.name), one.name
    assert again.timeline.values() == record.timeline.values()
    with pytest.raises(UsageError, match=r"another version of this package \(0\.9\)"):
        RunRecord.from_json({"format": 2, "made_by": "0.9"})


def test_places_in_several_files() -> None:
    """A reason names the file that has its first line."""
    places = Places()
    places.begin("a.ndjson", 0)
    places.begin("b.ndjson", 10)
    report = Report(places=places)
    report.totals.add(Row(12, None, Result(Outcome.INVALID, "b.ndjson:2: is not JSON")))
    (reason,) = RunRecord.of(report, CONTEXT, Masker(), exit_code=1).reasons
    assert (reason.place, reason.text) == ("b.ndjson:2", "is not JSON")


@both_kinds
def test_the_last_run(store: AnyStore, add_delivery: Callable[..., int]) -> None:
    """It is the one that ended last, of those that are asked for."""
    with pytest.raises(UsageError, match="no run is recorded in"):
        last_run(store)
    store.accounts().add(SECOND)
    for account in (None, "second"):
        add_delivery(store, served=False, account=account)
    scopes = {one.label: one.id for one in store.ledger().totals(0.0)}
    record = _record()
    for account, ended in (("second", 300.0), ("unnamed-2", 200.0)):
        report = _report()
        report.ended = ended
        made = RunRecord.of(report, CONTEXT, Masker(), exit_code=0)
        note_run(store, scopes[account], made)
    note_run(store, 999, record)  # a scope that is gone
    assert last_run(store)[1] == scopes["second"]
    assert last_run(store, account="unnamed-2")[0].ended == 200.0
    assert last_run(store, destination="sample")[1] == scopes["second"]
    message = "no run of other for the account main is recorded in"
    with pytest.raises(UsageError, match=message):
        last_run(store, destination="other", account="main")


@both_kinds
def test_the_account_now(
    store: AnyStore, ledger: StoredLedger, add_delivery: Callable[..., int]
) -> None:
    """All ways to count agree, and what an operator decides on is there with its numbers."""

    def add(**columns: object) -> int:
        return add_delivery(
            store, served=False, account="main", settled_at=10 * 86_400.0, **columns
        )

    held = add(status=State.HELD, evidence={"before": 7, "expected": 12, "found": 9})
    for status in (Outcome.DELIVERED, Outcome.DEAD, State.READY):
        add(status=status)
    lost = add(sending=True)
    add(subscription=None, status=Outcome.FILTERED)
    add_delivery(store, status=State.HELD)  # of a server
    scope = ledger.get(held).scope
    with lock_run(store, scope, "sample"):
        going_on = account_figures(store, scope, 3_000.0)
        ended = account_figures(store, scope, 3_000.0, has_ended=True)
    assert going_on is not None
    assert ended is not None
    finished = {"delivered": 1, "filtered": 1, "dead": 1}
    # In a database, it is the session of a process that says whether it goes on.
    state = "sending" if isinstance(store, SqliteStore) else "unknown"
    assert going_on.counts == {**finished, "ready": 1, state: 1, "held": 1}
    assert ended.counts == {**finished, "ready": 1, "unknown": 1, "held": 1}
    for one in (going_on, ended):
        assert [(each.name, each.action) for each in one.subscriptions] == [
            *(("", ""), ("Count", "count")),
        ]
        sums = Counter[str]()
        for each in one.subscriptions:
            sums.update(each.outcomes)
        assert sums == one.counts
        assert one.rows == 6
        assert one.days == {10: {**finished, "held": 1}}
    assert [one.id for one in going_on.undecided][:1] == [held]
    assert [one.id for one in ended.undecided] == [held, lost]
    assert account_figures(store, 999, 3_000.0) is None


@both_kinds
def test_erasing_a_user_erases_the_record(
    store: AnyStore, ledger: StoredLedger, add_delivery: Callable[..., int]
) -> None:
    """A reason may quote the user's event, so the record of that account goes, and no other."""
    store.accounts().add(SECOND)
    ids = [
        add_delivery(store, served=False, account=account, user="ann", status=Outcome.DEAD)
        for account in (None, "second")
    ]
    for one in ids:
        note_run(store, ledger.get(one).scope, _record())
    scope = ledger.get(ids[0]).scope
    erase_user(store.database, "ann", [scope], b"a key", 3_000.0)
    assert last_run(store)[1] == ledger.get(ids[1]).scope
    with pytest.raises(UsageError, match="was erased by destinations forget"):
        last_run(store, account="unnamed-2")
