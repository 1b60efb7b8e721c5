"""Show the attempts of a delivery to people."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from destinations.cli.json_output import json_text
from destinations.cli.tables import count, plain, print_table
from destinations.errors import EventError
from destinations.outcome import State
from destinations.segment.event import read_json
from destinations.store import Attempt

__all__ = ["print_attempts"]

_COLUMNS: Final = ("no.", "time", "took", "request", "status", "class", "rule", "outcome")
_KINDS: Final[Mapping[str, str]] = {
    "question": "asks about it",  # after a lost answer
    "credentials": "tests the credentials",
}
_BEFORE: Final = "asks for the balance before"
_ERASED: Final = "URL, headers and bodies were deleted: they had data of a user who was erased."


def print_attempts(delivery: int, attempts: Sequence[Attempt]) -> None:
    """Print a table of attempts, and then each with its headers and bodies."""
    print_table(
        f"{count(len(attempts), 'kept attempt')} of delivery {delivery}",
        _COLUMNS,
        [_row(one, about) for one, about in zip(attempts, _kinds(attempts), strict=True)],
    )
    for one in attempts:
        click.echo(f"Attempt {one.number}{f', step {one.step}' if one.step else ''}:")
        for line in _lines(one):
            click.echo(line)
        click.echo()


def _kinds(attempts: Sequence[Attempt]) -> Iterator[str]:
    """Yield what each attempt is for; empty for one that sends the delivery."""
    is_lost = False  # whether the answer to what was sent is unknown
    for one in attempts:
        is_before = one.kind == "question" and not is_lost
        yield _BEFORE if is_before else _KINDS.get(one.kind, "")
        if one.outcome is not None:
            is_lost = one.outcome in {State.UNKNOWN, State.HELD}


def _row(one: Attempt, about: str) -> tuple[object, ...]:
    return (
        one.number,
        _time(one.at),
        f"{one.seconds * 1000:,.0f} ms",
        _request(one, about),
        "none" if one.status is None else one.status,
        one.error_class or "",
        one.rule,
        "" if one.outcome is None else one.outcome.value,
    )


def _request(one: Attempt, about: str) -> str:
    """Return what a request is called, with the step that made it, and what it is for."""
    name = f"step {one.step}: {one.request}" if one.step else one.request
    return f"{name} ({about})" if about else name


def _time(seconds: float) -> str:
    shown = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return shown.replace("+00:00", "Z")


def _lines(one: Attempt) -> Iterator[str]:
    yield f"  {plain(one.method)} {plain(one.url)}".rstrip()
    yield from _headers(one.request_headers)
    if one.deliveries > 1:
        yield f"  (one request for {one.deliveries:,} deliveries; {_which(one)})"
    yield from _body(one.request_body, one.request_bytes, cut=one.is_request_cut)
    if one.status is None:
        yield f"  no answer: {plain(one.error.removeprefix('no answer: '))}"
    else:
        yield f"  HTTP {one.status}"
    yield from _headers(one.answer_headers)
    yield from _body(one.answer_body, one.answer_bytes, cut=one.is_answer_cut)
    if one.is_erased:
        yield f"  {_ERASED}"


def _which(one: Attempt) -> str:
    """Return which of the deliveries of a request it is, and what a joined document calls it."""
    place = f"this is number {one.item + 1} of them"
    alias = f"e{one.item}"
    is_joined = re.search(rb"\b%b\b" % alias.encode(), one.request_body or b"") is not None
    return f"{place}, {alias} in the document" if is_joined else place


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        yield f"    {plain(name)}: {plain(value)}"


def _body(data: bytes | None, length: int, *, cut: bool) -> Iterator[str]:
    """Yield a body line by line: JSON indented, other text as it is, without control characters."""
    if data is None:
        return
    text = data.decode("utf-8", "replace")
    if not cut:
        with contextlib.suppress(EventError):  # not JSON
            text = json_text(read_json(data, limit=max(1, len(data))), indent=2)
    for line in text.splitlines() or [""]:
        yield f"    {plain(line)}"
    if cut:
        yield f"    ... {len(data):,} of {length:,} bytes are kept"
