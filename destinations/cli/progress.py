"""A progress bar on standard error, by bytes where the size of the input is known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from destinations.pipeline.reading import Entry

__all__ = ["watch"]

_EVERY_SECONDS = 0.2


def watch(entries: Iterator[Entry], stream: BinaryIO) -> Iterator[Entry]:
    """Pass the entries on and show how many were read."""
    total = _size(stream)
    columns = [TextColumn("lines: {task.fields[lines]:,}")]
    bar = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if total else ()
    with Progress(*columns, *bar, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, lines=0)
        due = 0.0
        for lines, entry in enumerate(entries, start=1):
            now = time.monotonic()
            if now >= due:
                done = stream.tell() if total else 0
                progress.update(task, completed=done, lines=lines)
                due = now + _EVERY_SECONDS
            yield entry


def _size(stream: BinaryIO) -> int | None:
    """Return the bytes of a regular file; None for pipes and terminals."""
    try:
        return os.fstat(stream.fileno()).st_size or None
    except OSError:
        return None
