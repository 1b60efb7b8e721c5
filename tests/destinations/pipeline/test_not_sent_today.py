"""What may have been applied, and what today's definition sends no more: it leaves a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.ledger import LedgerEntry
from destinations.runtime.destination import Destination
from tests.destinations.pipeline.conftest import Bench
from tests.destinations.pipeline.metering import HOUR, MeteringPartner, metered
from tests.destinations.pipeline.test_run import Runner, _entries, _track

Documents = dict[str, Any]
Change = Callable[[Documents], None]

MAY_BE = "an earlier attempt may have been applied"


def _idempotent(documents: Documents) -> None:
    """Let the partner recognise what it has for good."""
    count = documents["destination"]["requests"]["count"]
    count["rest"]["json"]["key"] = {"@path": "$.event.messageId"}
    count["idempotent"] = True
    del count["idempotencyKey"]


def _resent(documents: Documents) -> None:
    """Let what may count twice be sent again."""
    count = documents["destination"]["requests"]["count"]
    count["rest"]["json"]["key"] = {"@path": "$.event.messageId"}
    count["onLostAnswer"] = "resend"
    del count["idempotencyKey"]


def _invalid(documents: Documents) -> None:
    documents["count"]["fields"]["properties"]["by"]["default"] = {"@path": "$.event"}


def _unmapped(documents: Documents) -> None:
    documents["count"]["fields"]["properties"]["thing"]["default"] = {"@path": "$.nothing"}


def _unmade(documents: Documents) -> None:
    """Let the request be one that cannot be made of the event."""
    json = documents["destination"]["requests"]["count"]["rest"]["json"]
    json["by"] = {"@convert": {"value": {"@path": "$.payload.thing"}, "to": "number"}}


def _filtered(documents: Documents) -> None:
    presets = documents["destination"]["presets"]
    presets[0]["subscribe"] = 'type = "track" and event = "Other"'


def _change(*changes: Change) -> Change:
    def change(documents: Documents) -> None:
        for one in (metered(batch=1), *changes):
            one(documents)

    return change


def _meet(one: Bench, partner: Any) -> None:
    one.partner = partner
    one.sender._transport = partner


def _lost(one: Bench, make: Destination) -> MeteringPartner:
    """Let an event be counted, and its answer be lost."""
    one.destination = make
    one.restart()
    partner = MeteringPartner(one.clock)
    _meet(one, partner)
    partner.acts = ["lost"]
    one.accept(("a", 3))
    one.step()
    one.step()
    return partner


def _with(one: Bench, make: Destination, partner: MeteringPartner) -> LedgerEntry:
    """Go on with another definition."""
    one.destination = make
    one.clock.now += HOUR
    one.restart()
    _meet(one, partner)
    one.step()
    one.run()
    (entry,) = one.entries
    return entry


@pytest.mark.parametrize("today", [_invalid, _unmapped, _unmade, _filtered])
def test_an_idempotent_one_is_dead(
    bench: Callable[..., Bench], bind: Callable[..., Destination], today: Change
) -> None:
    """Its row says that it may have been applied; a replay may send it again."""
    one = bench()
    partner = _lost(one, bind(_change(_idempotent)))
    entry = _with(one, bind(_change(_idempotent, today)), partner)
    assert (entry.status, entry.effect) == (Outcome.DEAD, Effect.MAYBE)
    assert entry.reason.endswith(MAY_BE)
    assert partner.counts == {"a": 3}


@pytest.mark.parametrize("today", [_invalid, _unmapped, _unmade, _filtered])
def test_one_that_would_count_twice_is_held(
    bench: Callable[..., Bench], bind: Callable[..., Destination], today: Change
) -> None:
    """An operator decides, as on what is given up."""
    one = bench()
    partner = _lost(one, bind(_change(_resent)))
    entry = _with(one, bind(_change(_resent, today)), partner)
    assert (entry.status, entry.effect) == (State.HELD, Effect.MAYBE)
    assert partner.counts == {"a": 3}


@pytest.mark.parametrize("today", [_invalid, _unmapped])
@pytest.mark.parametrize("kind", ["key", "idempotent", "resent"])
def test_a_second_run(
    bind: Callable[..., Destination], tmp_path: Path, kind: str, today: Change
) -> None:
    """By its key it is sent as before; else it is dead or held, and no correction replaces it."""
    of_kind = {"key": [], "idempotent": [_idempotent], "resent": [_resent]}[kind]
    runner = Runner(bind(_change(*of_kind)), tmp_path / "store.sqlite3")
    partner = MeteringPartner(runner.clock)
    partner.acts, partner.always = ["lost"], "503"
    event = {**_track(3, "a", messageId="m1"), "properties": {"by": 3, "thing": "a"}}
    runner(partner, _entries(event), outage=1.0)
    assert [(one.status, one.effect) for one in runner.ledger] == [(State.READY, Effect.MAYBE)]
    partner.always = "done"
    runner.destination = bind(_change(*of_kind, today))
    runner(partner, _entries(event))
    (entry,) = runner.ledger
    wanted = {"key": Outcome.DELIVERED, "idempotent": Outcome.DEAD, "resent": State.HELD}
    assert entry.status is wanted[kind]
    assert kind == "key" or entry.effect is Effect.MAYBE
    runner.destination = bind(_change(*of_kind))
    corrected = {**event, "properties": {"by": 4, "thing": "a"}}
    runner(partner, _entries(corrected))
    assert partner.counts == {"a": 3}
