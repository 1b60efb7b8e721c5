"""Find a topic of the reference: a page, or one section of it."""

from __future__ import annotations

import importlib.resources
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Final

from destinations.errors import UsageError
from destinations.reference.guide import guide_of, parts_of
from destinations.reference.synonyms import SYNONYMS
from destinations.reference.topic import Topic, sections_of

__all__ = ["Topic", "Topics", "read_topics"]

_FRONT: Final = re.compile(r"---\n(.*?)\n---\n\s*", re.DOTALL)
_TABLE: Final = re.compile(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE)
_KEY: Final = re.compile(r"\| \[?`([^`]+)`")
_OPTION: Final = re.compile(r"--[a-z-]+")
_ANY: Final = re.compile(r"\.\*|\[\]")
_STATUS: Final = re.compile(r"[1-5]\d\d")
_BETWEEN: Final = re.compile(r"[\s_-]+")
_GUIDES: Final = ("", "explanations", "how-to", "tutorials")
"""The folders of guides; others hold the reference, and pages of destinations."""

_HOME: Final = frozenset({"index.md"})
"""What a terminal does not show: the front page of the site."""

_PYTHON: Final = "python/"
_WORDS: Final = re.compile(r"[\W_]+")
_ALIKE: Final = 0.75  # transprot and transport; not oauth and @path
_SHORT: Final = 3
_LONGEST_SHOWN: Final = 100
_OF_ABOUT: Final = 30
_OF_PHRASE: Final = 20
_OF_HEADING: Final = 5
_MOST_IN_TEXT: Final = 10
_MOST_RELATED: Final = 6
_MOST_NEAR: Final = 5
_MOST_ALIKE: Final = 5
_MOST_LISTED: Final = 12


