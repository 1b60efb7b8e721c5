"""A figure with what it is compared to, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure", "print_figures"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``; ``reference`` is the peer's value or the limit, of the same run."""

    name: str
    value: float
    unit: str
    reference: float | None = None
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the reference."""
        return None if not self.reference else self.value / self.reference

    def to_json(self) -> dict[str, Any]:
        """All of it, with the ratio."""
        return {**asdict(self), "ratio": self.ratio}


def print_figures(figures: Sequence[Figure]) -> None:
    """One line each."""
    rows = [("what", "value", "unit", "compared to", "ratio")]
    for figure in figures:
        reference = "" if figure.reference is None else f"{figure.against}: {figure.reference:,.6g}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        rows.append((figure.name, f"{figure.value:,.6g}", figure.unit, reference, ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
