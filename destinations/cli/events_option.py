"""The files of events that a command line names."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from destinations.errors import UsageError
from destinations.pipeline.input_file import STANDARD_INPUT, Form, InputFile
from destinations.pipeline.input_files import InputFiles

__all__ = ["limit_option", "open_input_files"]

limit_option = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Read only the first N events of the input.",
)


@contextlib.contextmanager
def open_input_files(
    names: Sequence[str], form: Form | None = None, *, limit: int | None = None
) -> Iterator[InputFiles]:
    """Open files of events, each by its path, or ``-`` for standard input.

    Raises `UsageError` for one that cannot be read as events, that is named twice, or that stands
    in addition to standard input.
    """
    if STANDARD_INPUT in names and len(names) > 1:
        raise UsageError("--events - is standard input, which cannot be combined with a file")
    with contextlib.ExitStack() as stack:
        opened: dict[tuple[int, int], str] = {}
        files = []
        for name in names:
            stream = stack.enter_context(_open(name))
            status = os.fstat(stream.fileno())
            known = opened.get((status.st_dev, status.st_ino))
            if known is not None:
                what = f"{name} twice" if known == name else f"{known} and {name}, the same file"
                raise UsageError(f"--events names {what}: its events would come twice")
            opened[status.st_dev, status.st_ino] = name
            files.append(InputFile(name, stream, form))
        found = InputFiles(files, limit=limit)
        found.check()
        yield found


@contextlib.contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    stream = _opened(name)
    if name != STANDARD_INPUT and stream.seekable():
        with stream:
            yield stream
        return
    # A thread may still wait for it when the command ends. So it is not closed, nor is it one of
    # the objects that Python itself closes at its end, which would wait too, or end with SIGABRT.
    source = os.dup(stream.fileno())
    if name != STANDARD_INPUT:
        stream.close()
    yield open(source, "rb", closefd=False)  # noqa: SIM115 - left open


def _opened(name: str) -> BinaryIO:
    if name == STANDARD_INPUT:
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        msg = f"cannot read the events file {name}: {error.strerror}"
        raise UsageError(msg) from None
