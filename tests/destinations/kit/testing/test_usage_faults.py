"""The kit plays what a partner may say when it is asked what it has counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.errors import UsageError
from destinations.kit.testing.made_faults import FaultReport, fault_cases, play_fault
from destinations.kit.testing.subject import Subject, subject_in
from destinations.runtime import usage_questions
from destinations.runtime.amounts import read_amount
from destinations.runtime.destination import Code
from tests.destinations.counting import write_counter

Change = Callable[[dict[str, Any], dict[str, Any]], object]
Break = Callable[[pytest.MonkeyPatch], None]

EXAMPLES: Mapping[str, Any] = {
    "meters": {"data": [{"id": "m1", "event": {"name": "GB"}}], "next": 2},
    "sums": {"data": [{"value": 2.5}, {"value": "4"}], "next": None},
}


def make(folder: Path, change: Change | None = None) -> Subject:
    """Return the destination that counts, with examples of answers."""

    def with_examples(destination: dict[str, Any], action: dict[str, Any]) -> None:
        for name, example in EXAMPLES.items():
            destination["requests"][name]["example"] = example
        endpoint = destination["settings"]["properties"]["endpoint"]
        endpoint["default"] = "https://api.example.com"
        if change is not None:
            change(destination, action)

    written = write_counter(folder, with_examples)
    return Subject(written, load_definition(written), Code())


def played(subject: Subject) -> dict[tuple[str, str], FaultReport]:
    """Return the results by step and name of the fault."""
    return {
        (case.way.step, case.fault.name): play_fault(case)
        for case in fault_cases(subject)
        if case.fault.kind == "usage"
    }


def wrong(reports: Mapping[tuple[str, str], FaultReport]) -> list[str]:
    """Return what differs."""
    return [str(found) for one in reports.values() for found in one.differences]


REFUSED: Mapping[str, tuple[str, int]] = {
    "HTML": ("an error", 1),
    "401": ("an error", 1),
    "403": ("an error", 1),
    "404": ("an error", 1),
    "429": ("an error", 4),
    "500": ("an error", 4),
    "500, once": ("the amount", 2),
    "no connection": ("an error", 4),
    "time-out after sending": ("an error", 4),
    "answer cut off": ("an error", 4),
}
FOUND: Mapping[str, tuple[str, int]] = {
    "no list": ("an error", 1),
    "no item that fits": ("an error", 1),
    "two items that fit": ("an error", 1),
}
TEXT = "text in place of the number"
SHOWN: Mapping[str, tuple[str, int]] = {
    TEXT: ("an error", 1),
    "no number": ("an error", 1),
}
PAGED: Mapping[str, tuple[str, int]] = {
    "pages that never end": ("an error", 20),
    "a page that comes again": ("an error", 2),
}
METER = {**REFUSED, "500, once": ("the amount", 3), **FOUND, **PAGED}
SUMS = {**REFUSED, "404": ("nothing counted", 1), **SHOWN, **PAGED}
"""The partner says with 404 that it has counted nothing."""


def test_each_step(tmp_path: Path) -> None:
    """Every fault at every step ends as the definition says: an error, and never a sum."""
    reports = played(make(tmp_path))
    assert wrong(reports) == []
    found = {key: (one.ending, one.sent) for key, one in reports.items()}
    assert found == {
        **{("meter", name): end for name, end in METER.items()},
        **{("sums", name): end for name, end in SUMS.items()},
    }
    (name,) = [one.case.name for key, one in reports.items() if key == ("meter", "no list")]
    assert name == "count, meters, usage in the step meter, no list"


def _asks(**ask: Any) -> Change:
    """Ask in another way; None takes a key away."""

    def change(_: dict[str, Any], action: dict[str, Any]) -> None:
        action["usage"]["ask"] |= ask
        for key in [key for key, value in ask.items() if value is None]:
            del action["usage"]["ask"][key]

    return change


def _alone(destination: dict[str, Any], action: dict[str, Any]) -> None:
    """Ask with one request."""
    rest = destination["requests"]["sums"]["rest"]
    rest["path"] = ["usage"]
    rest["query"]["feature"] = {"@path": "$.usage.feature"}
    del destination["requests"]["meters"]
    ask = action["usage"]["ask"]
    del ask["steps"]
    ask |= {"request": "sums", "shown": {"@path": "$.answer.data[0].value"}}


def _graphql(destination: dict[str, Any], action: dict[str, Any]) -> None:
    """Ask with GraphQL, in one request."""
    keys = ("user", "feature", "from", "to")
    declared = ", ".join(f"${key}: String!" for key in keys)
    given = ", ".join(f"{key}: ${key}" for key in keys)
    del destination["requests"]["meters"]
    destination["requests"]["sums"] = {
        "description": "Shows what was counted.",
        "idempotent": True,
        "graphql": {
            "document": f"query Sum({declared}) {{ usage({given}) {{ total }} }}",
            "variables": {key: {"@path": f"$.usage.{key}"} for key in keys},
        },
        "example": {"usage": {"total": 3}},
    }
    action["usage"]["ask"] = {"request": "sums", "shown": {"@path": "$.answer.usage.total"}}


def _no_pages(destination: dict[str, Any], action: dict[str, Any]) -> None:
    del action["usage"]["ask"]["next"]
    del destination["requests"]["sums"]["rest"]["query"]["page"]


def _one_item(destination: dict[str, Any], action: dict[str, Any]) -> None:
    """Look for one of the sums."""
    _no_pages(destination, action)
    destination["requests"]["sums"]["example"] = {"rows": [{"of": "x", "sum": 3}]}
    ask = action["usage"]["ask"]
    ask["steps"][1]["find"] = {
        "items": {"@path": "$.answer.rows"},
        "where": {"of": {"@path": "$.usage.feature"}, "by.kind": "sum"},
    }
    ask["shown"] = {"@path": "$.answers.sums.sum"}


def _strict(destination: dict[str, Any], _: dict[str, Any]) -> None:
    """Expect numbers, so that anything else may pass, and is asked for again."""
    value = {"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}
    destination["requests"]["sums"] |= {
        "expect": {
            "type": "object",
            "required": ["data"],
            "properties": {"data": {"type": "array", "items": value}},
        },
        "example": {"data": [{"value": 2.5}]},
    }


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (_alone, SUMS.keys()),
        (_graphql, SUMS.keys() - PAGED.keys()),
        (_no_pages, SUMS.keys() - PAGED.keys()),
        (_one_item, {*REFUSED, *FOUND, *SHOWN}),
        (_strict, SUMS.keys()),
        (_asks(next={"@path": "$.answer.pages[0]"}), SUMS.keys() - PAGED.keys()),
        (_asks(shown={"@path": "$.answer.data.length"}), SUMS.keys() - {TEXT}),  # texts have one
        (_asks(shown=3), SUMS.keys() - SHOWN.keys()),
    ],
)
def test_other_questions(tmp_path: Path, change: Change, names: Collection[str]) -> None:
    """Faults are those that can be made of the definition, whatever its mappings are."""
    reports = played(make(tmp_path, change))
    assert wrong(reports) == []
    assert {name for step, name in reports if step != "meter"} == set(names)
    counted = {name for (_, name), one in reports.items() if one.ending == "the amount"}
    assert counted == {"500, once"}


def test_questions_that_are_not_written(tmp_path: Path) -> None:
    """A request that is pending has no faults yet."""

    def change(destination: dict[str, Any], action: dict[str, Any]) -> None:
        del action["usage"]["ask"]["nothing"]
        destination["requests"]["sums"] = {
            "description": "Sums.",
            "idempotent": True,
            "pending": "the request of sums",
        }

    assert played(make(tmp_path, change)) == {}


@pytest.mark.parametrize(
    ("request_name", "example", "why"),
    [
        ("meters", {"data": []}, r"sums: .*; give the requests an `example`"),
        ("sums", {}, "the answer to sums shows no number: nothing; give the requests an"),
        ("sums", {"data": [{"value": "many"}]}, "shows no number: 'many'"),
    ],
)
def test_answers_that_cannot_be_made(
    tmp_path: Path, request_name: str, example: Any, why: str
) -> None:
    """Without an answer to go by, the message says what to add."""
    subject = make(tmp_path, lambda one, _: one["requests"][request_name].update(example=example))
    with pytest.raises(UsageError, match=r"counter, action count: .*cannot be asked for: .*" + why):
        list(fault_cases(subject))


# -- a runtime that does it wrong ------------------------------------------------------------------


def _what_is_no_number_is_zero(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage_questions, "read_amount", lambda one: read_amount(one) or Decimal(0))


def _pages_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage_questions, "range", lambda _: iter(int, 1), raising=False)


def _pages_are_not_recognised(patch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    patch.setattr(usage_questions, "repr", lambda _: f"{next(numbers)}", raising=False)


def _the_first_page_is_enough(patch: pytest.MonkeyPatch) -> None:
    pages = usage_questions.UsageAsker._pages
    patch.setattr(
        usage_questions.UsageAsker, "_pages", lambda *given: iter([next(iter(pages(*given)))])
    )


def _text_is_an_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage_questions.UsageAsker, "_data", lambda *_: {"data": [], "next": None})


def _any_item_fits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage_questions, "_fits", lambda *_: True)


def _what_is_refused_is_nothing(patch: pytest.MonkeyPatch) -> None:
    def answer(*_: object) -> object:
        raise usage_questions._NothingError

    patch.setattr(usage_questions.UsageAsker, "_answer", answer)


def _messages_name_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage_questions.UsageAsker, "_masked", lambda *_: "it failed")


def _once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("destinations.runtime.sender._PERFORM_ATTEMPTS", 1)


@pytest.mark.parametrize(
    ("broken", "failed"),
    [
        (_what_is_no_number_is_zero, {("sums", "no number"), *(("sums", one) for one in SHOWN)}),
        (_pages_go_on, {("meter", "pages that never end"), ("sums", "pages that never end")}),
        (_pages_are_not_recognised, {("sums", "a page that comes again")}),
        (_the_first_page_is_enough, {("sums", "pages that never end")}),
        (_text_is_an_answer, {("sums", "HTML")}),
        (_any_item_fits, {("meter", "no item that fits")}),
        (_messages_name_nothing, {("meter", "HTML"), ("sums", "500")}),
        (_what_is_refused_is_nothing, {("meter", "401"), ("sums", "500")}),
        (_once, {("meter", "500, once"), ("sums", "500, once")}),
    ],
)
def test_a_broken_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, failed: set[tuple[str, str]]
) -> None:
    """Each mistake is found by the faults that are there for it."""
    cases = [one for one in fault_cases(make(tmp_path)) if one.fault.kind == "usage"]
    broken(monkeypatch)
    reports = {(one.way.step, one.fault.name): play_fault(one) for one in cases}
    assert {key for key, one in reports.items() if not one.passed} >= failed


def test_the_shipped_ones_have_faults() -> None:
    """A definition whose usage can be compared is tested with faults at each of its requests."""
    subject = subject_in(Path(__file__).parents[4] / "definitions" / "metronome")
    asked = {one.way.request for one in fault_cases(subject) if one.fault.kind == "usage"}
    assert asked == {"findCustomer", "findMetric", "queryUsage"}
