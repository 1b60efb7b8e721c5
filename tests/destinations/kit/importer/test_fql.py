from __future__ import annotations

import pytest

from destinations.kit.importer.fql import proper_fql


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('type = "track"', 'type = "track"'),
        ('type="track"', 'type="track"'),
        ('type = "track" AND event = "A"', 'type = "track" and event = "A"'),
        # The reference skips the word, and what no word joins is an "and".
        ('type = "track" OR type = "page"', 'type = "track" and type = "page"'),
        ("type = track or type = page", 'type = "track" or type = "page"'),
        ('type = "track" and properties.a = yes', 'type = "track" and properties.a = "yes"'),
    ],
)
def test_the_same_meaning_in_fql(text: str, written: str) -> None:
    """FQL stays as it is; other text becomes the FQL that matches the same events."""
    assert proper_fql(text) == written


@pytest.mark.parametrize("text", ["", "nonsense", 'not type = "track"', 'type = "track" and'])
def test_what_has_no_such_meaning(text: str) -> None:
    """Text that no rewriting makes FQL of the same meaning is given up."""
    assert proper_fql(text) is None
