"""The version of a definition says how much its users have to look at."""

from __future__ import annotations

import pytest

from destinations.definition.comparison import Bump, Version


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        ("1.2.3", "2.0.0", Bump.MAJOR),
        ("1.2.3", "1.3.0", Bump.MINOR),
        ("1.2.3", "1.2.4", Bump.PATCH),
        ("1.2.9", "1.2.10", Bump.PATCH),
        ("1.2.3", "1.2.3", Bump.NONE),
        ("1.2.3", "1.1.9", Bump.NONE),
    ],
)
def test_the_bump_between_two_versions(old: str, new: str, bump: Bump) -> None:
    """The first part that differs is raised; parts are numbers, and a lower version raises none."""
    before = Version.read(old)
    assert before.bump_to(Version.read(new)) is bump
    assert str(before) == old


@pytest.mark.parametrize("bump", [Bump.MAJOR, Bump.MINOR, Bump.PATCH])
def test_the_version_after_a_bump(bump: Bump) -> None:
    """The version that is suggested for a part raises just that part."""
    before = Version(1, 2, 3)
    assert before.bump_to(before.after(bump)) is bump
    assert before.after(Bump.NONE) == before
