from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from destinations.kit.testing import DestinationConformance
from destinations.kit.testing.made_faults import fault_cases
from destinations.kit.testing.subject import Subject
from destinations.outcome import Outcome
from destinations.runtime import sender

pytest_plugins = "pytester"

Run = Callable[..., pytest.RunResult]

CLASS = """
from destinations.kit.testing import DestinationConformance

class TestPartner(DestinationConformance):
    destination = {folder!r}
    documented_errors = {errors!r}
"""


@pytest.fixture
def run(pytester: pytest.Pytester, template: Path) -> Run:
    """Runs the inherited tests for the destination that ``init`` makes."""

    def inherited(*errors: dict[str, object]) -> pytest.RunResult:
        pytester.makepyfile(CLASS.format(folder=str(template), errors=errors))
        return pytester.runpytest_inprocess("-Werror", "-p", "no:cacheprovider", "-rs")

    return inherited


def test_a_plugin_inherits_everything(run: Run) -> None:
    """One test for each check, each case and each fault; all pass for what init makes."""
    result = run({"status": 401}, {"status": 429})
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] > 20


def test_a_documented_error_without_a_rule(run: Run) -> None:
    """The test that fails says which."""
    result = run({"status": 409})
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["no error rule reads status 409 of the request sendEvent"])


def test_a_case_of_a_newer_version(run: Run, template: Path) -> None:
    """One test fails and names it with both versions; the other case is replayed."""
    text = (template / "cases" / "track.yaml").read_text(encoding="utf-8")
    newer = text + "recorded: {against: live, version: 99.0.0}\n"
    (template / "cases" / "new.yaml").write_text(newer, encoding="utf-8")
    result = run()
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*new.yaml:*: recorded by version 99.0.0, but *"])


# A file, what is changed in it, the check that finds it, and its words.
BROKEN: dict[str, tuple[str, str, str, str, str]] = {
    "the definition": (
        "destination.yaml",
        "slug: partner",
        "slug: other",
        "test_the_definition_is_valid",
        "must be the name of the folder, 'partner'",
    ),
    "the definition, for other checks": (
        "destination.yaml",
        "slug: partner",
        "slug: other",
        "test_secrets_are_masked",
        "must be the name of the folder, 'partner'",
    ),
    "a preset": (
        "trackEvent.yaml",
        "default: {'@path': $.userId}",
        "",
        "test_presets_map_what_their_actions_require",
        "maps nothing to 'user'",
    ),
    "an action without a case": (
        "cases/track.yaml",
        "outcome: delivered",
        "outcome: dead",
        "test_every_action_has_a_case",
        "no case delivers an event through the action trackEvent",
    ),
    "a secret": (
        "destination.yaml",
        "      format: password\n",
        "",
        "test_secrets_are_masked",
        "apiKey is a credential: give it format: password",
    ),
    "an error rule": (
        "destination.yaml",
        "{status: 429}",
        "{status: 401}",
        "test_every_error_rule_is_reachable",
        "status 401: another rule comes first: status 401",
    ),
    "a fact": (
        "destination.yaml",
        "categories: [Analytics]",
        "",
        "test_the_page_has_its_facts",
        "has no categories",
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "test", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_found(
    template: Path, file: str, old: str, new: str, test: str, message: str
) -> None:
    """Each thing fails the test that is for it, in words."""
    path = template / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    conformance = DestinationConformance()
    conformance.destination = str(template)  # type: ignore[misc]
    with pytest.raises(pytest.fail.Exception, match=re.escape(message)):
        getattr(conformance, test)()


def test_cases_and_faults_that_fail(
    template: Path, monkeypatch: pytest.MonkeyPatch, partner: Subject
) -> None:
    """What differs is what the test fails with."""
    conformance = DestinationConformance()
    conformance.destination = str(template)  # type: ignore[misc]
    (case,) = partner.cases()
    fault = next(fault for fault in fault_cases(partner) if fault.fault.name == "500, once")
    conformance.test_a_case_replays(case)
    conformance.test_a_fault_ends_as_the_rules_say(fault)
    monkeypatch.setattr(sender, "status_of", lambda *_, **__: Outcome.REJECTED)
    with pytest.raises(pytest.fail.Exception, match="sendEvent, 500, once: outcome: expected"):
        conformance.test_a_fault_ends_as_the_rules_say(fault)
    with pytest.raises(pytest.fail.Exception, match="request 1: expected"):
        conformance.test_a_case_replays(replace(case, interactions=()))
