"""``destinations record``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from destinations.cli.commands import Command
from destinations.cli.opening import destination_argument, settings_option
from destinations.cli.tables import count, print_table
from destinations.definition.input_files import open_input
from destinations.definition.settings import Settings, check_settings, read_settings
from destinations.errors import UsageError
from destinations.http.loopback import is_loopback
from destinations.kit.testing.case import Case, RecordedAgainst
from destinations.kit.testing.case_reading import CASES_FOLDER
from destinations.kit.testing.personal_data import (
    PersonalKind,
    counted,
    is_worth_hiding,
    personal_values,
)
from destinations.kit.testing.subject import Subject, open_subject
from destinations.pipeline.input_file import InputFile
from destinations.pipeline.reading import Entry
from destinations.sandbox.placeholders import placeholder_settings
from destinations.secrets import Masker, Secret, reveal

__all__ = ["command"]

_MAX_EVENTS = 1000
_MOST_PLACES = 10
_AGAINST: Mapping[RecordedAgainst, str] = {
    "sandbox": "a sandbox",
    "test": "a test environment",
    "live": "a real account",
}


@dataclass(frozen=True, slots=True)
class _Options:
    destination: str
    events: Path
    name: str
    description: str | None
    settings: Path | None
    live: bool
    pseudonymise: bool
    seed: Path | None
    cases: Path | None


@click.command(
    "record",
    cls=Command,
    epilog="Example: destinations record kana --events events.ndjson --case a-new-user",
)
@destination_argument
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Read the events from FILE: NDJSON, or a JSON array if its name ends in .json.",
)
@click.option("--case", "name", required=True, metavar="NAME", help="Name the new case.")
@click.option("--description", metavar="TEXT", help="Say in a sentence what the case shows.")
@settings_option
@click.option(
    "--live", is_flag=True, help="Say that the settings are those of a real account, and record it."
)
@click.option(
    "--pseudonymise",
    is_flag=True,
    help="Put stand-ins in the place of names, emails, phones, addresses and IDs of persons.",
)
@click.option(
    "--seed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fill the sandbox from FILE first.",
)
@click.option(
    "--cases",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the case into DIR; by default into the folder cases next to the definition.",
)
def command(**given: Any) -> int:
    """Deliver events to DESTINATION once, and keep what was sent and answered as a case.

    Needs the extra kit.

    Delivers to the destination's sandbox, or with --settings to the endpoint that they name. In the
    case, placeholders stand for the secrets; answers are masked by value. The case says against
    what it was recorded, and by which version: a sandbox (or any other stand-in on this machine), a
    test environment, or with --live a real account.

    With --pseudonymise the case holds stand-ins for personal data, the same ones for the same
    values. Without it, a warning says where the file holds what looks like personal data.
    """
    # Here, as they need the extra kit: --help does not.
    from destinations.kit.testing.pseudonyms import pseudonymised  # noqa: PLC0415
    from destinations.kit.testing.recording import Draft, record  # noqa: PLC0415
    from destinations.kit.testing.saving import case_path, save_case  # noqa: PLC0415

    options = _Options(**given)
    if options.seed is not None and options.settings is not None:
        msg = "--seed fills a sandbox: it cannot be used with --settings"
        raise click.UsageError(msg)
    if options.live and options.settings is None:
        msg = "--live records from a real account: name its settings with --settings FILE"
        raise click.UsageError(msg)
    subject = open_subject(options.destination)
    path = case_path(options.cases or _folder_of(subject.folder), options.name)
    entries = _read(options.events)
    with ExitStack() as stack:
        reaching, settings, shown = _settings(options, subject, stack)
        draft = Draft(
            name=options.name,
            description=options.description or options.name.replace("-", " ").capitalize() + ".",
            entries=entries,
            now=datetime.now(UTC),
            against=_against(options, reaching, settings),
        )
        case = record(subject, draft, settings=settings, shown_settings=shown, reaching=reaching)
    replaced: Mapping[str, PersonalKind] = {}
    if options.pseudonymise:
        case, replaced = pseudonymised(subject, case)
    # The secrets of a sandbox may be placeholders, which no one need hide.
    public = {reveal(value) for value in shown.values() if isinstance(value, Secret)}
    secrets = [value for value in settings.values() if isinstance(value, Secret)]
    hidden = Masker(value for value in secrets if reveal(value) not in public)
    save_case(subject, case, path, hidden)
    _report(case, path, replaced)
    if not options.pseudonymise:
        _warn(case, path)
    return 0


def _folder_of(folder: Traversable) -> Path:
    """Return the folder of a definition's cases; raises `UsageError` if it is not on a disk."""
    if not isinstance(folder, Path):
        msg = f"cannot write to the folder {folder}: name another one with --cases DIR"
        raise UsageError(msg)
    return folder / CASES_FOLDER


