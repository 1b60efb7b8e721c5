"""Find secrets in requests that were made again, by the masks of those that were kept.

A request is kept without the secrets that its destination had. One that is made again of the event
has, in the same places, those that came with the event.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

from destinations.errors import EventError
from destinations.kit.testing.case import Case, RecordedRequest
from destinations.secrets import MASK
from destinations.segment.event import read_json
from destinations.store import Attempt

__all__ = ["masked_secrets"]

_SHORTEST: Final = 4


def masked_secrets(case: Case, attempts: Sequence[Attempt]) -> Collection[str]:
    """Return the texts of a case's events that the kept requests of its attempts have masked.

    Only what a request has is found, in the form in which the event has it, and only in a request
    that was made for the delivery alone.
    """
    own = list(_texts(list(case.events)))
    found: set[str] = set()
    for attempt in attempts:
        if attempt.deliveries > 1:
            continue
        for interaction in case.interactions:
            found.update(_hidden(attempt, interaction.request))
    return {one for one in found if len(one) >= _SHORTEST and any(one in text for text in own)}


def _hidden(attempt: Attempt, request: RecordedRequest) -> Iterator[str]:
    """Yield what a request has where the one of an attempt has a mask."""
    if attempt.method != request.method:
        return
    for one in _behind(attempt.url, request.url):
        yield from (one, unquote(one))
    headers = {name.lower(): value for name, value in request.headers.items()}
    for name, value in attempt.request_headers.items():
        yield from _behind(value, headers.get(name.lower(), ""))
    text = (attempt.request_body or b"").decode("utf-8", "replace")
    if request.body is not None:
        for one in _behind(text, request.body):
            yield from (one, unquote(one.replace("+", " ")))
        return
    try:
        kept = read_json(text.encode(), limit=len(text.encode()))
    except EventError:  # cut off, or no JSON
        return
    yield from _behind_values(kept, request.json)


def _behind_values(kept: Any, made: Any) -> Iterator[str]:
    """Yield what a JSON value has where another one has a mask."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(kept, str) and isinstance(made, str):
        yield from _behind(kept, made)
    elif isinstance(kept, dict) and isinstance(made, dict):
        pairs = [(value, made.get(name)) for name, value in kept.items()]
    elif isinstance(kept, list) and isinstance(made, list):
        pairs = zip(kept, made, strict=False)
    for one, other in pairs:
        yield from _behind_values(one, other)


def _behind(kept: str, made: str) -> Sequence[str]:
    """Return what one text has where the other one has a mask; nothing if they differ elsewhere."""
    pieces = kept.split(MASK)
    if len(pieces) == 1:
        return ()
    found = re.fullmatch("(.+?)".join(map(re.escape, pieces)), made, re.DOTALL)
    return () if found is None else found.groups()


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts and keys of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
