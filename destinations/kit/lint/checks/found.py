"""What a check or a pattern finds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the page's text, what the message shows of it, and what to write instead."""

    offset: int
    text: str = ""
    swap: str = ""
