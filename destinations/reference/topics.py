"""Find a topic of the reference: a page, or one section of it."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Final

from destinations.errors import UsageError

__all__ = ["Topic", "Topics", "read_topics"]

_FRONT: Final = re.compile(r"---\n(.*?)\n---\n\s*", re.DOTALL)
_HEADING: Final = re.compile(r"^(#{1,4}) (.+?)\s*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_MARKS: Final = re.compile(r"[`*\\]")
_TABLE: Final = re.compile(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE)
_KEY: Final = re.compile(r"\| \[?`([^`]+)`")
_OPTION: Final = re.compile(r"--[a-z-]+")
_ANY: Final = re.compile(r"\.\*|\[\]")
_MOST_NEAR: Final = 5
_MOST_ALIKE: Final = 5


@dataclass(frozen=True, slots=True)
class Topic:
    """A page of the reference, or a section of one: its names, and its Markdown.

    ``path`` is the page's, below the reference. ``section`` is the heading that it begins with;
    empty for a whole page.
    """

    name: str
    path: str
    text: str
    summary: str = ""
    also: Sequence[str] = ()
    section: str = ""


@dataclass(frozen=True)
class Topics:
    """All pages of the reference by their path, such as ``directives/path.md``."""

    pages: Mapping[str, Topic]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Topics:
        """Return the topics of these pages: texts in Markdown by their paths."""
        return cls({path: _page(path, text) for path, text in texts.items()})

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[Topic]]:
        """The topics of each name in lower case: those of the best kind that there are."""
        kinds: list[dict[str, list[Topic]]] = [{}, {}, {}, {}, {}]
        for page in self.pages.values():
            kinds[0].setdefault(page.name.casefold(), []).append(page)
            for name in page.also:
                kinds[1].setdefault(name.casefold(), []).append(page)
            # Names of Python are those of classes too: `Unmapped` goes after the outcome.
            rank = 4 if page.path.startswith("python/") else 2
            for section in _sections(page):
                kinds[rank].setdefault(section.name.casefold(), []).append(section)
            for row in _rows(page):
                kinds[3].setdefault(row.name.casefold(), []).append(row)
        # What many pages have, such as an example, names none of them.
        few = {name: found for name, found in kinds[2].items() if len(found) <= _MOST_ALIKE}
        kinds[2] = few
        return {name: found for kind in reversed(kinds) for name, found in kind.items()}

    def find(self, name: str) -> Sequence[Topic]:
        """Return the topics of this name, in upper or lower case: mostly one.

        A page goes before a heading of another, and that before a row of a table. After the name
        of a page it is one of the page. Raises `UsageError` that names the nearest ones if there is
        none.
        """
        wanted = " ".join(name.split()).casefold()
        # A command is asked for without the program, too: `help deliveries list`.
        found = (
            self._by_name.get(wanted)
            or self._by_name.get(f"destinations {wanted}")
            or self._of_page(wanted)
        )
        if found:
            return found
        near = self.near(name)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        msg = f"unknown topic {name!r}{hint}; `destinations help` lists all topics"
        raise UsageError(msg)

    def has(self, name: str) -> bool:
        """Return whether `find` knows a name."""
        return name.casefold() in self._by_name

    def _of_page(self, wanted: str) -> Sequence[Topic]:
        """Return the headings, or else the rows, that are named after a page: ``liquid upcase``."""
        for page in self.pages.values():
            if not wanted.startswith(f"{page.name.casefold()} "):
                continue
            name = wanted[len(page.name) + 1 :]
            for parts in (_sections(page), _rows(page)):
                found = [part for part in parts if part.name.casefold() == name]
                if found:
                    return found
        return ()

    def near(self, name: str) -> Sequence[str]:
        """Return the names of topics that are like ``name``, the nearest first."""
        from difflib import get_close_matches  # noqa: PLC0415 - slow to import, only for mistakes

        wanted = name.casefold().strip()
        known = self._by_name
        alike = get_close_matches(wanted, known, n=_MOST_NEAR, cutoff=0.6)
        bare = wanted.strip("@.-_ ")
        within = [one for one in known if bare and bare in one and one not in alike]
        return list(dict.fromkeys(known[one][0].name for one in [*alike, *within]))[:_MOST_NEAR]

    def search(self, words: str) -> Sequence[Topic]:
        """Return the pages that have all of these words, in upper or lower case."""
        wanted = words.casefold().split()
        return [
            page
            for page in self.pages.values()
            if wanted and all(word in f"{page.name} {page.text}".casefold() for word in wanted)
        ]


def read_topics() -> Topics:
    """Return the topics of the installed package."""
    return Topics.of(dict(_files(importlib.resources.files("destinations.reference.pages"), "")))


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for one in sorted(folder.iterdir(), key=lambda each: each.name):
        if one.is_dir():
            yield from _files(one, f"{prefix}{one.name}/")
        elif one.name.endswith(".md"):
            yield prefix + one.name, one.read_text(encoding="utf-8")


def _page(path: str, text: str) -> Topic:
    """Read a page: what stands before its text says how it is called."""
    found = _FRONT.match(text)
    front = dict(_pairs(found[1])) if found else {}
    body = text[found.end() :] if found else text
    name = front.get("topic", path.removesuffix(".md"))
    also = [one.strip() for one in front.get("also", "").split(",") if one.strip()]
    return Topic(name, path, body, front.get("summary", ""), also)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        yield key.strip(), value.strip().strip('"')


def _sections(page: Topic) -> Iterator[Topic]:
    """Yield the sections of a page, each with what is below it."""
    # What looks like a heading in a code block is none.
    masked = _FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), page.text)
    headings = list(_HEADING.finditer(masked))
    for number, heading in enumerate(headings):
        level = len(heading[1])
        if level == 1:
            continue
        end = next(
            (one.start() for one in headings[number + 1 :] if len(one[1]) <= level), len(page.text)
        )
        name = _MARKS.sub("", heading[2])
        yield Topic(name, page.path, page.text[heading.start() : end], section=name)


def _rows(page: Topic) -> Iterator[Topic]:
    """Yield the rows of tables that begin with code, each with the rows of what is below it."""
    for found in _TABLE.finditer(page.text):
        head = found[0][: found.start(1) - found.start()]
        rows = found[1].splitlines()
        keys = [key[1] if (key := _KEY.match(row)) else "" for row in rows]
        for key in filter(None, keys):
            below = [row for name, row in zip(keys, rows, strict=True) if _is_below(name, key)]
            text = f"# {page.name}\n\n{head}" + "\n".join(below) + "\n"
            for name in _OPTION.findall(key) or [_ANY.sub("", key)]:
                yield Topic(name, page.path, text, section=key)


def _is_below(name: str, key: str) -> bool:
    return name == key or name.startswith((f"{key}.", f"{key}["))
