from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from destinations.operations import export_line
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.reading import Entry
from destinations.pipeline.undelivered import unwrap
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker
from destinations.store import StoredLedger

Put = Callable[..., LedgerEntry]

RAW = {"type": "track", "userId": "ü", "properties": {"by": 2}}
NOBODY = Masker(())


@pytest.mark.parametrize(
    "status",
    [
        *(one for one in State if one is not State.DONE),
        Outcome.UNMAPPED,
        Outcome.INVALID,
        Outcome.REJECTED,
        Outcome.DEAD,
    ],
)
def test_what_is_exported_can_be_fed_back(ledger: StoredLedger, put: Put, status: Status) -> None:
    """A run reads the event as it came, for its subscription alone, and what had become of it."""
    entry = put(status, RAW)
    line = export_line(ledger, entry, NOBODY)
    assert line is not None
    assert b"\n" not in line
    wrapped = unwrap(Entry(1, line))
    assert wrapped is not None
    assert json.loads(wrapped.data) == RAW
    assert wrapped.key == SubscriptionKey("Count", "count")
    # What comes of what is being sent, nobody who reads the line can know.
    assert wrapped.outcome == (State.UNKNOWN if status is State.SENDING else status)
    assert wrapped.message_id == entry.message_id != ""
    assert wrapped.may_be_applied is (status in {State.SENDING, State.UNKNOWN, State.HELD})


@pytest.mark.parametrize("status", [Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED])
def test_what_needs_no_event(ledger: StoredLedger, put: Put, status: Status) -> None:
    """The event of what is finished is not kept, so there is nothing to export."""
    assert export_line(ledger, put(status, RAW), NOBODY) is None


def test_the_note(ledger: StoredLedger, put: Put) -> None:
    """It says all that somebody who reads the file has to know; secrets are masked."""
    entry = put(Outcome.DEAD, RAW, reason="the key sk_test_0123456789 is busy")
    line = export_line(ledger, entry, Masker(["sk_test_0123456789"]))
    assert line is not None
    assert json.loads(line)["undelivered"] == {
        "outcome": "dead",
        "messageId": entry.message_id,
        "subscription": "Count",
        "action": "count",
        "reason": "the key *** is busy",
        "code": "SERVICE_UNAVAILABLE",
        "status": 503,
        "attempts": 3,
    }


def test_an_event_without_a_subscription(ledger: StoredLedger, put: Put) -> None:
    """It is for all of them when it is fed back."""
    line = export_line(ledger, put(Outcome.INVALID, RAW, subscription=None), NOBODY)
    assert line is not None
    wrapped = unwrap(Entry(1, line))
    assert wrapped is not None
    assert wrapped.key is None
