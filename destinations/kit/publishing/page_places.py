"""Find where in a definition a sentence of its generated documentation page comes from."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.errors import Issue
from destinations.kit.lint import Finding
from destinations.kit.publishing.publication import DESTINATION, Publication
from destinations.segment.json_pointer import pointer

__all__ = ["PagePlaces"]

_CELL: Final = re.compile(r"(?<!\\)\|")
_SENTENCE: Final = re.compile(r"(?:[^.!?]|[.!?](?!\s|$))+[.!?]?")
_ITEM: Final = re.compile(r"^[\s>]*(?:[-*+]|\d+\.|#+)?\s+")
_LABEL: Final = re.compile(r"^[\s>]*(?:[-*+]|\d+\.)?\s*\*\*[^*]+\*\*:\s*")
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_LIQUID: Final = re.compile(r"\{\{ '(\{[{%])' \}\}")
_WORD: Final = re.compile(r"\w+")
_SHOWN: Final = 120
_NOT_SHOWN: Final = ("/$schema", "/requests/", "/errorRules/", "/transport/", "/authentication/")
"""The parts of destination.yaml that no page shows."""

_OF_PAGE: Final = frozenset(
    {
        *("maintainer", "utm", "required-section", "section-order", "h1"),
        *("front-matter", "front-matter-key", "front-matter-id"),
    }
)
"""The rules of the linter that are about a page as a whole, whatever line they name."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the definition, at a JSON pointer of the file ``stem``, or of a page template."""

    value: str
    issue: Issue
    lines: tuple[tuple[int, str], ...]


class PagePlaces:
    """Turns findings in a generated page into issues at the texts that it was made from."""

    def __init__(self, publication: Publication) -> None:
        self._page = publication.page.splitlines()
        self._name = f"{publication.definition.slug}.md"
        self._texts = list(_texts(publication))

    def issues(self, finding: Finding) -> list[Issue]:
        """Return the issue of a finding at each text that it may come from.

        Without such a text it quotes the sentence of the page, which is no file.
        """
        message = f"{finding.message} [{finding.rule}]"
        place = f"the page {self._name}, which is generated"
        if finding.rule in _OF_PAGE:
            return [Issue(f"{place}: {message}")]
        line = self._page[finding.line - 1] if finding.line <= len(self._page) else ""
        part, column = _part(line, finding.column - 1)
        sentence = _plain(_LABEL.sub("", _sentence(part, column)))
        words = _WORD.findall(part[column:])[:2]
        whole = _plain(part)
        found = [one for one in self._texts if whole and whole in one.value] or [
            one for one in self._texts if sentence and sentence in one.value
        ]
        if not found and words:  # a text in a sentence of a template, such as a title
            inside = [
                one for one in self._texts if one.value in whole and _has(one.value, words[:1])
            ]
            longest = max((len(one.value) for one in inside), default=0)
            found = [one for one in inside if len(one.value) == longest]
        if not found:
            shown = sentence if len(sentence) <= _SHOWN else sentence[: _SHOWN - 1] + "…"
            return [
                Issue(f"{place}, says {shown!r}: {message}" if shown else f"{place}: {message}")
            ]
        return [_at(one, message, words) for one in found]


def _part(line: str, column: int) -> tuple[str, int]:
    """Return the cell of a table, or the whole line, at a column, and the column in it."""
    if not line.lstrip().startswith("|"):
        return line, column
    start, end = 0, len(line)
    for found in _CELL.finditer(line):
        if found.end() <= column:
            start = found.end()
        elif found.start() >= column:
            end = found.start()
            break
    return line[start:end], column - start


def _sentence(part: str, column: int) -> str:
    for found in _SENTENCE.finditer(part):
        if found.start() <= column < found.end():
            return found[0]
    return part


def _plain(text: str) -> str:
    """Return a text as the definition has it, without what the page escapes."""
    text = _LIQUID.sub(r"\1", _ITEM.sub("", text, count=1))
    return " ".join(html.unescape(_ESCAPE.sub(r"\1", text)).split())


def _at(text: _Text, message: str, words: Sequence[str]) -> Issue:
    """Return an issue at the line of a text that has some words, or at its first."""
    for wanted in (words, words[:1]):
        for line, source in text.lines:
            if _has(source, wanted):
                return replace(text.issue, message=message, line=line)
    return replace(text.issue, message=message)


def _has(text: str, words: Sequence[str]) -> bool:
    pattern = r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)"
    return bool(words) and re.search(pattern, text) is not None


def _texts(publication: Publication) -> Iterator[_Text]:
    for stem, document in publication.documents.items():
        source = publication.source(document.name)
        starts = sorted({*document.lines.values(), len(source) + 1})
        for path, value in _strings(document.data):
            if stem == DESTINATION and path.startswith(_NOT_SHOWN):
                continue
            issue = publication.issue("", path, stem)
            first = issue.line or 1
            end = next((one for one in starts if one > first), len(source) + 1)
            lines = tuple(enumerate(source[first - 1 : end - 1], start=first))
            yield _Text(" ".join(value.split()), issue, lines)
    for file in sorted((publication.folder / "page").glob("*.md.j2")):
        for at, line in enumerate(publication.source(str(file)), start=1):
            yield _Text(_plain(line), Issue("", file=str(file), line=at), ((at, line),))


def _strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value.strip():
            yield path, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _strings(one, path + pointer(key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _strings(one, path + pointer(at))
