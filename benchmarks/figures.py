"""A figure with what it is compared to, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure", "print_figures"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``; ``reference`` is the peer's value or the limit, of the same run.

    Without a value it was not measured, and ``against`` says why. A ``detail`` is in the JSON, but
    not in the table.
    """

    name: str
    value: float | None
    unit: str
    reference: float | None = None
    against: str = ""
    detail: bool = False

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the reference."""
        return None if self.value is None or not self.reference else self.value / self.reference

    def to_json(self) -> dict[str, Any]:
        """All of it, with the ratio."""
        return {**asdict(self), "ratio": self.ratio}


def print_figures(figures: Sequence[Figure]) -> None:
    """One line each."""
    rows = [("what", "value", "unit", "compared to", "ratio")]
    rows += [_row(figure) for figure in figures if not figure.detail]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    if figure.value is None:
        return figure.name, "not measured", "", figure.against, ""
    reference = figure.against
    if figure.reference is not None:
        reference = f"{figure.against}: {figure.reference:,.6g}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return figure.name, f"{figure.value:,.6g}", figure.unit, reference, ratio
