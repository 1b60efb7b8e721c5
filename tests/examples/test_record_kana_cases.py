"""The cases of Kana's definition are what the sandbox gives today; none is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations._version import __version__
from destinations.kit.testing import Case, RecordedResponse, Subject, open_subject
from destinations.kit.testing.wire import http_response
from destinations.sandbox.answers import conditions_of, rule_that_reads
from kana_destination.cases import cases, decide, user_state

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import record_kana_cases  # noqa: E402 - it is where the line above says

X, USER = "user@example.com", "user_0001"


@pytest.fixture(scope="module")
def subject() -> Subject:
    return open_subject("kana")


@pytest.fixture(scope="module")
def kept(subject: Subject) -> Mapping[str, Case]:
    """The cases of the definition, by name."""
    return {case.name: case for case in subject.cases()}


@pytest.fixture(scope="module")
def table() -> Mapping[str, Mapping[str, Any]]:
    """What is recorded, by name."""
    rows = yaml.safe_load(record_kana_cases.TABLE.read_text(encoding="utf-8"))["cases"]
    return {row["name"]: row for row in rows}


def test_cases_are_what_the_sandbox_gives_today(subject: Subject) -> None:
    """Recorded again, each case has the same requests, answers and outcomes."""
    assert record_kana_cases.changed(subject, record_kana_cases.CASES) == {}


def test_every_case_can_be_recorded_again(
    kept: Mapping[str, Case], table: Mapping[str, Any]
) -> None:
    """The table has each case of the definition, and each says that the sandbox answered."""
    assert kept.keys() == table.keys()
    against = {case.recorded.against for case in kept.values() if case.recorded is not None}
    assert (against, [case.name for case in kept.values() if case.recorded is None]) == (
        {"sandbox"},
        [],
    )


def _request_names(case: Case) -> set[str]:
    """Return the names of the GraphQL operations in a case."""
    queries = [item.request.json["query"] for item in case.interactions]
    return {query.split("(")[0].split("{")[0].split()[1] for query in queries}


@pytest.mark.parametrize("number", range(1, 11))
def test_the_ten_cases_of_the_guide(
    kept: Mapping[str, Case], table: Mapping[str, Mapping[str, Any]], number: int
) -> None:
    """The recorded account is that of the table's row, and so is what became of the users."""
    name = f"identify-case-{number:02}"
    users = table[name]["users"]
    one = next((user for user in users if user["id"] == USER), None)
    stripe = any(user["id"] == X and "billingId" in user for user in users)
    others = any(user.get("email") == X and user["id"] not in {USER, X} for user in users)
    row = decide(user_state(one, X), stripe=stripe, others=others)
    case = kept[name]
    assert row.number == number
    assert case.description.startswith(f"Case {number}: ")
    (expected,) = case.expected
    assert expected.outcome == "delivered"
    done = {"create": "created", "update": "updated", "merge": "merged", "rename": "renamed"}
    assert str(expected.reason).split()[0] == done[row.then]
    assert ("FreezeUser" in _request_names(case)) is (row.then == "merge")


def test_every_row_with_a_number_is_one_of_them() -> None:
    """The table of the destination has no eleventh case."""
    assert max(row.number or 0 for row in cases().values()) == 10


def test_every_error_rule_is_recorded(subject: Subject, kept: Mapping[str, Case]) -> None:
    """Each error that the definition treats was answered in a case, and its rule read it."""
    requests = subject.definition.requests
    answers = [
        http_response(item.result)
        for case in kept.values()
        for item in case.interactions
        if isinstance(item.result, RecordedResponse)
    ]
    usage, other = requests["recordUsage"], replace(requests["findUser"], answers=())
    read = {
        id(rule_that_reads(answer, request, subject.definition))
        for request in (usage, other)
        for answer in answers
    }
    missing = [
        str(condition)
        for request in (usage, other)
        for condition in conditions_of(request, subject.definition)
        if id(condition) not in read
    ]
    assert missing == []


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of three cases, recorded in this folder by an earlier version."""
    whole = yaml.safe_load(record_kana_cases.TABLE.read_text(encoding="utf-8"))
    names = {"reserved-ids", "error-feature-not-found", "too-many-requests"}
    whole["cases"] = [row for row in whole["cases"] if row["name"] in names]
    table = tmp_path / "table.yaml"
    table.write_text(yaml.safe_dump(whole), encoding="utf-8")
    monkeypatch.setattr(record_kana_cases, "TABLE", table)
    assert record_kana_cases.main(["--cases", str(tmp_path)]) == 0
    for path in tmp_path.glob("*-*.yaml"):
        text = path.read_text(encoding="utf-8")
        text = text.replace(f"version: {__version__}", "version: 0.0.1")
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_only_what_has_changed_is_written(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case of an earlier version stays if it is the same; ``--check`` names the others."""
    assert record_kana_cases.main(["--cases", str(small), "--check"]) == 0
    same, changed = small / "reserved-ids.yaml", small / "too-many-requests.yaml"
    (small / "error-feature-not-found.yaml").unlink()
    text = changed.read_text(encoding="utf-8").replace("retry-after: '2'", "retry-after: '1'")
    changed.write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert record_kana_cases.main(["--cases", str(small), "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"changed: {changed}",
        f"changed: {small / 'error-feature-not-found.yaml'}",
    ]
    assert changed.read_text(encoding="utf-8") == text
    assert record_kana_cases.main(["--cases", str(small)]) == 0
    assert "retry-after: '2'" in changed.read_text(encoding="utf-8")
    assert "version: 0.0.1" in same.read_text(encoding="utf-8")
