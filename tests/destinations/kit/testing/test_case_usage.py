"""A recorded case says what is kept as usage, and what the partner shows when it is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import load_definition
from destinations.definition.document import read_document
from destinations.errors import DefinitionError, UsageError
from destinations.kit.exporter.case_tests import case_deliveries
from destinations.kit.testing.case import AskedUsage, Case, ExpectedUsage
from destinations.kit.testing.case_reading import build_case, read_case
from destinations.kit.testing.case_writing import case_text
from destinations.kit.testing.personal_data import personal_values
from destinations.kit.testing.pseudonyms import personal_places, pseudonymised
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject, open_subject
from destinations.kit.testing.updating import update_of
from destinations.runtime import usage as runtime_usage
from destinations.runtime.destination import Code
from tests.destinations.counting import write_counter

Change = Callable[[dict[str, Any]], object]

CASE = """\
# What was delivered, and what the partner has of it.
description: Two events of a user, whom the partner is asked about.
settings: {apiKey: placeholder-apiKey, endpoint: https://api.example.com}
clock: '2026-03-05T15:00:00Z'
events:
- {type: track, event: GB, userId: ann-4711, messageId: m-1, timestamp: '2026-03-05T14:30:00.250Z',
  properties: {amount: '2.50', customer: ann-4711}}
- {type: track, event: GB, userId: ann-4711, messageId: m-2, timestamp: '2026-03-05T14:31:00Z',
  properties: {amount: some, customer: ann-4711}}
interactions:
- request: {method: POST, url: https://api.example.com/events}
  response: {status: 200, json: {}}
- request: {method: POST, url: https://api.example.com/events}
  response: {status: 200, json: {}}
- request: {method: GET, url: https://api.example.com/meters}
  response: {status: 200, json: {data: [{id: m1, event: {name: GB}}]}}
- request:
    method: GET
    url: https://api.example.com/meters/m1/usage?user=ann-4711&from=2026-03-05T14%3A00%3A00Z&to=1772722800000
  response: {status: 200, json: {data: [{value: 2}, {value: '0.5'}]}}
- request:
    method: GET
    url: https://api.example.com/meters/m1/usage?user=ann-4711&from=2026-03-05T13%3A00%3A00Z&to=1772719200000
  response: {status: 200, body: try later}
expected:
- event: 1
  action: count
  outcome: delivered
  usage: {user: ann-4711, feature: GB, amount: 2.5, at: '2026-03-05T15:30:00.250+01:00'}
- event: 2
  action: count
  outcome: delivered
  usage: {amount: null}  # it is no number
usage:
- {action: count, user: ann-4711, feature: GB,
   from: '2026-03-05T14:00:00Z', to: '2026-03-05T15:00:00Z', shown: '2.50'}
- {action: count, user: ann-4711, feature: GB,
   from: '2026-03-05T13:00:00Z', to: '2026-03-05T14:00:00Z', error: expected JSON}
"""
SUMS = "https://api.example.com/meters/m1/usage"
BODIES = [
    {"id": "m-1", "user": "ann-4711", "meter": "GB", "amount": "2.50"},
    {"id": "m-2", "user": "ann-4711", "meter": "GB", "amount": "some"},
]


def data_of_case() -> dict[str, Any]:
    """Return what the case says, with the bodies of its requests."""
    data: dict[str, Any] = yaml.safe_load(CASE)
    for body, event, item in zip(BODIES, data["events"], data["interactions"], strict=False):
        item["request"]["json"] = {**body, "at": event["timestamp"]}
    return data


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """The destination that counts."""
    folder = write_counter(tmp_path)
    return Subject(folder, load_definition(folder), Code())


def written(subject: Subject, change: Change | None = None) -> Path:
    """Write the case to its folder, changed by a function of what it says."""
    data = data_of_case()
    if change is not None:
        change(data)
    path = Path(str(subject.folder)) / "cases" / "asked.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
    return path


def built(subject: Subject, change: Change | None = None) -> Case:
    """Return the case, changed by a function of what it says."""
    return read_case(written(subject, change), subject.definition)


def found(subject: Subject, change: Change | None = None) -> list[str]:
    """Return what differs when the case is replayed."""
    return [str(one) for one in replay(subject, built(subject, change)).differences]


def test_a_case_that_holds(subject: Subject) -> None:
    """All is as the case says; the meter was looked up once for both questions."""
    report = replay(subject, built(subject))
    assert report.differences == ()
    assert (report.events, report.requests) == (2, 5)


def _of(number: int, **changed: Any) -> Change:
    return lambda data: data["expected"][number]["usage"].update(changed)


def _asked(number: int, **changed: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        one = data["usage"][number]
        one.update(changed)
        for key in [key for key, value in changed.items() if value is None]:
            del one[key]

    return change


def _answer(number: int, **response: Any) -> Change:
    return lambda data: data["interactions"][number].update(response=response)


def _dropped(data: dict[str, Any]) -> None:
    del data["interactions"][-1], data["usage"][-1]


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        (_of(0, amount="2.51"), ['event 1, count usage amount: expected "2.51", got "2.5"']),
        (_of(0, amount=None), ['event 1, count usage amount: expected null, got "2.5"']),
        (_of(1, amount="1"), ['event 2, count usage amount: expected "1", got null']),
        (_of(1, user="bob"), ['event 2, count usage user: expected "bob", got "ann-4711"']),
        (
            _of(1, feature="calls", at="2026-03-05T14:31:00.001Z"),
            [
                'event 2, count usage feature: expected "calls", got "GB"',
                'event 2, count usage at: expected "2026-03-05T14:31:00.001Z", got',
            ],
        ),
        (_asked(0, shown=2), ['usage 1, GB of ann-4711 shown: expected "2", got "2.5"']),
        (
            _asked(0, shown=None, error="no number"),
            ['usage 1, GB of ann-4711 error: expected "no number", got "2.5 shown"'],
        ),
        (
            _asked(1, error="no number"),
            ['usage 2, GB of ann-4711 error: expected "no number", got "sums: expected JSON, and'],
        ),
        (
            _asked(1, error=None, shown=0),
            ['usage 2, GB of ann-4711 shown: expected "0", got "an error: sums: expected JSON,'],
        ),
        (
            _answer(3, status=200, json={"data": [{"value": "2.49"}]}),
            ['usage 1, GB of ann-4711 shown: expected "2.5", got "2.49"'],
        ),
        (
            _answer(4, status=404),
            ['usage 2, GB of ann-4711 error: expected "expected JSON", got "0 shown"'],
        ),
        (lambda data: data["interactions"].pop(), ['request 5: expected nothing, got "GET']),
        (lambda data: data["usage"].pop(), ['request 5: expected "GET']),
        (
            _asked(0, user="bob"),
            ["request 4 url: expected"],
        ),
        (_dropped, []),
        (lambda data: data["expected"][1].pop("usage"), []),
    ],
)
def test_a_case_that_differs(subject: Subject, change: Change, differences: list[str]) -> None:
    """Each difference says which part, what was expected, and what there is."""
    got = found(subject, change)
    assert len(got) == len(differences)
    for one, start in zip(got, differences, strict=True):
        assert one.startswith(start)


def test_a_runtime_that_keeps_something_else(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is what the runtime keeps, not what the case says."""
    monkeypatch.setattr(runtime_usage, "_time", lambda *_: 0)
    (one,) = found(subject)
    assert one.startswith("event 1, count usage at: expected")
    assert one.endswith('got "1970-01-01T00:00:00Z"')


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        (_asked(0, action="cont"), "/usage/0/action: unknown action 'cont'; known: count; did you"),
        (_asked(0, to="2026-03-05T14:00:00Z"), "/usage/0/to: must be later than from, '2026-03"),
        (_asked(0, to="2026-02-30T14:00:00Z"), "/usage/0/to: '2026-02-30T14:00:00Z' is not a date"),
        (_asked(0, to="2026-03-05"), "/usage/0/to: "),
        (_asked(0, error="both"), "/usage/0: "),
        (_asked(0, shown=None), "/usage/0: "),
        (_asked(0, shown="many"), "/usage/0/shown: "),
        (_asked(0, shown="1" * 61), "/usage/0/shown: '1111111111"),
        (_asked(0, user=""), "/usage/0/user: "),
        (_asked(0, usr="x"), "/usage/0/usr: "),
        (_of(0, amount="1" * 61), "/expected/0/usage/amount: '11111111"),
        (_of(0, amount="2,5"), "/expected/0/usage/amount: "),
        (_of(0, at="2026-02-30T14:00:00Z"), "/expected/0/usage/at: '2026-02-30T14:00:00Z' is not"),
        (_of(0, total=1), "/expected/0/usage/total: "),
        (lambda data: data["expected"][0].update(usage={}), "/expected/0/usage: "),
        (lambda data: data.update(usage=[]), "/usage: "),
        (
            lambda data: data.update(served={"asks": True}),
            "/usage: cannot be asked with served: such a case ends with its last request",
        ),
    ],
)
def test_a_case_that_is_wrong(subject: Subject, change: Change, issue: str) -> None:
    """The issue names the line and the path."""
    with pytest.raises(DefinitionError) as raised:
        built(subject, change)
    (first, *_) = map(str, raised.value.issues)
    assert f" {issue}" in first
    assert ".yaml:" in first


def test_a_destination_that_cannot_be_asked(tmp_path: Path) -> None:
    """Neither is something kept, nor can the partner be asked."""

    def change(destination: dict[str, Any], action: dict[str, Any]) -> None:
        del action["usage"], destination["requests"]["meters"], destination["requests"]["sums"]

    definition = load_definition(write_counter(tmp_path, change))
    text = yaml.safe_dump(data_of_case(), sort_keys=False)
    with pytest.raises(DefinitionError) as raised:
        build_case(read_document(text, "case.yaml"), "case", definition)
    messages = [one.message for one in raised.value.issues]
    assert messages[0] == "the action count has no usage, so none is kept"
    why = "the action count has no usage, so the partner cannot be asked; those that have: none"
    assert messages[2:] == [why, why]


@pytest.mark.parametrize(
    ("aligned", "issue"),
    [
        ("1h", None),
        (
            "1d",
            (
                "/usage/0/from: '2026-03-05T14:00:00Z' cannot be asked for: Counter adds up by 1d"
                " in UTC; expected 2026-03-05T00:00:00Z or 2026-03-06T00:00:00Z"
            ),
        ),
    ],
)
def test_times_that_a_partner_cannot_add_up(
    tmp_path: Path, aligned: str, issue: str | None
) -> None:
    """The command would refuse them as well."""
    folder = write_counter(tmp_path, lambda _, one: one["usage"]["ask"].update(aligned=aligned))
    subject = Subject(folder, load_definition(folder), Code())
    if issue is None:
        assert found(subject) == []
        return
    with pytest.raises(DefinitionError) as raised:
        built(subject)
    assert issue in str(raised.value.issues[0])


def test_a_request_that_is_not_written(tmp_path: Path) -> None:
    """A case cannot make it."""

    def change(destination: dict[str, Any], action: dict[str, Any]) -> None:
        del action["usage"]["ask"]["nothing"]
        sums = {"description": "S.", "idempotent": True, "pending": "the request of sums"}
        destination["requests"]["sums"] = sums

    folder = write_counter(tmp_path, change)
    with pytest.raises(DefinitionError, match="the request sums is not written yet"):
        built(Subject(folder, load_definition(folder), Code()))


def test_a_case_is_written_as_it_was_read(subject: Subject) -> None:
    """What a case says of usage is in its text again."""
    case = built(subject)
    text = case_text(case)
    again = build_case(read_document(text, "case.yaml"), case.name, subject.definition)
    assert again == case
    assert case.expected[1].usage == ExpectedUsage(amount=None)
    assert case.usage[1] == AskedUsage(
        *("count", "ann-4711", "GB", "2026-03-05T13:00:00Z", "2026-03-05T14:00:00Z"),
        error="expected JSON",
    )


ROOT = Path(__file__).parents[4]
METERING = ("lago", "m3ter", "metronome", "openmeter", "orb", "stripe-billing-meters")


def test_the_page() -> None:
    """What the page on testing shows is in a case of OpenMeter, which is replayed."""
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(expected:\n.*?\nusage:\n.*?)```", page, re.DOTALL)
    shown = yaml.safe_load(block)
    case = yaml.safe_load(
        (ROOT / "definitions" / "openmeter" / "cases" / "usage.yaml").read_text("utf-8")
    )
    assert [one for one in shown["expected"] if one not in case["expected"]] == []
    assert [one for one in shown["usage"] if one not in case["usage"]] == []


@pytest.mark.parametrize("slug", METERING)
def test_the_shipped_ones(slug: str) -> None:
    """Each destination that can be asked has a case of an amount that is the sum of what is kept.

    It has another answer as well: nothing, or an error.
    """
    subject = open_subject(slug)
    (case,) = [one for one in subject.cases() if one.usage]
    assert replay(subject, case).passed
    first, *others = case.usage
    kept = [one.usage for one in case.expected if one.usage is not None]
    assert len(kept) == len(case.events) == 2
    assert {(one.user, one.feature) for one in kept} == {(first.user, first.feature)}
    assert sum(Decimal(one.amount) for one in kept) == Decimal(first.shown)
    assert [one for one in others if one.error is not None or one.shown == "0"] == others != []


def test_an_export_has_the_events_only() -> None:
    """The tests of Segment's repository deliver the events: nobody asks for usage there."""
    subject = open_subject("openmeter")
    deliveries = [
        one
        for one in case_deliveries(subject, {"ingestEvent": "ingestEvents"}, set(), frozenset(), {})
        if one.case == "usage"
    ]
    assert [len(one.events) for one in deliveries] == [1, 1]
    sent = [item.request.method for one in deliveries for item in one.interactions]
    assert sent == ["POST", "POST"]


# -- update ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (_of(0, amount="9"), ["-    amount: '9'", "+    amount: '2.5'"]),
        (
            _of(0, user="bob", at="2026-03-05T14:30:00Z"),
            [
                "-    user: bob",
                "-    at: '2026-03-05T14:30:00Z'",
                "+    user: ann-4711",
                "+    at: '2026-03-05T14:30:00.250Z'",
            ],
        ),
        (_of(1, amount="9"), ["-    amount: '9'", "+    amount: null"]),
        (_asked(0, shown=3), ["-  shown: 3", "+  shown: '2.5'"]),
        (
            _asked(1, error=None, shown=3),
            [
                "-  shown: 3",
                "+  error: 'sums: expected JSON, and the answer is text: try later'",
            ],
        ),
        (
            _asked(0, shown=None, error="no number"),
            ["-  error: no number", "+  shown: '2.5'"],
        ),
        (
            _asked(1, user="bob"),
            [f"-    url: {SUMS}?user=ann-4711&", f"+    url: '{SUMS}?user=bob&"],
        ),
    ],
)
def test_an_update(subject: Subject, change: Change, lines: list[str]) -> None:
    """It changes what differs, and neither the answers nor the other parts."""
    path = written(subject, change)
    update = update_of(subject, read_case(path, subject.definition), path)
    shown = [line for line in update.difference.splitlines()[2:] if line.startswith(("+", "-"))]
    assert len(shown) == len(lines)
    for one, start in zip(sorted(shown), sorted(lines), strict=True):
        assert one.startswith(start)
    update.write()
    assert replay(subject, read_case(path, subject.definition)).passed


def test_an_update_after_a_change_of_the_definition(tmp_path: Path) -> None:
    """The question is made in the new way, and what is kept is what the new mapping gives."""
    folder = write_counter(tmp_path)
    subject = Subject(folder, load_definition(folder), Code())
    path = written(subject)

    def change(destination: dict[str, Any], action: dict[str, Any]) -> None:
        destination["requests"]["sums"]["rest"]["path"][2] = "totals"
        action["usage"]["amount"] = 1
        action["usage"]["ask"]["shown"] = {"@path": "$.answers.sums.data[1].value"}

    folder = write_counter(tmp_path, change)
    subject = Subject(folder, load_definition(folder), Code())
    update = update_of(subject, read_case(path, subject.definition), path)
    new = yaml.safe_load(update.new)
    assert [row["usage"]["amount"] for row in new["expected"]] == ["1", "1"]
    assert [one.get("shown") for one in new["usage"]] == ["0.5", None]
    assert all("/totals?" in one["request"]["url"] for one in new["interactions"][3:])
    assert update.losses == ()


def test_an_update_without_enough_answers(subject: Subject) -> None:
    """A question whose answers were never recorded cannot be updated."""
    path = written(subject, lambda data: data["interactions"].pop())
    with pytest.raises(UsageError, match="it has no answer to a further request"):
        update_of(subject, read_case(path, subject.definition), path)


# -- personal data ---------------------------------------------------------------------------------


def test_personal_data(subject: Subject) -> None:
    """Users have stand-ins where their usage is kept, and where it is asked for."""
    case = built(subject)
    other = replace(case.usage[0], user="bob-99", shown="0")
    assert personal_values(replace(case, usage=(other,)))["bob-99"] == "ID"
    places = {place for place, _ in personal_places(case, {"ann-4711": "ID"})}
    assert places >= {"/expected/0/usage/user", "/usage/0/user", "/usage/1/user"}

    made, values = pseudonymised(subject, case)
    assert values["ann-4711"] == "ID"
    (user,) = {one.user for one in made.usage}
    assert user != "ann-4711"
    kept = made.expected[0].usage
    assert kept is not None
    assert kept.user == user
    assert "ann-4711" not in case_text(made)
    assert made.usage[0].shown == "2.50"
    assert replay(subject, made).passed


def test_personal_data_that_leads_to_another_answer(subject: Subject) -> None:
    """A case is not written with stand-ins with which the partner would show something else."""

    def change(data: dict[str, Any]) -> None:
        _dropped(data)
        data["interactions"][3]["response"] = {
            "status": 200,
            "json": {"data": [{"value": "2.50"}], "user": {"id": "ann-4711"}},
        }
        data["events"][0]["context"] = {"traits": {"customer_id": "2.50"}}

    with pytest.raises(UsageError, match="usage 1 has another answer with stand-ins"):
        pseudonymised(subject, built(subject, change))
