from __future__ import annotations

import json

import pytest

from destinations.outcome import Outcome, Result
from destinations.pipeline.event_names import UnmappedNames
from destinations.pipeline.report import Row
from destinations.secrets import Masker

ROW = Row(1, None, Result(Outcome.UNMAPPED, "no rule takes it"))


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ({"type": "track", "event": "Signed Up"}, "Signed Up"),
        ({"type": "page", "name": "Home"}, "Home"),
        ({"type": "identify"}, "identify"),
        ({"event": ["a"]}, ""),
        ([], ""),
        ("text", ""),
        (b"not JSON", ""),
        (b"", ""),
        ({"event": "x" * 500}, "x" * 200),
    ],
)
def test_the_name_of_an_event(raw: object, name: str) -> None:
    """It is that of a track or page call, or else the type; none where there is no text."""
    names = UnmappedNames()
    names.record([(ROW, raw if isinstance(raw, bytes) else json.dumps(raw).encode())])
    assert names.counts == {name: 1}


def test_only_unmapped_rows_count() -> None:
    """Rows with another outcome have their reasons."""
    names = UnmappedNames()
    names.record([(ROW._replace(result=Result(Outcome.DEAD, "x")), b'{"event": "a"}')])
    assert not names.counts


def test_its_size_is_bounded() -> None:
    """Of 201 names, the last one is counted with the others; a known one goes on counting."""
    names = UnmappedNames()
    for number in (*range(201), 0):
        names.record([(ROW, json.dumps({"event": f"name {number}"}).encode())])
    assert (len(names.counts), names.others, names.counts["name 0"]) == (200, 1, 2)


def test_secrets_are_masked() -> None:
    """Names that are the same without their secrets are counted together."""
    names = UnmappedNames()
    for name in ("key sk_live_abcdef", "key SK_LIVE_ABCDEF"):
        names.record([(ROW, json.dumps({"event": name}).encode())])
    assert names.masked(Masker(["sk_live_abcdef"])) == {"key ***": 2}
