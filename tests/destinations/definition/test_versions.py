"""The version of a definition says how much its users have to look at."""

from __future__ import annotations

import pytest

from destinations.definition.comparison import Step, Version


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("1.2.3", "2.0.0", Step.MAJOR),
        ("1.2.3", "1.3.0", Step.MINOR),
        ("1.2.3", "1.2.4", Step.PATCH),
        ("1.2.9", "1.2.10", Step.PATCH),
        ("1.2.3", "1.2.3", Step.NONE),
        ("1.2.3", "1.1.9", Step.NONE),
    ],
)
def test_the_step_of_a_version(old: str, new: str, step: Step) -> None:
    """The first part that differs tells the step; parts are numbers, and nothing steps back."""
    before = Version.read(old)
    assert before.step_to(Version.read(new)) is step
    assert str(before) == old


@pytest.mark.parametrize("step", [Step.MAJOR, Step.MINOR, Step.PATCH])
def test_the_version_after_a_step(step: Step) -> None:
    """The version that is suggested for a step makes just that step."""
    before = Version(1, 2, 3)
    assert before.step_to(before.after(step)) is step
    assert before.after(Step.NONE) == before
