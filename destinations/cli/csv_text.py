"""CSV that a spreadsheet reads as text: what begins like a formula is never in it unasked.

A spreadsheet carries out a cell that begins with one of a few characters, whatever its source: with
``=HYPERLINK(...)`` for a name, one user's data leaves with that of all others. An apostrophe in
front would keep it from that, and would be part of the id or the name for a program that imports
the file. So a row with such a cell is left out of a file that people may open, and reported.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

__all__ = ["begins_formula", "csv_row", "csv_text"]

_SIGNS: Final = "=+-@\uff1d\uff0b\uff0d\uff20\t\r\n"


def begins_formula(text: str) -> bool:
    """Return whether a spreadsheet may carry out a cell of this text, with leading space or not."""
    return text[:1] in set(_SIGNS) or text.lstrip()[:1] in set(_SIGNS)


def csv_row(values: Iterable[str]) -> str:
    """Return one row with its end, for output that is written row by row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()


def csv_text(
    columns: Sequence[str], rows: Iterable[Mapping[str, str]], *, exact: bool = False
) -> tuple[str, list[Mapping[str, str]]]:
    """Return CSV with a head, and the rows that are left out because of a formula.

    With ``exact`` none is left out: for a program that imports the file, not for a spreadsheet.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    left_out = []
    for row in rows:
        if exact or not any(begins_formula(row[column]) for column in columns):
            writer.writerow(row)
        else:
            left_out.append(row)
    return text.getvalue(), left_out
