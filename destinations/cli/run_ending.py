"""The last messages of ``destinations run``: why it stopped, and how to continue it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from destinations.cli.run_options import Options
from destinations.cli.run_tables import summary
from destinations.errors import TemporaryError
from destinations.outcome import State
from destinations.pipeline.output import write_failure
from destinations.pipeline.report import Report, Stopped
from destinations.pipeline.undelivered_file import UndeliveredFile

__all__ = ["printing", "say_how_it_ended"]


@contextlib.contextmanager
def printing(report: Report, options: Options) -> Iterator[None]:
    """Tell the result of the run if its report cannot be printed."""
    try:
        yield
    except BrokenPipeError:
        raise  # its reader has gone
    except OSError as error:
        rows = summary(report.totals.outcomes) or "no rows"
        rest = (
            "The same command continues from there."
            if options.keeps
            else "Nothing was remembered: the same command sends everything again."
        )
        failure = write_failure("the report to standard output", error)
        raise TemporaryError(f"{failure}. The run itself has ended: {rows}. {rest}") from None


def say_how_it_ended(report: Report, options: Options, undelivered: UndeliveredFile | None) -> None:
    """Say why the run has stopped, if it has, and what to do next."""
    stopped = report.stopped
    if stopped is None:
        return
    several = len(options.events) > 1  # whose lines are counted each by itself
    read = f"{report.lines:,} lines" if several else f"line {report.lines}"
    after = f" after {read}" if report.lines else ""
    at = f" at {report.places.find(stopped.line)}" if stopped.line else ""
    click.echo(_why_stopped(stopped, after, at), err=True)
    if stopped.why == "damaged":
        return
    failure = None if undelivered is None else undelivered.failure
    if undelivered is not None and failure is not None:
        _say_what_is_not_written(options, undelivered, failure, stopped.message)
    if not stopped.goes_on:
        click.echo(
            "Only that store knows what was delivered: put it back, and the same command "
            "continues. With a new store it sends everything again.",
            err=True,
        )
        return
    if options.keeps:
        _say_how_to_go_on(report, options)
        return
    waiting = report.totals.outcomes[State.READY]
    if failure is not None:
        click.echo(
            "Nothing was remembered: the same command sends delivered events again.",
            err=True,
        )
    elif waiting and options.undelivered is not None:
        click.echo(
            f"Read and not sent: {waiting:,}, in {options.undelivered}; "
            "feed it back before anything else.",
            err=True,
        )
    if options.events and not options.reads_stdin:
        what = f"What comes{after}" if report.lines else options.shown_events
        click.echo(f"{what} was not read.", err=True)


def _why_stopped(stopped: Stopped, after: str, at: str) -> str:
    """Return why a run stopped, ``after`` what it has read and ``at`` which line."""
    if stopped.why == "authentication":
        return f"Error: stopped{at}: the credentials were refused: {stopped.message}"
    if stopped.why == "refused":
        return (
            f"Error: stopped{after}: the partner refuses every request of this action, whatever "
            f"the event: {stopped.message}. Fix the definition, the endpoint or the permissions "
            "of the key; no event was rejected because of it."
        )
    if stopped.why == "damaged":
        return f"Error: stopped{after}: {stopped.message}"
    if stopped.why == "unavailable":
        return f"Stopped{after}: {stopped.message}."
    return f"Interrupted{after}."


def _say_what_is_not_written(
    options: Options, undelivered: UndeliveredFile, failure: TemporaryError, reported: str
) -> None:
    """Say what the file of --undelivered lacks, and what must be done before the next run."""
    if str(failure) != reported:
        click.echo(f"{failure}.", err=True)
    text = (
        f"{options.undelivered} is incomplete: some events that were not delivered are missing in "
        "it."
    )
    if undelivered.stream.holds_lines and not options.keeps:
        text += " Move it away, or name another file."
    click.echo(text, err=True)


def _say_how_to_go_on(report: Report, options: Options) -> None:
    if options.reads_stdin:
        kept, missing = report.totals.outcomes[State.READY], report.not_kept
        if missing is not None:
            kept -= missing.rows
            first = report.places.find(missing.first)
            click.echo(
                f"Not in the store: {missing.lines:,} lines that were read, the first of them "
                f"{first}, and all that came after line {report.lines}: {missing.why}. "
                f"Feed the same input again, from {first} on, or as a whole if its "
                "events have no messageId: no delivered event is sent twice.",
                err=True,
            )
        if kept or missing is None:
            click.echo(
                f"Read and not sent: {kept:,}, in the store; continue with: {options.going_on}",
                err=True,
            )
    else:
        click.echo("The same command continues where it stopped.", err=True)