def _read(path: Path) -> Sequence[Entry]:
    try:
        with open_input(path, pipes=True) as stream:
            file = InputFile(str(path), stream, adapts=True)
            entries = [entry for entry in file.entries() if entry.data]
    except OSError as error:
        msg = f"cannot read the events file {path}: {error.strerror}"
        raise UsageError(msg) from None
    for entry in entries:
        if entry.fault:
            raise UsageError(f"cannot read {path}: line {entry.line}: {entry.fault}")
    if not entries:
        msg = f"the events file {path} holds no events"
        raise UsageError(msg)
    if len(entries) > _MAX_EVENTS:
        msg = f"{path} holds {len(entries):,} events; a case has {_MAX_EVENTS:,} at most"
        raise UsageError(msg)
    return entries


def _settings(
    options: _Options, subject: Subject, stack: ExitStack
) -> tuple[Subject, Settings, Settings]:
    """Return what delivers, with which settings, and the settings that the case shows."""
    if options.settings is not None:
        document = read_settings(options.settings, os.environ)
        checked = check_settings(subject.definition, document)
        return subject, checked, _shown(subject, document.data)
    sandbox = subject.start_sandbox(options.seed)
    stack.callback(sandbox.close)
    settings = subject.settings(sandbox.settings)
    return subject.reaching(sandbox), settings, _shown(subject, sandbox.settings)


def _shown(subject: Subject, given: Mapping[str, Any]) -> Settings:
    """Return the settings that the case shows.

    The address of a sandbox is gone when it ends: the case has that of the partner instead, or a
    placeholder.
    """
    kept = {
        key: value
        for key, value in given.items()
        if not (isinstance(value, str) and _is_local(value))
    }
    return placeholder_settings(subject.definition, kept)


def _against(options: _Options, subject: Subject, settings: Settings) -> RecordedAgainst:
    """Return who answers; raises `UsageError` if the settings contradict --live or its absence."""
    destination = subject.bind(settings)
    environments = destination.environments
    name = subject.definition.name
    if options.live:
        if environments and "live" not in environments:
            found = " and ".join(environments)
            msg = f"--live is for a real account, but these settings of {name} are for {found}"
            raise UsageError(msg)
        return "live"
    if _is_local(destination.endpoint):
        return "sandbox"
    if environments == ["live"]:
        msg = (
            f"these settings of {name} are those of a real account: add --live to deliver the "
            "events to it and to record its answers"
        )
        raise UsageError(msg)
    return "test"


def _is_local(url: str) -> bool:
    """Return whether a URL leads to this machine, where only a stand-in for a partner can be."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # not a URL
        return False


def _warn(case: Case, path: Path) -> None:
    """Say on standard error where the file holds what looks like personal data, and the cure."""
    # Here, as it needs the extra kit.
    from destinations.kit.testing.pseudonyms import personal_places  # noqa: PLC0415

    assert case.recorded is not None  # noqa: S101 - it was recorded just now
    is_made_up = case.recorded.against == "sandbox"
    # The answers of a sandbox are made up. IDs alone say nothing without the partner's answers.
    searched = replace(case, interactions=()) if is_made_up else case
    found = {
        text: kind
        for text, kind in personal_values(searched).items()
        if is_worth_hiding(text, kind) and not (is_made_up and kind == "ID")
    }
    if not found:
        return
    lines = [f"warning: {path} holds what looks like personal data: {counted(found)}"]
    places = list(personal_places(case, found))
    lines += [f"  {place}: {kind}" for place, kind in places[:_MOST_PLACES]]
    if len(places) > _MOST_PLACES:
        lines.append(f"  and {len(places) - _MOST_PLACES} more places")
    lines.append(
        "Record the case with --pseudonymise, which puts stand-ins in their place, or replace them "
        "before you pass the file on"
    )
    click.echo("\n".join(lines), err=True)


def _report(case: Case, path: Path, replaced: Mapping[str, PersonalKind]) -> None:
    outcomes = Counter(row.outcome.value for row in case.expected)
    rows = list(outcomes.items())
    title = f"{count(len(case.events), 'event')}, {count(len(case.interactions), 'request')}"
    print_table(title, ("outcome", "rows"), rows)
    assert case.recorded is not None  # noqa: S101 - it was recorded just now
    against = _AGAINST[case.recorded.against]
    click.echo(f"The answers are those of {against}.")
    if replaced:
        click.echo(f"Stand-ins replace {counted(replaced)}.")
    click.echo(f"Recorded in {path}")
