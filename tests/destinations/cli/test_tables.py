from __future__ import annotations

import io
import sys

import pytest

from destinations.cli.tables import Bold, Dim, print_table, say, styled, table_lines

ROWS = [("ann", 1_234, "in one line"), ("b", 5, "with words that need more room than there is")]
COLUMNS = ("user", "rows", "reason")


class Terminal(io.StringIO):
    """Output that somebody watches."""

    def isatty(self) -> bool:
        """Tell that it is a terminal."""
        return True


def test_without_a_terminal_a_row_is_a_line() -> None:
    """Numbers stand on the right, everything else on the left, and no space at the end."""
    assert list(table_lines(COLUMNS, ROWS, total=("total", 1_239, ""))) == [
        "user    rows  reason",
        "ann    1,234  in one line",
        "b          5  with words that need more room than there is",
        "total  1,239",
    ]


@pytest.mark.parametrize("width", [10, 20, 30, 40, 60, 200])
def test_a_narrow_terminal(width: int) -> None:
    """What has no room is folded at spaces: nothing is lost, and lines fit if they can."""
    lines = list(table_lines(COLUMNS, ROWS, width=width))
    assert all(len(line) <= max(width, 5 + 8 + 8 + 4) for line in lines)
    words = " ".join(line[11:].strip() for line in lines if line[:1] in {"b", " "}).split()
    if width >= 30:  # the first columns have their own width
        assert words == ROWS[1][2].split()


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("x" * 20, ["x" * 12, "x" * 8]),
        ("漢字かな漢字かな", ["漢字かな漢字", "かな"]),  # two columns each
        ("e\u0301" * 13, ["e\u0301" * 12, "e\u0301"]),  # none for what stands above
        ("twelve chars and", ["twelve chars", "and"]),
        ("", [""]),
    ],
)
def test_folding(cell: str, lines: list[str]) -> None:
    """A word that is too long is broken; columns of the terminal count, not characters."""
    assert list(table_lines(["c"], [(cell,)], width=12))[1:] == lines


def test_columns_stay_in_line() -> None:
    """A cell with wide characters moves no other column."""
    first, second = list(table_lines(("a", "b"), [("漢字", "x"), ("abcd", "x")]))[1:]
    assert (first, second) == ("漢字  x", "abcd  x")


def test_values_steer_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold and dim are the only commands; what a value holds is shown as text."""
    assert styled(Bold("a"), "b\x1b[2J", Dim("c\r")) == "\x1b[1ma\x1b[0mb�[2J\x1b[2mc�\x1b[0m"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table("T\n", ("a",), [("[bold]x[/bold]\x07",)])
    assert terminal.getvalue() == "\x1b[1mT�\x1b[0m\n\x1b[1ma\x1b[0m\n[bold]x[/bold]�\n\n"


def test_a_file_gets_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is bold, on either stream."""
    say(Bold("a"), Dim("b"))
    print_table("T", ("a",), [], to_stderr=True)
    assert capsys.readouterr() == ("ab\n", "T\n\n")
