"""The account of a run adds up, and names the reasons."""

from __future__ import annotations

import pytest

from destinations.outcome import Outcome, Result
from destinations.runner import Ledger, Row
from destinations.runner.ledger import Reason


def test_totals_add_up() -> None:
    """Each row counts once in the total, once for its action."""
    ledger = Ledger()
    for line, (action, outcome) in enumerate(
        [
            ("count", Outcome.DELIVERED),
            ("count", Outcome.DEAD),
            ("save", Outcome.DELIVERED),
            (None, Outcome.FILTERED),
            ("count", Outcome.DELIVERED),
        ]
    ):
        ledger.add(Row(line, action, Result(outcome)))
    assert ledger.rows == 5
    assert ledger.outcomes == {Outcome.DELIVERED: 3, Outcome.DEAD: 1, Outcome.FILTERED: 1}
    assert ledger.by_action == {
        "count": {Outcome.DELIVERED: 2, Outcome.DEAD: 1},
        "save": {Outcome.DELIVERED: 1},
        "-": {Outcome.FILTERED: 1},
    }
    assert sum(sum(counts.values()) for counts in ledger.by_action.values()) == ledger.rows


def test_reasons() -> None:
    """By outcome, the most frequent first; the example is of the first line, in whatever order."""
    ledger = Ledger()
    rows = [
        (9, Outcome.DEAD, "line 9", "SELF_TIMEOUT"),
        (5, Outcome.DEAD, "line 5", "BAD_GATEWAY"),
        (7, Outcome.DEAD, "line 7", "BAD_GATEWAY"),
        (3, Outcome.DEAD, "line 3", "BAD_GATEWAY"),
        (1, Outcome.INVALID, "no code", None),
        (2, Outcome.INVALID, "no code", None),
        (8, Outcome.DELIVERED, "created", None),
    ]
    for line, outcome, reason, code in rows:
        ledger.add(Row(line, "count", Result(outcome, reason, code)))
    assert ledger.reasons == [
        Reason(Outcome.INVALID, "no code", 2, 1, "no code"),
        Reason(Outcome.DEAD, "BAD_GATEWAY", 3, 3, "line 3"),
        Reason(Outcome.DEAD, "SELF_TIMEOUT", 1, 9, "line 9"),
    ]


@pytest.mark.parametrize("rows", [200, 5000])
def test_the_account_stays_small(rows: int) -> None:
    """However many different reasons there are, few are kept, and all rows are counted."""
    ledger = Ledger()
    for line in range(rows):
        ledger.add(Row(line, None, Result(Outcome.REJECTED, f"reason {line}")))
    assert len(ledger.reasons) == 200
    assert ledger.rows == rows
