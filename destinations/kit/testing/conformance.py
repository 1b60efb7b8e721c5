"""Define the tests that every destination inherits.

::

from destinations.kit.testing import DestinationConformance

class TestSample(DestinationConformance):
    destination = "sample"  # a slug, or the path of a folder
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

import pytest

from destinations.definition import check_folder
from destinations.errors import DestinationsError
from destinations.kit.testing.case import Case
from destinations.kit.testing.gaps import (
    documentation_gaps,
    preset_gaps,
    secret_leaks,
    unreachable_rules,
    unread_errors,
    untested_actions,
)
from destinations.kit.testing.made_faults import FaultCase, fault_cases, play_fault
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject, open_subject
from destinations.runtime.installed import find_folder
from destinations.sandbox.placeholders import placeholder_settings

__all__ = ["DestinationConformance"]

T = TypeVar("T")


@cache
def _subject(destination: str) -> Subject:
    return open_subject(destination)


class DestinationConformance:
    """Checks definition, presets, masking, error rules, facts for the page, cases and faults.

    ``documented_errors`` are the errors in the partner's documentation, each with the keys of an
    error rule's ``when``: ``{"exception": "UserNotFoundError"}``.
    """

    destination: ClassVar[str]
    documented_errors: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test for each case file, and for each fault at each request of each action."""
        if "recorded_case" in metafunc.fixturenames:
            cases = _found(lambda: _subject(self.destination).readable_cases().cases)
            metafunc.parametrize("recorded_case", cases, ids=[case.name for case in cases])
        if "fault_case" in metafunc.fixturenames:
            faults = _found(lambda: list(fault_cases(_subject(self.destination))))
            metafunc.parametrize("fault_case", faults, ids=[fault.name for fault in faults])

    @property
    def subject(self) -> Subject:
        """The destination under test; a test that needs it fails where its definition is wrong."""
        try:
            return _subject(self.destination)
        except DestinationsError as error:
            message = str(error)
        pytest.fail(message, pytrace=False)

    def test_the_definition_is_valid(self) -> None:
        """Require files that fit their schemas and name only what exists."""
        _none(map(str, check_folder(find_folder(self.destination))))
        self.subject.bind(placeholder_settings(self.subject.definition))

    def test_presets_map_what_their_actions_require(self) -> None:
        """Require that the presets can deliver an event with only the usual fields."""
        _none(preset_gaps(self.subject.definition))

    def test_every_action_has_a_case(self) -> None:
        """Require a recorded case for each action of a preset, in which it delivers an event.

        A case that a newer version recorded is named, as it is not replayed.
        """
        cases, newer = self.subject.readable_cases()
        _none([*map(str, newer), *untested_actions(self.subject, cases)])

    def test_secrets_are_masked(self) -> None:
        """Require that no secret is shown, also when the partner repeats it in an answer."""
        _none(secret_leaks(self.subject))

    def test_every_error_rule_is_reachable(self) -> None:
        """Require that no rule is hidden by others: each reads the errors that fit it."""
        _none(unreachable_rules(self.subject.definition))

    def test_every_documented_error_has_a_rule(self) -> None:
        """Require an error rule for each documented error: the default by status reads none."""
        _none(unread_errors(self.subject.definition, self.documented_errors))

    def test_the_page_has_its_facts(self) -> None:
        """Require the facts that the documentation page shows."""
        _none(documentation_gaps(self.subject.definition))

    def test_a_case_replays(self, recorded_case: Case) -> None:
        """Require the requests and outcomes that were recorded."""
        _none(map(str, replay(self.subject, recorded_case).differences))

    def test_a_fault_ends_as_the_rules_say(self, fault_case: FaultCase) -> None:
        """Require that no fault counts as a success, or repeats what must not be sent again."""
        _none(map(str, play_fault(fault_case).differences))


def _found(make: Callable[[], list[T]]) -> list[T]:
    """Return the result of ``make``; empty for an invalid definition, which has its own test."""
    try:
        return make()
    except DestinationsError:
        return []


def _none(findings: Iterable[str]) -> None:
    found = list(findings)
    if found:
        pytest.fail("\n".join(found), pytrace=False)
