from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from destinations.definition.document import read_document
from destinations.kit.testing.case import (
    Case,
    ExpectedOutcome,
    Interaction,
    Recorded,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.case_reading import build_case
from destinations.kit.testing.case_writing import case_text
from destinations.kit.testing.subject import Subject
from destinations.outcome import State

VALUES: list[Any] = [
    "two\nlines",
    " lines\n  with spaces \n",
    "true",
    "1e5",
    "2024-01-15",
    "ünï ☃ 😀",
    "\x00\x07\x85\ufeff",
    "",
    "- not a list",
    "*",
    1e20,
    1.0,
    -0.5,
    10**15,
    True,
    None,
    [],
    {},
    {"a": [{"b": None}]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_survives_the_file(
    make_case: Callable[..., Case], partner: Subject, value: Any
) -> None:
    """Whatever JSON can hold is read as it was written, wherever it stands."""
    request = RecordedRequest("POST", "https://example.com/", {"X": "y"}, json=[value])
    case = replace(
        make_case(),
        events=({"type": "track", "properties": {"value": value}}, "not json"),
        interactions=(
            Interaction(request, RecordedResponse(200, json={"value": value})),
            Interaction(replace(request, json=value), "timeout"),
        ),
        expected=(ExpectedOutcome(1, None, make_case().expected[0].outcome, payload={"v": value}),),
    )
    text = case_text(case, schema="schemas/case.schema.json")
    again = build_case(read_document(text, "case.yaml"), case.name, partner.definition)
    assert again == case
    assert text.startswith("$schema: schemas/case.schema.json\n")


def test_the_same_value_twice(make_case: Callable[..., Case], partner: Subject) -> None:
    """It is written twice: aliases are not read."""
    properties = {"a": 1}
    event = {"type": "track", "properties": properties, "context": properties}
    case = replace(make_case(), events=(event, event))
    text = case_text(case)
    assert "&" not in text
    assert build_case(read_document(text, "c"), case.name, partner.definition) == case


def test_own_subscriptions_and_bodies_that_are_text(
    make_case: Callable[..., Case], partner: Subject
) -> None:
    """Everything that a case may have is written."""
    presets = partner.definition.presets
    request = RecordedRequest("PUT", "https://example.com/", body="a=b")
    case = replace(
        make_case(),
        subscriptions=presets,
        interactions=(
            Interaction(request, RecordedResponse(503, {"retry-after": "1"}, body="no")),
        ),
        expected=(
            ExpectedOutcome(1, "trackEvent", make_case().expected[0].outcome, "why", "CODE"),
            ExpectedOutcome(1, "trackEvent", State.READY),
            ExpectedOutcome(1, "trackEvent", State.UNKNOWN),
        ),
        recorded=Recorded("live", "0.0.1"),
    )
    assert build_case(read_document(case_text(case), "c"), case.name, partner.definition) == case
