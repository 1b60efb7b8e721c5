from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.kit.testing.case import Case
from destinations.kit.testing.gaps import (
    documentation_gaps,
    preset_gaps,
    secret_leaks,
    unreachable_rules,
    unread_errors,
    untested_actions,
)
from destinations.kit.testing.subject import Subject
from destinations.runtime.sender import Sender

MakeSubject = Callable[..., Subject]


def test_what_init_makes_lacks_nothing(partner: Subject) -> None:
    """It passes every check."""
    definition = partner.definition
    assert list(preset_gaps(definition)) == []
    assert list(untested_actions(partner, partner.cases())) == []
    assert list(unreachable_rules(definition)) == []
    assert list(secret_leaks(partner)) == []
    assert list(documentation_gaps(definition)) == []


def test_a_required_field_without_a_mapping(make_subject: MakeSubject) -> None:
    """The preset could deliver nothing; a field whose absence has an outcome is no gap."""

    def change(documents: dict[str, Any]) -> None:
        for field in documents["count"]["fields"]["properties"].values():
            del field["default"]

    (gap,) = preset_gaps(make_subject(change).definition)
    assert gap.startswith("the preset 'Counts' maps nothing to 'by'")


def test_an_action_without_a_case(partner: Subject, make_case: Callable[..., Case]) -> None:
    """A case counts if it delivers."""
    case = make_case(lambda data: data["expected"].pop(0))
    (gap,) = untested_actions(partner, [case])
    assert gap == "no case delivers an event through the action trackEvent: record one"


def _rules(*conditions: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["errorRules"] = [
            {"when": when, "class": "invalid", "retryable": False, "nothingApplied": True}
            for when in conditions
        ]

    return change


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        ([{"code": "A"}, {"code": "B"}], []),
        (
            [{"status": "4xx"}, {"status": 404}],
            ["status 404: another rule comes first: status 4xx"],
        ),
        ([{"status": 404}, {"status": "4xx"}], []),
        (
            [{"message": "."}, {"code": "A"}, {"exception": "E"}],
            [
                "code A: another rule comes first: message like .",
                "exception E: another rule comes first: message like .",
            ],
        ),
        ([{"status": 200}], []),
        ([{"message": r"(a)\1"}], ["message like (a)\\1: no message could be made that fits"]),
        ([{"body": {"type": "object", "required": ["x"]}}, {"status": 400}], []),
    ],
    ids=str,
)
def test_rules_that_no_error_reaches(
    make_subject: MakeSubject, conditions: list[dict[str, Any]], shown: list[str]
) -> None:
    """A rule is hidden if what fits it is always read by one before it."""
    found = list(unreachable_rules(make_subject(_rules(*conditions)).definition))
    assert len(found) == len(shown)
    for text, expected in zip(found, shown, strict=True):
        assert text.startswith(expected)


def test_documented_errors_without_a_rule(make_subject: MakeSubject) -> None:
    """Each is looked for at each request, where only the status would tell."""
    definition = make_subject(_rules({"code": "KNOWN"}, {"status": 400})).definition
    assert list(unread_errors(definition, [{"status": 400}])) == []
    found = list(unread_errors(definition, [{"code": "NEW"}]))
    assert [line.rpartition(" ")[2] for line in found] == ["find", "create", "count"]


def test_a_setting_that_looks_like_a_secret(make_subject: MakeSubject) -> None:
    """It would be shown in every log."""

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["settings"]["properties"]["webhookToken"] = {
            "title": "T",
            "description": "D",
            "type": "string",
        }

    (found,) = secret_leaks(make_subject(change))
    assert found.startswith("the setting 'webhookToken' looks like a secret")


def test_a_runtime_that_does_not_mask(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that the partner repeats is found in the result."""
    monkeypatch.setattr(Sender, "_masked", lambda _, verdict: verdict)
    found = list(secret_leaks(make_subject()))
    assert "save: a secret that the partner echoes with 400 is shown" in found


def test_facts_that_the_page_needs(make_subject: MakeSubject) -> None:
    """Each is named."""

    def change(documents: dict[str, Any]) -> None:
        del documents["count"]["defaultSubscription"]
        documents["count"]["fields"]["properties"]["by"]["description"] = "how many"
        documents["destination"]["presets"] = []

    found = list(documentation_gaps(make_subject(change).definition))
    assert found[:4] == [
        "destination.yaml has no categories, which the documentation page shows",
        "destination.yaml has no connectionModes, which the documentation page shows",
        "destination.yaml has no documentation, which the documentation page shows",
        "destination.yaml has no presets: without one, nothing is delivered",
    ]
    assert "count.yaml has neither method nor defaultSubscription: add one of them" in found
    assert "count.yaml: the description of the field 'by' must be a sentence" in found
