"""The finding of a check or a pattern."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the page's text, the excerpt for the message, and the replacement."""

    offset: int
    text: str = ""
    swap: str = ""
