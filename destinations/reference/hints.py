"""Name the topics of the reference that explain an issue of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

from destinations.errors import DestinationsError, Issue
from destinations.reference.topics import Topics, read_topics

__all__ = ["help_line", "help_on_codes"]

_LANGUAGES: Final = {
    "subscribe": "fql",
    "defaultSubscription": "fql",
    "drop": "fql",
}
"""The topics of keys whose values are of a language of their own."""

_YAML: Final = "YAML readers disagree"
_DEFINITION: Final = "destination.yaml"
_CASES: Final = "cases"
_FILES: Final = {"serve": "serve.yaml", "connection": "connection"}
"""Words in names of files, and the topics of such files: people name them as they like."""

_MOST: Final = 3


def help_line(issues: Iterable[Issue]) -> str:
    """Return a line that says how to read about these issues; empty if there is nothing."""
    topics: list[str] = []
    with contextlib.suppress(DestinationsError, OSError):  # a message is better without than none
        known = read_topics()
        for issue in issues:
            found = _topic(known, issue)
            if found is not None and found not in topics:
                topics.append(found)
    shown = [f"destinations help {topic}" for topic in topics[:_MOST]]
    return f"Help: {', '.join(shown)}" if shown else ""


def help_on_codes(codes: Iterable[str | None]) -> str:
    """Return the commands that explain these codes, with commas between; empty without any."""
    named = [code for code in dict.fromkeys(codes) if code]
    # One page has all codes: nobody who looks at a delivery waits for the others.
    known = read_topics("codes.md") if named else Topics({})
    shown = [f"destinations help {one}" for one in named if known.has(one)]
    return ", ".join(shown[:_MOST])


def _topic(known: Topics, issue: Issue) -> str | None:
    if _YAML in issue.message:
        return "yaml"
    names = [*_names(issue.path), *_of_file(issue.file)]
    return next((name for name in names if known.has(name)), None)


def _of_file(file: str | None) -> Iterator[str]:
    """Yield the topic of a whole file, for a place that has none of its own."""
    path = PurePath(file or "")
    if path.name == _DEFINITION:
        yield _DEFINITION
    elif path.parent.name == _CASES:
        yield "case"
    else:
        yield from (topic for word, topic in _FILES.items() if word in path.name)


def _names(path: str) -> Iterator[str]:
    """Yield the topics that a JSON pointer may be about, the nearest first."""
    keys = [one.replace("~1", "/").replace("~0", "~") for one in path.split("/")[1:]]
    for key in reversed(keys):
        if key.startswith("@"):
            yield from (key, "directives")
        if key in _LANGUAGES:
            yield _LANGUAGES[key]
    named = [key for key in keys if not key.isdigit()]
    for length in range(len(named), 0, -1):
        yield from _dotted(named[:length])


def _dotted(keys: Sequence[str]) -> Iterator[str]:
    """Yield the keys as a topic has them: names that an author chose are left out there."""
    yield ".".join(keys)
    if len(keys) > 1:
        yield ".".join([keys[0], *keys[2:]])
