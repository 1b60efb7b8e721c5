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
from destinations.reference.synonyms import SYNONYMS

__all__ = ["Topic", "Topics", "read_topics"]

_FRONT: Final = re.compile(r"---\n(.*?)\n---\n\s*", re.DOTALL)
_HEADING: Final = re.compile(r"^(#{1,4}) (.+?)\s*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_MARKS: Final = re.compile(r"[`*\\]")
_TABLE: Final = re.compile(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE)
_KEY: Final = re.compile(r"\| \[?`([^`]+)`")
_OPTION: Final = re.compile(r"--[a-z-]+")
_ANY: Final = re.compile(r"\.\*|\[\]")
_STATUS: Final = re.compile(r"[1-5]\d\d")
_BETWEEN: Final = re.compile(r"[\s_-]+")
_PYTHON: Final = "python/"
_MOST_NEAR: Final = 5
_MOST_ALIKE: Final = 5
_MOST_LISTED: Final = 12


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
        kinds: list[dict[str, list[Topic]]] = [{}, {}, {}, {}]
        for page in self.pages.values():
            if page.path.startswith(_PYTHON):
                continue
            kinds[0].setdefault(page.name.casefold(), []).append(page)
            for name in page.also:
                kinds[1].setdefault(name.casefold(), []).append(page)
            for section in _sections(page):
                kinds[2].setdefault(section.name.casefold(), []).append(section)
            for row in (*_rows(page), *_statuses(page)):
                kinds[3].setdefault(row.name.casefold(), []).append(row)
        # What many pages have, such as an example, names none of them.
        few = {name: found for name, found in kinds[2].items() if len(found) <= _MOST_ALIKE}
        kinds[2] = few
        return {name: found for kind in reversed(kinds) for name, found in kind.items()}

    @cached_property
    def _of_python(self) -> Mapping[str, Sequence[Topic]]:
        """The topics of Python's names, which are asked for last: classes share many words."""
        found: dict[str, list[Topic]] = {}
        rows: dict[str, list[Topic]] = {}
        for page in self.pages.values():
            if not page.path.startswith(_PYTHON):
                continue
            for name in (page.name, *page.also):
                found.setdefault(name.casefold(), []).append(page)
            for section in _sections(page):
                found.setdefault(section.name.casefold(), []).append(section)
            for row in _rows(page):
                rows.setdefault(row.name.casefold(), []).append(row)
        return {**rows, **found}

    @cached_property
    def _by_ending(self) -> Mapping[str, Sequence[Topic]]:
        """The topics of the last words of commands, and else of the last segments of keys."""
        commands: dict[str, list[Topic]] = {}
        keys: dict[str, list[Topic]] = {}
        for name, topics in self._by_name.items():
            kind, mark = (commands, " ") if name.startswith("destinations ") else (keys, ".")
            ending = name
            while mark in ending:
                ending = ending.partition(mark)[2]
                mine = kind.setdefault(ending, [])
                mine += [one for one in topics if one not in mine]
        return {**keys, **commands}

    @cached_property
    def _by_letters(self) -> Mapping[str, Sequence[Topic]]:
        """The topics of names without what is between their words, and without a plural's s."""
        found: dict[str, list[Topic]] = {}
        for name, topics in self._by_name.items():
            mine = found.setdefault(_letters(name), [])
            mine += [one for one in topics if one not in mine]
        return found

    def plus(self, pages: Mapping[str, str]) -> Topics:
        """Return these topics and those of more pages."""
        return Topics({**self.pages, **Topics.of(pages).pages})

    def find(self, name: str) -> Sequence[Topic]:
        """Return the topics of this name, in upper or lower case: mostly one.

        A page goes before a heading of another, and that before a row of a table. After the name
        of a page it is one of the page. Else the end of a name will do, the last word of a command
        before the last segments of a key, or a word that readers have for it. Raises `UsageError`
        that names the nearest ones if there is none.
        """
        wanted = " ".join(name.split()).casefold()
        # A command is asked for without the program, too: `help deliveries list`.
        found = (
            self._named(wanted)
            or self._by_name.get(f"destinations {wanted}")
            or self._of_page(wanted)
            or self._synonyms(wanted)
            or _few(self._by_ending.get(wanted, ()))
            or self._of_python.get(wanted)
            or _few(self._by_letters.get(_letters(wanted), ()))
        )
        if found:
            return found
        near = self.near(name)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        msg = f"unknown topic {name!r}{hint}; `destinations help` lists all topics"
        raise UsageError(msg)

    def _named(self, wanted: str) -> Sequence[Topic]:
        """Return the topics of a whole name; of several keys, also those that end in it."""
        found = self._by_name.get(wanted, ())
        if len(found) > 1 and all(one.section for one in found):
            ending = self._by_ending.get(wanted, ())
            return _few([*found, *(one for one in ending if one not in found)]) or found
        return found

    def _synonyms(self, wanted: str) -> Sequence[Topic]:
        known = {_letters(word): names for word, names in SYNONYMS.items()}
        return [
            topic
            for name in known.get(_letters(wanted), ())
            for topic in self._by_name.get(name.casefold(), ())
        ]

    def has(self, name: str) -> bool:
        """Return whether a topic has exactly this name."""
        return name.casefold() in self._by_name or name.casefold() in self._of_python

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
        known = {**self._of_python, **self._by_name}
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


def _letters(name: str) -> str:
    return _BETWEEN.sub("", name.casefold()).rstrip("s")


def _few(found: Sequence[Topic]) -> Sequence[Topic]:
    """Return topics that can be listed; what more have names none of them."""
    return found if len(found) <= _MOST_LISTED else ()


def read_topics(*paths: str) -> Topics:
    """Return the topics of the installed package: of all pages, or of these alone."""
    root = importlib.resources.files("destinations.reference.pages")
    if paths:
        return Topics.of({path: (root / path).read_text(encoding="utf-8") for path in paths})
    return Topics.of(dict(_files(root, "")))


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


def _statuses(page: Topic) -> Iterator[Topic]:
    """Yield what a page says of each HTTP status: the rows of its tables that have it."""
    found: dict[str, list[str]] = {}
    for section in _sections(page):
        if not section.name.startswith("Statuses"):
            continue
        for part in _TABLE.finditer(section.text):
            head = part[0][: part.start(1) - part.start()]
            for row in part[1].splitlines():
                for cell in filter(_STATUS.fullmatch, (one.strip() for one in row.split("|"))):
                    line = f"## {section.name}\n\n{head}{row}\n"
                    found.setdefault(cell, [f"# {page.name}\n"]).append(line)
    for status, said in found.items():
        yield Topic(status, page.path, "\n".join(said), section=status)


def _is_below(name: str, key: str) -> bool:
    return name == key or name.startswith((f"{key}.", f"{key}["))
