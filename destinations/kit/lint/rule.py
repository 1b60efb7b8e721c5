"""One rule: what it looks for, how it is reported, and an example of each side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from destinations.kit.lint.finding import Level

if TYPE_CHECKING:
    from destinations.kit.lint.source import Source

__all__ = ["FLAVOURS", "Found", "Rule", "Search"]

FLAVOURS = ("published", "submission")


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the page's text, the excerpt for the message, and what to say instead.

    ``fix`` replaces the text from ``offset`` to ``end``; None if only an author can fix it.
    """

    offset: int
    text: str = ""
    swap: str = ""
    end: int = 0
    fix: str | None = None


class Search(Protocol):
    """The search of a rule file in Vale's format."""

    def __call__(self, source: Source) -> Iterator[Found]:
        """Yield every place in a page that breaks the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, with either the ``search`` of a rule file or the name of a ``check``.

    ``message`` is formatted with ``found`` and ``swap``. ``good`` and ``bad`` are examples, each
    followed by ``context``, and ``files`` describes the images that they name; rules of a partner's
    own have none. ``source`` is the path of a rule file.
    """

    id: str
    level: Level
    message: str
    search: Search | None = None
    check: str | None = None
    good: str = ""
    bad: str = ""
    flavours: tuple[str, ...] = FLAVOURS
    allowed: tuple[str, ...] = ()
    context: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def message_for(self, found: Found) -> str:
        """Return the message of one finding."""
        return self.message.format(found=found.text, swap=found.swap)
