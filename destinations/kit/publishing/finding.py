"""Define rules of publishing, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from destinations.errors import Issue
from destinations.kit.publishing.publication import Kind, Publication

__all__ = ["BOTH", "Find", "Finding", "Level", "Rule"]

Level = Literal["error", "warning"]
Find = Callable[[Publication], Iterator[Issue]]

BOTH: Final[tuple[Kind, ...]] = ("actions", "direct")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of reviews or of Segment's CI, with the function that finds what breaks it.

    ``why`` says what happens otherwise, ``fix`` what to do, and ``source`` where Segment says so.
    ``kinds`` are the kinds of destinations that it is about. What breaks a rule that ``can_follow``
    does not keep a pack from being written: it can be sent later.
    """

    id: str
    level: Level
    why: str
    fix: str
    source: str
    find: Find
    kinds: tuple[Kind, ...] = ("actions",)
    can_follow: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A place that breaks a rule."""

    rule: Rule
    issue: Issue

    @property
    def level(self) -> Level:
        """Return the level of its rule."""
        return self.rule.level

    def as_json(self) -> dict[str, Any]:
        """Return it as members of a JSON object."""
        return {
            "rule": self.rule.id,
            "level": self.rule.level,
            "file": self.issue.file,
            "line": self.issue.line,
            "path": self.issue.path,
            "message": self.issue.message,
            "why": self.rule.why,
            "fix": self.rule.fix,
            "source": self.rule.source,
        }
