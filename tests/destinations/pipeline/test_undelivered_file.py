from __future__ import annotations

import os
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.report import Row
from destinations.pipeline.undelivered_file import UndeliveredFile
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker

KEY = SubscriptionKey("Counts", "count")
OTHER = SubscriptionKey("Others", "count")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "undelivered.ndjson"


def _row(
    outcome: Status,
    data: bytes = b'{"messageId": "m1", "a": 1}',
    key: SubscriptionKey | None = KEY,
    message_id: str = "m1",
) -> tuple[Row, bytes]:
    return Row(1, key, Result(outcome), message_id), data


def _write(path: Path, *rows: tuple[Row, bytes], finish: bool = True) -> list[str]:
    """Write rows as one run does; returns the outcomes that the file has then."""
    file = UndeliveredFile(path, Masker())
    file.record(rows)
    if finish:
        file.finish()
    file.close()
    return [line.split('"')[5] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("row", "left"),
    [
        (_row(Outcome.DELIVERED), []),
        (_row(Outcome.FILTERED), []),
        (_row(Outcome.DEAD), ["dead"]),
        (_row(State.READY), ["ready"]),
        (_row(Outcome.DELIVERED, b'  {"messageId":\n"m1", "a": 1}\r\n'), []),
        (_row(Outcome.DELIVERED, b""), []),
        (_row(Outcome.DELIVERED, b'{"messageId": "m1", "a": 2}'), ["ready"]),
        (_row(Outcome.REJECTED, b'{"messageId": "m1", "a": 2}'), ["ready", "rejected"]),
        (_row(Outcome.DELIVERED, key=OTHER), ["ready"]),
        (_row(Outcome.DELIVERED, key=None), ["ready"]),
        (_row(Outcome.DELIVERED, message_id="m2"), ["ready"]),
    ],
)
def test_what_is_brought_up_to_date(path: Path, row: tuple[Row, bytes], left: list[str]) -> None:
    """A line goes if its delivery has a row now, with the same content."""
    assert _write(path, _row(State.READY)) == ["ready"]
    assert _write(path, row) == left


@pytest.mark.parametrize(
    "data",
    [b'{"messageId":\n "m1",\r\n"a": 1}\n', b'{"a": 1}', b'{"messageId": 7}', b"[", b'"\xff"'],
)
def test_the_same_event_in_any_form(path: Path, data: bytes) -> None:
    """It is found again however it is written out, and by whatever it is recognised."""
    assert _write(path, _row(Outcome.INVALID, data)) == ["invalid"]
    assert _write(path, _row(Outcome.INVALID, data)) == ["invalid"]
    assert _write(path, _row(Outcome.FILTERED, data)) == []


def test_a_process_that_was_killed(path: Path) -> None:
    """All that it wrote stays, beside what was there; the next one puts it in order."""
    second = b'{"messageId": "m2"}'
    _write(path, _row(State.READY), _row(State.UNKNOWN, second, message_id="m2"))
    killed = _write(path, _row(Outcome.DEAD), _row(Outcome.DELIVERED), finish=False)
    assert killed == ["ready", "unknown", "dead"]
    assert _write(path, _row(Outcome.DELIVERED)) == ["unknown"]
    assert _write(path, _row(State.READY)) == ["unknown", "ready"]


@pytest.mark.parametrize(
    ("end", "left"),
    [(b'{"undelivered":{"outcome":"de', 1), (b'{"unde', 1), (b"", 1), (b"\n  \n", 3)],
)
def test_the_end_of_a_file(path: Path, end: bytes, left: int) -> None:
    """A line that was cut is taken off; what is complete, or empty, stays."""
    _write(path, _row(State.READY))
    with path.open("ab") as stream:
        stream.write(end)
    UndeliveredFile(path, Masker()).close()
    assert len(path.read_bytes().splitlines()) == left


def test_a_last_line_without_an_end(path: Path) -> None:
    """As an editor leaves it: the next line begins on one of its own."""
    _write(path, _row(State.READY))
    path.write_bytes(path.read_bytes().rstrip())
    assert _write(path, _row(Outcome.DEAD, b"{}", message_id="m2")) == ["ready", "dead"]


@pytest.mark.parametrize("line", [b"{}\n", b"x", b'{"undelivered":{"outc\n', b"{}\n" * 3])
def test_what_is_refused(path: Path, line: bytes) -> None:
    """A file that holds anything else stays as it is."""
    _write(path, _row(State.READY))
    before = path.read_bytes() + line
    path.write_bytes(before)
    with pytest.raises(UsageError, match=r"line 2 of .* is not an undelivered event"):
        UndeliveredFile(path, Masker())
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, with every line, and nothing lies beside it."""
    _write(path, _row(State.READY))
    file = UndeliveredFile(path, Masker())
    file.record([_row(Outcome.DEAD)])

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        file.finish()
    file.close()
    assert len(path.read_bytes().splitlines()) == 2
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_a_file_stays_one(path: Path, tmp_path: Path) -> None:
    """The file that it leads to is brought up to date, and keeps its mode."""
    _write(path, _row(State.READY))
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert _write(link, _row(Outcome.DEAD)) == ["dead"]
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
