"""``destinations conformance``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from destinations.cli.commands import Command
from destinations.kit.segment_conformance import (
    LIQUID_TOLERANCE,
    FileReport,
    LineResult,
    run_conformance,
)
from destinations.pipeline.output import naming

__all__ = ["command"]

_WIDTH = 400


@click.command(
    "conformance", cls=Command, epilog="Example: destinations conformance vectors/ --show 3"
)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--show",
    type=click.IntRange(0),
    default=3,
    metavar="N",
    help="Show at most N differences for each file; 3 by default.",
)
@click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the result of every line to FILE, as JSON lines.",
)
def command(directory: Path, show: int, outputs: Path | None) -> int:
    """Run test vectors made with Segment's runtime.

    DIR holds files of JSON lines named mapping*, fql* or actions*, each line an input and its
    result. Prints for each file how many lines gave the same result, and the first differences.
    Exits 0 if no line differs; up to 2% of the lines with @liquid may.
    """
    fine = True
    with _writer(outputs) as stream:

        def write(result: LineResult) -> None:
            if stream is not None and outputs is not None:
                with naming(outputs):
                    stream.write(json.dumps(result.record(), ensure_ascii=False) + "\n")

        for report in run_conformance(directory, differences=show, on_line=write):
            fine = fine and report.ok
            _print(report)
    return 0 if fine else 1


@contextlib.contextmanager
def _writer(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with naming(path):
        # Vectors hold lone surrogates, as JavaScript does: they are written as they are.
        stream = path.open("w", encoding="utf-8", errors="surrogatepass")
    try:
        yield stream
    finally:
        with naming(path):
            stream.close()


def _print(report: FileReport) -> None:
    verdict = "ok" if report.ok else "DIFFERS"
    text = f"{report.file}: {report.passed:,}/{report.total:,} {verdict}"
    if report.liquid_total:
        text += (
            f" (with @liquid {report.liquid_passed:,}/{report.liquid_total:,}; "
            f"{LIQUID_TOLERANCE:.0%} may differ)"
        )
    click.echo(text)
    for difference in report.differences:
        click.echo(f"  line {difference.line}")
        click.echo(f"    expected {_short(difference.expected)}")
        click.echo(f"    got      {_short(difference.got)}")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."
