"""Several files are one input, whose lines are counted through and found again."""

from __future__ import annotations

import gzip
import io

import pytest

from destinations.pipeline.input_file import InputFile
from destinations.pipeline.input_files import InputFiles
from destinations.pipeline.places import Place, Places


def _input(*contents: bytes, limit: int | None = None) -> InputFiles:
    names = ("a", "b", "c")
    files = [InputFile(name, io.BytesIO(one)) for name, one in zip(names, contents, strict=False)]
    return InputFiles(files, limit=limit)


def test_lines_are_counted_through() -> None:
    """Each line has its own number, also behind a file without a line break at its end."""
    found = _input(b"1\n2", b"", b"3\n\n4\n")
    entries = list(found.entries())
    assert [(one.line, one.data) for one in entries] == [
        *((1, b"1"), (2, b"2"), (3, b"3"), (4, b""), (5, b"4"))
    ]
    places = [found.places.find(one.line) for one in entries]
    assert list(map(str, places)) == ["a:1", "a:2", "c:1", "c:2", "c:3"]
    assert [one.number for one in places] == [0, 0, 2, 2, 2]
    assert found.places.are_several


def test_one_file_needs_no_name() -> None:
    """Its lines are what they are."""
    found = _input(b"1\n2\n")
    assert len(list(found.entries())) == 2
    assert found.places.find(2) == Place("", 2)
    assert (str(found.places.find(2)), found.places.are_several) == ("line 2", False)


def test_a_place_before_anything_was_read() -> None:
    """What an earlier run left has no line."""
    places = Places()
    assert places.find(0) == Place("", 0)
    places.begin("a", 0)
    assert places.find(0) == Place("", 0)
    assert places.find(1) == Place("a", 1)


# After how many events it ends; then the lines, and whether it was ended by that.
LIMITED = {
    1: ([1], True),
    2: ([1, 2, 3], True),
    3: ([1, 2, 3, 4], True),
    4: ([1, 2, 3, 4, 5], True),
    5: ([1, 2, 3, 4, 5, 6], False),
}


@pytest.mark.parametrize("limit", LIMITED)
def test_a_limit(limit: int) -> None:
    """It counts events through all files; empty lines are none."""
    found = _input(b"1\n\n2\n3\n", b"4\n\n", limit=limit)
    lines = [one.line for one in found.entries()]
    assert (lines, found.is_limited) == LIMITED[limit]


def test_the_digest() -> None:
    """It is of what the files hold, however they are packed, and tells them apart."""
    one = _input(b"1\n2\n")
    assert one.digest() == _input(gzip.compress(b"1\n2\n")).digest()
    several = [
        *(one, _input(b"1\n", b"2\n"), _input(b"2\n", b"1\n"), _input(b"1\n2\n", b"")),
        _input(b"1\n", b"2\n", b""),
    ]
    assert len({each.digest() for each in several}) == 5
    assert len(list(one.entries())) == 2


def test_a_share_that_is_not_known() -> None:
    """Where a file has no size, nobody knows."""
    assert _input(b"1\n").share is None


def test_the_share_of_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The share grows from 0 to 1 over all files."""
    folder = tmp_path_factory.mktemp("files")
    for name in "ab":
        (folder / name).write_bytes(b"1\n" * 50)
    with (folder / "a").open("rb", 16) as one, (folder / "b").open("rb", 16) as two:
        found = InputFiles([InputFile("a", one), InputFile("b", two)])
        shares = [found.share for _ in found.entries()]
    known = [share for share in shares if share is not None]
    assert known == sorted(known)
    assert known[0] < 0.2
    assert known[-1] == 1.0