@dataclass(frozen=True)
class Topics:
    """All pages by their path below the reference, such as ``directives/path.md``.

    ``guides`` are the pages of the site that are no part of it: their paths begin with ``../``.
    """

    pages: Mapping[str, Topic]
    guides: Mapping[str, Topic] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Mapping[str, str], guides: Mapping[str, str] | None = None) -> Topics:
        """Return the topics of these pages: texts in Markdown by their paths."""
        read = [guide_of(path, text) for path, text in (guides or {}).items()]
        return cls(
            {path: _page(path, text) for path, text in texts.items()},
            {one.path: one for one in read},
        )

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
            for section in sections_of(page):
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
            for section in sections_of(page):
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

    @cached_property
    def _of_guides(self) -> Mapping[str, Sequence[Topic]]:
        """The guides of each name in lower case."""
        found: dict[str, list[Topic]] = {}
        for guide in self.guides.values():
            for name in {one.casefold() for one in (guide.name, *guide.also)}:
                found.setdefault(name, []).append(guide)
        return found

    @cached_property
    def _in_guides(self) -> Mapping[str, Sequence[Topic]]:
        """The sections of guides, and the words of the glossary, by their names' letters."""
        found: dict[str, list[Topic]] = {}
        for guide in self.guides.values():
            for part in parts_of(guide):
                found.setdefault(_letters(part.name), []).append(part)
        # What many guides have, such as their steps, names none of them.
        return {name: parts for name, parts in found.items() if len(parts) <= _MOST_ALIKE}

    def plus(self, pages: Mapping[str, str]) -> Topics:
        """Return these topics and those of more pages."""
        return Topics({**self.pages, **Topics.of(pages).pages}, self.guides)

    def page_of(self, topic: Topic) -> Topic:
        """Return the page that a topic is, or is a section of."""
        return self.guides.get(topic.path) or self.pages[topic.path]

    def find(self, name: str) -> Sequence[Topic]:
        """Return the topics of this name, in upper or lower case: mostly one.

        A page goes before a heading of another, and that before a row of a table. After the name
        of a page it is one of the page. Else the end of a name will do, the last word of a command
        before the last segments of a key, or a word that readers have for it. Guides come after
        the reference, and last what stands in them. Raises `UsageError` that names the nearest
        ones if there is none.
        """
        wanted = _wanted(name)
        # A command is asked for without the program, too: `help deliveries list`.
        found = (
            self._named(wanted)
            or self._by_name.get(f"destinations {wanted}")
            or self._of_page(wanted)
            or self._of_guides.get(wanted)
            or self._synonyms(wanted)
            or _few(self._by_ending.get(wanted, ()))
            or self._of_python.get(wanted)
            or _few(self._by_letters.get(_letters(wanted), ()))
            or self._in_guides.get(_letters(wanted))
        )
        if found:
            return found
        near = self.near(name)
        hint = f"; nearest: {', '.join(map(repr, near))}" if near else ""
        shown = name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"
        msg = (
            f"unknown topic {shown!r}{hint}; `destinations help` lists all topics, "
            "`destinations help --search WORDS` finds words in them"
        )
        raise UsageError(msg)

    def related(self, name: str, shown: Iterable[Topic]) -> Sequence[Topic]:
        """Return what else has to do with a name: what readers call so, guides, the glossary."""
        wanted = _wanted(name)
        found = [
            *self._synonyms(wanted),
            *self._of_guides.get(wanted, ()),
            *self._in_guides.get(_letters(wanted), ()),
        ]
        known = {(one.path, one.section) for one in shown}
        others = {(one.path, one.section): one for one in found}
        return [one for place, one in others.items() if place not in known][:_MOST_RELATED]

    def _named(self, wanted: str) -> Sequence[Topic]:
        """Return the topics of a whole name; of several keys, also those that end in it."""
        found = self._by_name.get(wanted, ())
        if len(found) > 1 and all(one.section for one in found):
            ending = self._by_ending.get(wanted, ())
            return _few([*found, *(one for one in ending if one not in found)]) or found
        return found

    def _synonyms(self, wanted: str) -> Sequence[Topic]:
        known = {_letters(word): names for word, names in SYNONYMS.items()}
        names = [name.casefold() for name in known.get(_letters(wanted), ())]
        return [
            topic
            for name in names
            for topic in self._by_name.get(name) or self._of_guides.get(name, ())
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
            for parts in (sections_of(page), _rows(page)):
                found = [part for part in parts if part.name.casefold() == name]
                if found:
                    return found
        for guide in self.guides.values():
            if wanted.startswith(f"{guide.name} "):
                name = wanted[len(guide.name) + 1 :]
                return [part for part in parts_of(guide) if part.name.casefold() == name]
        return ()

    def near(self, name: str) -> Sequence[str]:
        """Return the names of topics that are like ``name``, the nearest first."""
        from difflib import get_close_matches  # noqa: PLC0415 - slow to import, only for mistakes

        wanted = name.casefold().strip()
        ends = {end: found for end, found in self._by_ending.items() if _few(found)}
        whole = {**self._in_guides, **self._of_guides, **self._of_python, **self._by_name}
        known = {**ends, **whole}
        # Of three letters two are those of many words.
        is_short = len(wanted) <= _SHORT
        alike = [] if is_short else get_close_matches(wanted, known, n=_MOST_NEAR, cutoff=_ALIKE)
        bare = wanted.strip("@.-_ ")
        within = [one for one in known if bare in _WORDS.split(one) and one not in alike]
        named = [known[one][0].name if one in whole else one for one in [*alike, *within]]
        return list(dict.fromkeys(named))[:_MOST_NEAR] if bare else []

    def search(self, words: str) -> Sequence[Topic]:
        """Return the pages that have words which begin with all of these, the best ones first.

        Upper and lower case count as the same. A name or a summary counts more than a heading, and
        that more than the text.
        """
        wanted = [_beginning(word) for word in words.split()]
        phrase = _beginning(" ".join(words.split()))
        found = []
        for page in (*self.pages.values(), *self.guides.values()):
            about = " ".join([page.name, *page.also, page.summary])
            headings = "\n".join(one.name for one in sections_of(page))
            weight = 0
            for word in wanted:
                in_text = len(word.findall(page.text))
                in_about = bool(word.search(about))
                if not in_text and not in_about:
                    break
                weight += _OF_ABOUT * in_about + _OF_HEADING * len(word.findall(headings))
                weight += min(in_text, _MOST_IN_TEXT)
            else:
                if len(wanted) > 1:
                    weight += _OF_PHRASE * bool(phrase.search(" ".join(page.text.split())))
                found.append((weight, page))
        return [page for _, page in sorted(found, key=lambda one: -one[0])] if wanted else []


def _beginning(word: str) -> re.Pattern[str]:
    """Return the pattern of words that begin with this one."""
    return re.compile(rf"(?<![^\W_]){re.escape(word)}", re.IGNORECASE)


def _wanted(name: str) -> str:
    return " ".join(name.split()).casefold()


def _letters(name: str) -> str:
    joined = _BETWEEN.sub("", name.casefold())
    return joined.rstrip("s") if len(joined) > _SHORT else joined


def _few(found: Sequence[Topic]) -> Sequence[Topic]:
    """Return topics that can be listed; what more have names none of them."""
    return found if len(found) <= _MOST_LISTED else ()


def read_topics(*paths: str) -> Topics:
    """Return the topics of the installed package: of all pages, or of these alone."""
    root = importlib.resources.files("destinations.reference.pages")
    if paths:
        return Topics.of({path: (root / path).read_text(encoding="utf-8") for path in paths})
    guides = importlib.resources.files("destinations.reference.guides")
    texts = {
        path: text
        for folder in _GUIDES
        for path, text in _pages_in(guides / folder if folder else guides, folder)
        if path not in _HOME
    }
    return Topics.of(dict(_files(root, "")), texts)


def _pages_in(folder: Traversable, name: str) -> Iterator[tuple[str, str]]:
    """Yield the paths and texts of the pages that lie in a folder itself."""
    for one in sorted(folder.iterdir(), key=lambda each: each.name):
        if one.name.endswith(".md"):
            yield posixpath.join(name, one.name), one.read_text(encoding="utf-8")


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
    for section in sections_of(page):
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
