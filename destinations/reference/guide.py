"""Name the pages of the site that are no part of the reference: guides, how-tos, explanations."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from destinations.reference.topic import MARKS, Topic, sections_of

__all__ = ["OUTSIDE", "guide_of", "parts_of"]

OUTSIDE: Final = "../"
"""What the paths of guides begin with: those of topics are relative to the reference."""

_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")
_PARAGRAPH: Final = re.compile(r"(?:^|\n)\n(?=[A-Z*`])(.+?)(?:\n\n|\Z)", re.DOTALL)
_AUDIENCE: Final = re.compile(r"For [\w ,]+\. ")
_SENTENCE: Final = re.compile(r".+?[.?](?=\s|$)")
_ROW: Final = re.compile(r"^\| `?([a-z][\w -]*?)`? \| .+ \|$", re.MULTILINE)
_LONGEST: Final = 200
_TUTORIALS: Final = "tutorials/"
_GLOSSARY: Final = "glossary.md"


def guide_of(path: str, text: str) -> Topic:
    """Return the topic of a page at ``path`` below docs/, such as ``how-to/upgrade.md``."""
    found = _TITLE.search(text)
    title = MARKS.sub("", found[1]) if found else path
    stem = posixpath.basename(path).removesuffix(".md")
    short = posixpath.dirname(path) if stem == "index" else stem
    also = [short, title]
    if path.startswith(_TUTORIALS):
        also.append(f"tutorial {short}")
    body = text[found.start() :] if found else text
    return Topic(f"guide {short}", OUTSIDE + path, body, _summary(body, title), also)


def parts_of(guide: Topic) -> Iterator[Topic]:
    """Yield what a guide has topics for: its sections, and the words of the glossary."""
    yield from sections_of(guide)
    if guide.path == OUTSIDE + _GLOSSARY:
        for row in _ROW.finditer(guide.text):
            text = f"# {guide.name}\n\n| word | meaning |\n|---|---|\n{row[0]}\n"
            yield Topic(row[1], guide.path, text, section=row[1])


def _summary(body: str, title: str) -> str:
    """Return the title, and the sentence after it if that is short, for whomever it is."""
    paragraph = _PARAGRAPH.search(body)
    if paragraph is None:
        return f"{title}."
    text = _LINK.sub(r"\1", " ".join(paragraph[1].split()))
    text = _AUDIENCE.sub("", text, count=1).replace("**", "").replace("*", "")
    sentence = _SENTENCE.match(text)
    is_short = sentence is not None and len(sentence[0]) <= _LONGEST
    return f"{title}. {sentence[0]}" if sentence and is_short else f"{title}."
