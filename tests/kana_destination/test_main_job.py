from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


FIXTURES = ROOT / "tests" / "fixtures" / "examples"
EXAMPLES = {
    "everyday": ROOT / "examples" / "events.ndjson",
    "faulty": ROOT / "examples" / "faulty.ndjson",
    "every case": FIXTURES / "every-case.ndjson",
}


@pytest.fixture(scope="module", params=EXAMPLES)
def events(request: pytest.FixtureRequest) -> Path:
    """The file of example events."""
    return EXAMPLES[request.param]


@pytest.fixture(scope="module")
def ledger(events: Path) -> dict[str, Any]:
    """What must become of every line of the example, known from the script that made it."""
    path = FIXTURES / f"{events.stem}.ledger.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Delivered:
    """The example, delivered to the sandbox's own account: what there was before and after."""

    kana: Any
    before: Any
    report: Any
    rows: Any
    usage: Any
    users: Any


@pytest.fixture(scope="module", params=[False, True], ids=["one by one", "side by side"])
def example(
    make_shared_kana: Callable[..., Any], request: pytest.FixtureRequest, events: Path
) -> Delivered:
    """The example is delivered once; no test changes what it left."""
    kana = make_shared_kana()
    kana.side_by_side = request.param
    before = kana.usage
    report = kana.run_stream(events.read_bytes())
    return Delivered(kana, before, report, kana.rows, kana.usage, kana.users)


def test_every_line_ends_as_it_must(example: Any, ledger: Any) -> None:
    """Outcome and action of each line are those known beforehand, and the totals add up.

    A line that a later one corrects is told as it was, and counted as filtered in the end.
    """
    found = {
        line: sorted(
            (row.result.outcome.value, "-" if row.key is None else row.key.action) for row in rows
        )
        for line, rows in example.rows.items()
    }
    expected = {
        entry["line"]: [(entry.get("was", entry["outcome"]), entry["action"])]
        for entry in ledger["by_line"]
    }
    assert found == expected
    assert example.report.lines == ledger["lines"]
    totals = example.report.totals
    assert totals.rows == ledger["rows"] == ledger["lines"] - ledger["empty"]
    assert _counts(totals.outcomes) == ledger["outcomes"]
    counted = {action: _counts(counts) for action, counts in totals.by_action.items()}
    assert counted == ledger["by_action"]


def _counts(counts: Any) -> dict[str, int]:
    return {status.value: count for status, count in counts.items() if count}


def test_usage_is_the_sum_of_the_delivered_deltas(example: Any, ledger: Any) -> None:
    """Per user and feature, exactly: nothing is lost and nothing is counted twice."""
    grown: dict[str, dict[str, int]] = {}
    for user, amounts in example.usage.items():
        for feature, amount in amounts.items():
            more = amount - example.before.get(user, {}).get(feature, 0)
            if more or feature in ledger["usage"].get(user, {}):
                grown.setdefault(user, {})[feature] = more
    assert grown == ledger["usage"]


def test_users_are_as_their_last_identify_left_them(example: Any, ledger: Any) -> None:
    """Every identified user holds the fields that the file gives it."""
    users = example.users
    found = {
        user: {key: users[user][key] for key in held} for user, held in ledger["users"].items()
    }
    assert found == ledger["users"]


def test_a_second_run_changes_no_user(example: Any, ledger: Any, events: Path) -> None:
    """Identifies may be repeated: after a second run the users of one identify are the same."""
    example.kana.run_stream(events.read_bytes())
    assert example.kana.users == example.users
    assert len(example.users) >= len(ledger["users"])
