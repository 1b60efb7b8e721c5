"""The options of ``destinations run``, and the check that they fit together."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from destinations.pipeline.input_file import STANDARD_INPUT, Form
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.run_input import OUTAGE
from destinations.postgres import StoreAddress

__all__ = ["Options", "check_options"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options as given; None stands for one that is missing."""

    destination: str
    events: tuple[str, ...]
    form: Form | None
    settings: Path | None
    connection: Path | None
    use_sandbox: bool
    seed: Path | None
    undelivered: Path | None
    report: Path | None
    store: StoreAddress | None
    sealing_key: Path | None
    no_store: bool
    account: str | None
    same: bool | None
    resume: bool
    again: bool
    yes: bool
    input_id: tuple[str, ...]
    limit: int | None
    outage: float
    settle_after: float | None
    sole_writer: bool
    lost_answers: Literal["hold", "resend"] | None
    check: bool
    dry_run: bool
    as_json: bool

    @property
    def keeps(self) -> bool:
        """Whether anything outlives the run: for a sandbox that ends with it only if asked for."""
        return not self.no_store and (self.store is not None or not self.use_sandbox)

    @property
    def reads_stdin(self) -> bool:
        """Whether the events come from standard input, which cannot be read again."""
        return STANDARD_INPUT in self.events

    @property
    def shown_events(self) -> str:
        """The name of the events in a sentence."""
        return "standard input" if self.reads_stdin else ", ".join(self.events)

    @property
    def going_on(self) -> str:
        """The command that delivers what this one leaves in the store."""
        return shlex.join(self._words())

    @property
    def repeated(self) -> str:
        """The command that goes on with this one: the same, or without an input that is gone."""
        if self.reads_stdin or not self.events:
            return self.going_on
        words = []
        for name in self.events:
            words += ["--events", name]
        for name in self.input_id:
            words += ["--input-id", name]
        words += [] if self.form is None else ["--format", self.form]
        words += [] if self.limit is None else ["--limit", str(self.limit)]
        words += ["--again"] if self.again else []
        words += ["--resume"] if self.resume else []
        return shlex.join(self._words(*words))

    def _words(self, *more: str) -> list[str]:
        words = ["destinations", "run", self.destination, *more]
        for name, value in {
            "--settings": self.settings,
            "--connection": self.connection,
            "--store": self.store,
            "--sealing-key": self.sealing_key,
            "--undelivered": self.undelivered,
            "--report": self.report,
            "--account": self.account,
            "--seed": self.seed,
        }.items():
            words += [] if value is None else [name, str(value)]
        if self.outage != OUTAGE:
            words += ["--outage", f"{self.outage:g}"]
        if self.settle_after is not None:
            words += ["--settle-after", f"{self.settle_after:g}"]
        words += [] if self.sole_writer else ["--no-sole-writer"]
        words += [] if self.lost_answers is None else ["--lost-answers", self.lost_answers]
        words += ["--sandbox"] if self.use_sandbox else []
        words += [] if self.check else ["--no-check"]
        words += ["--json"] if self.as_json else []
        return words

    @property
    def losses(self) -> LossOptions:
        """The rule for lost answers."""
        return LossOptions(self.settle_after, self.sole_writer, self.lost_answers)

    @property
    def store_option(self) -> str:
        """The option that names the store in another command; empty for the default."""
        return "" if self.store is None else f" --store {shlex.quote(str(self.store))}"

    @property
    def account_options(self) -> str:
        """The options that name settings, store and account in another command."""
        given = {"--settings": self.settings, "--store": self.store, "--account": self.account}
        return "".join(
            f" {name} {shlex.quote(str(value))}"
            for name, value in given.items()
            if value is not None
        )


def check_options(options: Options) -> None:
    """Raise `click.UsageError` for options that do not fit together."""
    if options.seed is not None and not options.use_sandbox:
        raise click.UsageError("--seed fills a sandbox: use --sandbox as well")
    if options.no_store and options.store is not None:
        raise click.UsageError("--store cannot be used with --no-store")
    for name, given in {
        "--resume": options.resume,
        "--again": options.again,
        "run without --events": not options.events,
    }.items():
        if given and not options.keeps:
            reason = "--no-store" if options.no_store else "--sandbox without --store"
            raise click.UsageError(f"{name} needs a store: {reason} keeps nothing")
    if not options.events and (
        options.again or options.dry_run or options.input_id or options.limit is not None
    ):
        raise click.UsageError("--again, --dry-run, --input-id and --limit need --events")
    if options.again and options.limit is not None:
        raise click.UsageError("--limit cannot be used with --again, which sends all of an input")
    if options.input_id and len(options.input_id) != len(options.events):
        msg = (
            f"{len(options.input_id)} --input-id for {len(options.events)} --events: expected one "
            "NAME for each file, in the same order"
        )
        raise click.UsageError(msg)
    if len(set(options.input_id)) < len(options.input_id):
        raise click.UsageError("--input-id gives two files one NAME: expected one of its own each")
    if options.dry_run and (options.again or options.resume or options.undelivered is not None):
        raise click.UsageError(
            "--dry-run cannot be used with --again, --resume or --undelivered: it sends and writes "
            "nothing"
        )
