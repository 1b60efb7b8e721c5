from __future__ import annotations

import io
import sys

import pytest

from destinations.cli.progress import tell, watch
from destinations.pipeline.reading import Entry

ERASE = "\r\x1b[2K"


class Terminal(io.StringIO):
    """Standard error that somebody watches."""

    def isatty(self) -> bool:
        """Tell that it is a terminal."""
        return True


def _watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal, and each look at the clock a second after the last."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    seconds = iter(range(100))
    monkeypatch.setattr("destinations.cli.progress.time.monotonic", lambda: float(next(seconds)))
    return made


def _entries(number: int) -> list[Entry]:
    return [Entry(line=line, data=b"{}") for line in range(1, number + 1)]


def test_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share that was read, the lines and the time left are shown, and erased at the end."""
    terminal = _watched(monkeypatch)
    entries = watch(iter(_entries(2)), lambda: 0.25)
    next(entries)
    assert terminal.getvalue() == (
        f"{ERASE}[########----------------------]  25%  1 lines read, 00:00:03 left"
    )
    next(entries)
    assert list(entries) == []
    assert "  2 lines read, 00:00:06 left" in terminal.getvalue()
    assert terminal.getvalue().endswith(ERASE)


def test_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows how much comes, the lines are counted."""
    terminal = _watched(monkeypatch)
    assert len(list(watch(iter(_entries(3)), lambda: None))) == 3
    shown = [f"{ERASE}{number} lines read" for number in ("1", "2", "3")]
    assert terminal.getvalue() == "".join(shown) + ERASE


def test_a_notice_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is not written behind the bar."""
    terminal = _watched(monkeypatch)
    tell("Kana answers again.")
    assert terminal.getvalue() == f"{ERASE}Kana answers again.\n"


def test_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """A file or pipe gets the messages alone."""
    assert len(list(watch(iter(_entries(3)), lambda: None))) == 3
    tell("a")
    assert capsys.readouterr() == ("", "a\n")
