"""Record a run in its store when it ends, however it does, and write the page of it."""

from __future__ import annotations

import contextlib
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from destinations.cli.confirming import UnansweredError
from destinations.cli.run_options import Options
from destinations.definition import DestinationDefinition
from destinations.errors import DestinationsError, TemporaryError, UsageError
from destinations.operations import (
    RunContext,
    RunRecord,
    account_figures,
    forget_begin,
    note_begin,
    note_run,
)
from destinations.pipeline.event_names import UnmappedNames
from destinations.pipeline.reason_samples import ReasonSamples
from destinations.pipeline.report import Report
from destinations.pipeline.run import RunStore
from destinations.report import check_report_path, run_page, write_report
from destinations.secrets import Masker
from destinations.store import KnownAccount, OpenStore, default_path

__all__ = ["RecordedRun", "check_page"]


def check_page(options: Options) -> None:
    """Raise `UsageError` if the page of --report cannot be written where it is to be."""
    path = options.report
    if path is None:
        return
    store = options.store if options.store is not None or not options.keeps else default_path()
    for name, other in {"--undelivered": options.undelivered, "--store": store}.items():
        if isinstance(other, Path) and other.resolve() == path.resolve():
            raise UsageError(f"--report {path} is the file of {name}; name another one")
    check_report_path(path)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The store of a run, and the account that it delivers to."""

    store: OpenStore
    run: RunStore
    account: KnownAccount


class RecordedRun:
    """The record of one run, and its page if ``--report`` asks for one.

    ``names`` and ``samples`` are recorders of the run, and ``report`` that of the run that is going
    on; the secrets of its settings are known to ``masker`` once they are read.
    """

    def __init__(self, options: Options, definition: DestinationDefinition) -> None:
        self.names = UnmappedNames()
        self.samples = ReasonSamples()
        self.report = Report(began=time.time())
        self.masker = Masker()
        self._options = options
        self._definition = definition
        self._kept: _Kept | None = None
        self._is_over = False
        # The name of the note that this run has begun; None until it has.
        self._begun: str | None = None
        self._began = self.report.began

    def keep(self, store: OpenStore, run: RunStore, account: KnownAccount) -> None:
        """Keep the record in this store, when the run has ended."""
        self._kept = _Kept(store, run, account)

    def begin(self) -> None:
        """Note in that store that the run begins: what ends it before is not recorded there.

        Otherwise a command that did nothing, such as one with a wrong option, would hide the record
        of the last run.
        """
        kept = self._kept
        if kept is None or self._options.dry_run:
            return
        self._begun = ""
        repeated = self.masker.text(self._options.repeated)
        with contextlib.suppress(DestinationsError):  # the run itself says what is wrong with it
            self._begun = note_begin(kept.store, kept.run.scope.id, self._began, repeated)

    def failed(self, error: BaseException) -> None:
        """Record a run that an error ended, unless it was recorded; tell if that fails as well.

        A run that was declined before it delivered anything has not been.
        """
        if self._is_over:
            return
        is_declined = isinstance(error, _DECLINED)
        if is_declined and not self.report.totals.rows:
            self._withdraw()
            return
        self.report.ended = self.report.ended or time.time()
        code, why = _failure(error)
        if is_declined:  # after what earlier runs had left was delivered
            why = ""
        page_failure = self._end(self.report, code, None, why)
        if page_failure is not None:
            click.echo(f"{page_failure}", err=True)

    def ended(self, report: Report, code: int, resumed: Report | None) -> DestinationsError | None:
        """Record a run that has ended; returns why its page could not be written, if so."""
        return self._end(report, code, resumed, "")

    def _end(
        self, report: Report, code: int, resumed: Report | None, failure: str
    ) -> DestinationsError | None:
        self._is_over = True
        record = RunRecord.of(
            report,
            self._context(),
            self.masker,
            exit_code=code,
            names=self.names,
            samples=self.samples,
            before=resumed,
            failure=failure,
        )
        self._note(record)
        return self._write(record)

    def _context(self) -> RunContext:
        options, definition, kept = self._options, self._definition, self._kept
        text = self.masker.text
        is_kept = options.keeps and not options.dry_run
        chosen = f" --destination {definition.slug}"
        if kept is not None:
            chosen += f" --account {shlex.quote(kept.account.label)}"
        return RunContext(
            definition.slug,
            definition.name,
            definition.version,
            "" if kept is None else text(kept.account.shown),
            text(options.shown_events) if options.events else "",
            text(options.repeated) if is_kept else "",
            text(options.going_on) if is_kept else "",
            text(f"{options.store_option}{chosen}") if is_kept else "",
            "" if options.undelivered is None else text(str(options.undelivered)),
            is_dry=options.dry_run,
            is_kept=is_kept,
        )

    def _note(self, record: RunRecord) -> None:
        """Keep the record, unless there is nothing to say: it would hide that of an earlier run."""
        kept = self._kept
        has_news = record.rows or record.lines or record.before or record.failure
        if kept is None or self._begun is None:
            return
        try:
            if has_news:
                note_run(kept.store, kept.run.scope.id, record)
            forget_begin(kept.store, kept.run.scope.id, max(record.began, self._began))
        except DestinationsError as error:
            if record.stopped not in {"damaged", "unavailable"}:  # which say so themselves
                click.echo(f"The run could not be recorded in the store: {error}", err=True)

    def _withdraw(self) -> None:
        """Forget that the run has begun."""
        self._is_over = True
        if self._kept is not None and self._begun:
            with contextlib.suppress(DestinationsError):  # the next run forgets it as well
                self._kept.store.forget(self._begun)

    def _write(self, record: RunRecord) -> DestinationsError | None:
        path, kept = self._options.report, self._kept
        if path is None:
            return None
        figures = None
        if kept is not None:
            try:
                others = not self._options.dry_run and kept.run.has_others()
                figures = account_figures(
                    kept.store, kept.run.scope.id, time.time(), has_ended=not others
                )
            except DestinationsError:  # what the page has of the run itself is worth as much
                pass
        try:
            write_report(path, run_page(record, figures, self.masker.text))
        except DestinationsError as error:
            return error
        click.echo(f"Wrote the report of this run to {path}.", err=True)
        return None


_DECLINED: Final = (click.exceptions.Exit, click.exceptions.Abort, UnansweredError)
"""What ends a command whose question was not answered with yes."""


def _failure(error: BaseException) -> tuple[int, str]:
    """Return the exit code of an error that ends a command, and what it says."""
    if isinstance(error, click.exceptions.Abort):
        return 130, ""
    if isinstance(error, KeyboardInterrupt):
        return 130, "it was interrupted for the second time, and ended at once"
    if isinstance(error, TemporaryError):
        return 75, str(error)
    if isinstance(error, DestinationsError):
        return 2, str(error)
    if isinstance(error, click.ClickException):
        return 2, error.format_message()
    return 1, f"{type(error).__name__}: {error}"
