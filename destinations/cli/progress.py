"""A line on standard error that shows how far a command is, on a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import click

from destinations.pipeline.reading import Entry

__all__ = ["count_off", "show_shares", "tell", "watch"]

_Item = TypeVar("_Item")

_EVERY_SECONDS: Final = 0.2
_BAR: Final = 30
_ERASE: Final = "\r\x1b[2K"
"""Back to the start of the line, and nothing on it (ECMA-48, EL)."""


def watch(entries: Iterator[Entry], share: Callable[[], float | None]) -> Iterator[Entry]:
    """Pass the entries on and show how many were read, and how much of a file; erased at the end.

    ``share`` returns how much of all that is, from 0 to 1, or None. Shows nothing if standard error
    is not a terminal.
    """
    if not sys.stderr.isatty():
        yield from entries
        return
    began = time.monotonic()
    due = began
    try:
        for lines, entry in enumerate(entries, start=1):
            now = time.monotonic()
            if now >= due:
                due = now + _EVERY_SECONDS
                _show(lines, share(), now - began)
            yield entry
    finally:
        click.echo(_ERASE, err=True, nl=False)


def count_off(items: Iterator[_Item], total: int | None, what: str) -> Iterator[_Item]:
    """Pass the items on and show how many of ``total``, if that is known, there were; erased.

    ``what`` names several of them. Shows nothing if standard error is not a terminal.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    of_all = "" if total is None else f" of {total:,}"
    try:
        for number, item in enumerate(items, start=1):
            click.echo(f"{_ERASE}{number:,}{of_all} {what}", err=True, nl=False)
            yield item
    finally:
        click.echo(_ERASE, err=True, nl=False)


@contextlib.contextmanager
def show_shares() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows how many there are of all of something; erased at the end.

    It is called with what that is, and the two numbers. Shows nothing if standard error is not a
    terminal.
    """
    is_shown = sys.stderr.isatty()

    def show(what: str, done: int, total: int) -> None:
        if is_shown:
            click.echo(f"{_ERASE}{what}: {done:,} of {total:,} rows", err=True, nl=False)

    try:
        yield show
    finally:
        if is_shown:
            click.echo(_ERASE, err=True, nl=False)


def tell(text: str) -> None:
    """Print a line on standard error, in place of the one that `watch` shows there."""
    click.echo(f"{_ERASE if sys.stderr.isatty() else ''}{text}", err=True)


def _show(lines: int, share: float | None, seconds: float) -> None:
    text = f"{lines:,} lines read"
    if share:
        full = round(share * _BAR)
        text = f"[{'#' * full}{'-' * (_BAR - full)}] {share:4.0%}  {text}"
        if seconds >= 1:  # before that it says nothing about the rest
            left = time.strftime("%H:%M:%S", time.gmtime(seconds / share - seconds))
            text = f"{text}, {left} left"
    click.echo(_ERASE + text, err=True, nl=False)
