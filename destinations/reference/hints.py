"""Name the topics of the reference that explain an issue of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
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

_MOST: Final = 3


def help_line(issues: Iterable[Issue]) -> str:
    """Return a line that says how to read about these issues; empty if there is nothing."""
    topics: list[str] = []
    with contextlib.suppress(DestinationsError, OSError):  # a message is better without than none
        known = read_topics()
        for issue in issues:
            found = _topic(known, issue.path)
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


def _topic(known: Topics, path: str) -> str | None:
    return next((name for name in _names(path) if known.has(name)), None)


def _names(path: str) -> Iterator[str]:
    """Yield the topics that a JSON pointer may be about, the nearest first."""
    keys = [one.replace("~1", "/").replace("~0", "~") for one in path.split("/")[1:]]
    for key in reversed(keys):
        if key.startswith("@"):
            yield key
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
