"""Execute one run: what it opens, delivers, prints and records."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.accounts import choose_account, preview_account, preview_without_credentials
from destinations.cli.confirming import confirmed
from destinations.cli.garbage_collection import collect_less_often
from destinations.cli.json_output import json_text
from destinations.cli.progress import watch
from destinations.cli.run_notices import Notices, report_interrupted_reruns, report_resumed_rerun
from destinations.cli.run_options import Options
from destinations.cli.run_recording import RecordedRun
from destinations.cli.run_samples import Sample, Samples, print_samples
from destinations.cli.run_tables import (
    as_json_object,
    dry_json_object,
    exit_code,
    print_kept,
    print_report,
    summary,
)
from destinations.errors import DestinationsError, TemporaryError, UsageError
from destinations.http import Failure
from destinations.http.transport import HttpTransport
from destinations.opening import BoundDestination
from destinations.operations import (
    Rerun,
    open_run_store,
    prune_after_run,
    try_to_lock,
    wrote_undelivered,
)
from destinations.outcome import State, Status
from destinations.pipeline.input_files import InputFiles
from destinations.pipeline.output import check_can_be_written, naming
from destinations.pipeline.places import Places
from destinations.pipeline.reading import Entries, IteratedEntries, ThreadedEntries
from destinations.pipeline.reconcile import longest_settling, longest_way
from destinations.pipeline.report import Report, Stopped
from destinations.pipeline.run import LEAST_SILENCE, Recorder, Run, RunOptions, RunStore
from destinations.pipeline.undelivered_file import UndeliveredFile
from destinations.runtime.account_identity import AccountIdentity, credentials_of
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.secrets import Masker
from destinations.store import OpenStore, check_not_sidecar

__all__ = ["Runner", "check_environment", "check_undelivered"]


_PATIENCE: Final = 1.0


_NO_ANSWER: Final = "no answer so far"


class Runner:
    """One run with what it needs; ``stack`` closes what it opens."""

    def __init__(
        self,
        options: Options,
        opened: BoundDestination,
        store: OpenStore | None,
        identity: AccountIdentity,
        stack: ExitStack,
        recorded: RecordedRun,
    ) -> None:
        destination = opened.destination
        self.masker = destination.settings.masker
        # As long as what earlier runs left is delivered.
        self.reads_nothing = not options.events or options.resume
        # The outcomes of that, if the events of a file came after it.
        self.resumed: Report | None = None
        self.undelivered: UndeliveredFile | None = None
        self._options = options
        self._destination = destination
        self._definition = destination.definition
        self._store = store
        self._identity = identity
        self._stack = stack
        self._samples = Samples() if options.dry_run else None
        self.page_failure: DestinationsError | None = None
        self._recorded = recorded
        recorded.masker = self.masker
        self._recorders: list[Recorder] = [recorded.names.record, recorded.samples.record]
        if self._samples is not None:
            self._recorders.append(self._samples.record)
        self._lacks_credentials = bool(opened.named & credentials_of(destination))
        self._account: int | None = None
        self._kept: RunStore | None = None
        self._notices = Notices(self._definition.name, options.outage, self.masker)
        self._transport = HttpTransport(self._definition.transport.timeouts)
        stack.callback(self._transport.close)
        # For so long the test of the credentials has waited in vain.
        self._silent = 0.0

    def run(self, source: InputFiles | None) -> Report:
        """Deliver the rest of earlier runs, if wanted, and then the events of ``source``."""
        options = self._options
        if options.dry_run:
            self._kept = self._known()
        elif self._store is not None:
            self._kept = self._open_account(self._store)
        if options.undelivered is not None:
            check_undelivered(options, self._store, self._kept)
            self.undelivered = _open_undelivered(
                options.undelivered, self.masker, None if source is None else source.places
            )
            self._stack.callback(self.undelivered.close)
            self._recorders.append(self.undelivered.record)
        if not options.dry_run:
            check_environment(self._destination)
        self._recorded.begin()
        if source is not None or self._has_waiting():
            self._test_credentials()
        if self.reads_nothing:
            report = self._deliver(IteratedEntries(()), deliver_waiting=True)
            if source is None or report.stopped is not None:
                return report
            print_report(report, self.masker, to_stderr=True, of_earlier=self.account)
            self._kept = self._renewed()
            self.reads_nothing = False
            self.resumed = report
        elif self._kept is not None and not options.dry_run:
            self._tell_of_earlier()
        assert source is not None  # noqa: S101 - seen above
        return self._read(source)

    def _read(self, source: InputFiles) -> Report:
        """Deliver the events of an input."""
        options = self._options
        again = self._ask_for_rerun(source) if options.again else None
        report = self._deliver(self._entries(source), again=again, places=source.places)
        if self.resumed is not None:
            report.earlier.update(self.resumed.earlier)
        if again is not None and report.stopped is None:
            again.end()
        return report

    def _open_account(self, store: OpenStore) -> RunStore:
        self._account = choose_account(store.accounts(), self._identity, same=self._options.same)
        kept = self._stack.enter_context(
            open_run_store(
                store,
                self._account,
                self._identity,
                reconcile_after=longest_settling(self._definition, self._options.losses),
                longest_way=longest_way(self._definition),
            )
        )
        self._recorded.keep(store, kept, store.accounts().get(self._account))
        return kept

    def _known(self) -> RunStore | None:
        """Return the queue of earlier runs, read-only."""
        if self._store is None:
            return None
        accounts = self._store.accounts()
        if self._lacks_credentials:
            found = preview_without_credentials(accounts, self._identity)
        else:
            found = preview_account(accounts, self._identity, same=self._options.same)
        scope = None if found is None else accounts.scope_of_runs(found.id)
        return None if scope is None else RunStore(self._store.queue(), scope)

    def _renewed(self) -> RunStore | None:
        """Return the same store, from the beginning of what waits in it."""
        kept = self._kept
        if kept is None or self._store is None:
            return None
        queue = self._store.queue()
        return RunStore(queue, kept.scope, queue.source(kept.scope), kept.answers, kept.gap)

    def _entries(self, source: InputFiles) -> Entries:
        entries = watch(source.entries(), lambda: source.share)
        if self._options.reads_stdin or source.is_stream:
            return ThreadedEntries(entries)
        return IteratedEntries(entries)

    def _deliver(
        self,
        entries: Entries,
        *,
        deliver_waiting: bool = False,
        again: Rerun | None = None,
        places: Places | None = None,
    ) -> Report:
        options = self._options
        run = Run(
            self._destination,
            self._transport,
            store=self._kept,
            options=RunOptions(
                outage=options.outage,
                losses=options.losses,
                again_since=None if again is None else again.since,
                input_ids=options.input_id,
                places=places or Places(),
                deliver_waiting=deliver_waiting,
                keep_unsent=isinstance(entries, ThreadedEntries) and options.keeps,
            ),
            recorders=self._recorders,
            replaced=None if self.undelivered is None else self.undelivered.replaced,
            observer=self._notices,
            waits=self._notices.waits,
            unanswered=lambda: self._notices.is_away(_NO_ANSWER),
            dry_run=options.dry_run,
            silent=self._silent,
        )
        self._silent = 0.0
        self._recorded.report = run.report
        collect_less_often()
        if isinstance(entries, ThreadedEntries):
            entries.start(run.wake)
        report = run.execute(entries)
        for error in report.internal_errors[:3]:
            text = self.masker.text(f"{type(error).__name__}: {error}")
            click.echo(f"Internal error, please report it: {text}", err=True)
        return report

    def end_undelivered(self, report: Report) -> None:
        """Bring the file of --undelivered up to date, and close it."""
        file = self.undelivered
        if file is None:
            return
        try:
            if file.failure is None:
                file.finish()
        except OSError as error:
            click.echo(
                f"{self._options.undelivered} still holds lines of an earlier run that are out of "
                f"date: {error.strerror}",
                err=True,
            )
        try:
            file.close()
        except TemporaryError as error:  # some systems tell only now that the disk is full
            report.stopped = report.stopped or Stopped("unavailable", report.lines, str(error))

    # -- before the first event ----------------------------------------------------------------

    def _test_credentials(self) -> None:
        """Raise `UsageError` if the partner refuses the credentials; tell if it does not answer."""
        definition = self._definition
        if not self._options.check or self._options.dry_run or definition.authentication is None:
            return
        sender = Sender(self._destination, self._transport)
        found: list[Failure | BaseException | None] = []

        def test() -> None:
            try:
                found.append(sender.test_credentials())
            except BaseException as error:  # noqa: BLE001 - raised below
                found.append(error)

        thread = threading.Thread(target=test, name="credentials", daemon=True)
        began = time.monotonic()
        thread.start()
        thread.join(_PATIENCE)
        if thread.is_alive():
            self._notices.is_away(_NO_ANSWER)
            left = began + max(self._options.outage, LEAST_SILENCE) - time.monotonic()
            thread.join(max(left, 0.0))
        if thread.is_alive():
            self._transport.abort()
            self._silent = time.monotonic() - began
            return
        (failure,) = found
        if isinstance(failure, BaseException):
            raise failure
        if failure is not None and failure.error_class == "authentication":
            message = self.masker.text(failure.message)
            msg = f"the credentials were refused, so no event was read: {message}"
            raise UsageError(msg)
        if failure is not None:
            self._notices.is_away(failure.message)
            if not failure.status:  # nothing came at all
                self._silent = time.monotonic() - began

    def _has_waiting(self) -> bool:
        """Return whether anything waits: without it the partner need not be asked."""
        counts = self._counts()
        return any(counts.get(one) for one in (State.READY, State.UNKNOWN))

    @property
    def account(self) -> str:
        """The account at the partner, in words."""
        slug = self._definition.slug
        if self._store is None or self._account is None:
            return slug
        return f"{slug} at {self._store.accounts().get(self._account).shown}"

    def _tell_of_earlier(self) -> None:
        """Say what earlier runs left, which may be of another input."""
        counts = self._counts()
        left: dict[Status, int] = {one: counts.get(one, 0) for one in (State.READY, State.UNKNOWN)}
        text = summary(left)
        if not text:
            return
        assert self._kept is not None  # noqa: S101 - it has counts
        if self._kept.has_others():
            message = (
                f"Another run delivers to {self.account} beside this one, or was killed just now. "
                f"In the store: {text}. The runs share what is there, by its users."
            )
        elif self._kept.session is not None:
            message = (
                f"Earlier runs left in the store: {text}. This run delivers them beside its input; "
                "use --resume to deliver them first."
            )
        else:
            message = (
                f"Earlier runs left in the store: {text}. This run delivers those that are in its "
                "input; use --resume to deliver the others first."
            )
        click.echo(message, err=True)

    def _ask_for_rerun(self, source: InputFiles) -> Rerun:
        """Ask whether to send again."""
        options, kept = self._options, self._kept
        assert self._store is not None  # noqa: S101 - it is needed
        assert kept is not None  # noqa: S101 - which is open
        name = self._definition.name
        shown = options.shown_events
        again = Rerun(
            self._store,
            kept.scope.id,
            shown,
            digest=source.digest(),
            input_ids=options.input_id,
            settle_from=kept.settle_from,
            goes_on=report_resumed_rerun,
            cut=report_interrupted_reruns,
        )
        question = (
            f"Send the events of {shown} again, even those that {name} already has? {name} will "
            "count them once more."
        )
        if not options.yes and not confirmed(question):
            raise click.exceptions.Exit(1)
        return again

    def print(self, report: Report) -> None:
        """Print the report, for people or as JSON, with the samples of a dry run."""
        masker, as_json = self.masker, self._options.as_json
        samples: Sequence[Sample] = ()
        if self._samples is not None:
            samples = list(self._samples.explained(self._destination, report.places))
        if as_json and self._options.dry_run:
            click.echo(json_text(dry_json_object(report, samples, masker), default=str))
        elif as_json:
            click.echo(json.dumps(as_json_object(report, masker)))
        print_report(
            report,
            masker,
            to_stderr=as_json,
            of_earlier=self.account if self.reads_nothing else None,
            dry_run=self._options.dry_run,
        )
        if not as_json:
            print_samples(samples, masker)

    def exit_code(self, report: Report) -> int:
        """Return the exit code after a run, and after what was resumed before it."""
        code = exit_code(report, dry_run=self._options.dry_run)
        return code if code or self.resumed is None else exit_code(self.resumed)

    def record(self, report: Report) -> None:
        """Record the run, and write the page of it."""
        code = self.exit_code(report)
        self.page_failure = self._recorded.ended(report, code, self.resumed)

    # -- afterwards ----------------------------------------------------------------------------

    def print_kept(self, report: Report, *, changes_command: str) -> None:
        """Print the facts in the store about this account that an operator must know.

        ``changes_command`` is that of `Plugin.changes_command`.
        """
        if self._store is None or self._account is None:
            return
        users = len(self._store.manual_changes([self._account]).entries())
        slug = self._definition.slug
        options = self._options
        print_kept(
            self._counts(),
            users,
            options.store_option,
            changes=f"{slug} {changes_command}{options.account_options}" if changes_command else "",
            read=report.totals.outcomes[State.READY],
            is_shared=self._kept is not None and self._kept.has_others(),
            to_stderr=options.as_json,
        )

    def prune(self, report: Report) -> None:
        """Delete what is old in the store, unless the user is waiting for the end of this run."""
        if self._store is None or self._options.dry_run or report.stopped is not None:
            return
        try:
            prune_after_run(self._store, self._store.now)
        except DestinationsError as error:
            click.echo(f"The store could not be pruned: {error}", err=True)

    def _counts(self) -> dict[Any, int]:
        assert self._store is not None  # noqa: S101 - its callers have looked
        assert self._kept is not None  # noqa: S101 - as above
        totals = self._store.ledger().totals(time.time())
        mine = [one.counts for one in totals if one.id == self._kept.scope.id]
        return mine[0] if mine else {}


def check_environment(destination: Destination) -> None:
    """Raise `UsageError` if this process cannot connect, whatever the events are."""
    issues = destination.environment_issues()
    if issues:
        raise UsageError("\n".join(issues))


def check_undelivered(
    options: Options, store: OpenStore | None = None, kept: RunStore | None = None
) -> None:
    """Raise `UsageError` for a file of --undelivered that this command must not continue."""
    path = options.undelivered
    if path is None:
        return
    files = () if options.reads_stdin else options.events
    if path.exists() and any(path.samefile(name) for name in files):
        msg = f"--undelivered {path} is the file that --events reads; use another name"
        raise UsageError(msg)
    check_not_sidecar(path)
    is_own = False
    if store is not None and kept is not None:
        is_own = wrote_undelivered(store, kept.scope.id, path)
    if path.exists():
        check_can_be_written(path)
    # Without a store it would not be known which of its events were delivered since.
    if not is_own and path.exists() and path.stat().st_size > 0:
        msg = f"{path} exists and is not empty; feed it back or move it away first"
        raise UsageError(msg)


def _open_undelivered(path: Path, masker: Masker, places: Places | None) -> UndeliveredFile:
    """Open the file of what is not delivered, for only this run."""
    with naming(path):
        file = UndeliveredFile(path, masker, places=places)
    if path.is_file() and not try_to_lock(file.stream.fileno()):
        file.close()
        raise TemporaryError(f"another run writes {path}; wait for it to end")
    return file
