"""The finding of a rule in a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level"]

Level = Literal["error", "warning", "suggestion", "off"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that breaks a rule; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int
    rule: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {self.message} [{self.rule}]"
