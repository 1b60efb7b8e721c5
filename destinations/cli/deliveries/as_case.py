"""Make a recorded case of a delivery."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from destinations.cli.store_place import StorePlace
from destinations.definition import DestinationDefinition
from destinations.definition.connection import connect
from destinations.definition.input_files import read_input
from destinations.definition.secret_sources import SourceError, Sources
from destinations.definition.settings import read_settings
from destinations.errors import EventError, UsageError
from destinations.http.loopback import is_loopback
from destinations.kit.testing.case import RecordedAgainst
from destinations.kit.testing.case_reading import CASES_FOLDER
from destinations.kit.testing.personal_data import PersonalKind, counted
from destinations.kit.testing.subject import Subject, open_subject
from destinations.operations import connected_as_tenant, shown_attempt, shown_bytes
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Scope
from destinations.sandbox.placeholders import placeholder_settings
from destinations.secrets import Masker
from destinations.segment.event import read_json
from destinations.server import DestinationConfig
from destinations.store import Attempt, OpenStore, Tenants

if TYPE_CHECKING:
    from destinations.kit.testing.incidents import IncidentCase

__all__ = ["CaseOptions", "event_in", "subject_of", "write_case"]

_STAND_IN: Final = "stand-in-for-a-secret"
_MOST_BYTES: Final = 64 * 1024 * 1024
_UNREAD: Final = (
    "not all secrets of the delivery could be looked for in its event and answers: {}. Only those "
    "that a kept request shows to be masked were. Name the settings with --settings FILE, or read "
    "the case before you share it"
)


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """The name of a case, the folder it goes into (by default that of the definition).

    If ``raw``, personal data stays as it is. The case ends with attempt ``until`` if it is given.
    """

    name: str
    folder: Path | None
    raw: bool
    until: int | None = None


@dataclass(frozen=True, slots=True)
class CaseSubject:
    """The destination of a delivery today, and the settings of a server.

    ``name`` is the slug or the folder by which it is found. Of secrets ``settings`` has only the
    names; ``left_out`` says by name why it lacks others. ``unread`` says why secrets that the
    delivery may have had are not known here; it is empty if all of them are.
    """

    name: str
    subject: Subject
    settings: Mapping[str, Any]
    against: RecordedAgainst
    left_out: Mapping[str, str]
    unread: str
    own_masker: Masker


def subject_of(
    store: OpenStore,
    place: StorePlace,
    definition: str | None,
    entry: LedgerEntry,
    settings_file: Path | None = None,
) -> CaseSubject:
    """Return the destination of a delivery; its name may be one that only a server knows.

    ``settings_file`` has the settings of the run that delivered.
    """
    configured: Mapping[str, DestinationConfig] = (
        {} if place.config is None else {one.name: one for one in place.config.destinations}
    )
    own = None if definition is not None else configured.get(entry.destination)
    wanted = definition or (entry.destination if own is None else own.destination)
    try:
        subject = open_subject(wanted)
    except UsageError as error:
        if definition is not None or own is not None:
            raise
        msg = (
            f"{error}; name the configuration of the server with --config FILE, or the definition "
            "with --definition DESTINATION"
        )
        raise UsageError(msg) from None
    loaded = subject.definition
    if own is not None and own.connection is not None:
        loaded = connect(loaded, own.connection)
    tenant = Tenants(store.database).get(entry.destination, entry.tenant) if entry.tenant else None
    if tenant is not None:
        loaded = connected_as_tenant(store, tenant, loaded)
    given, left_out = ({}, {}) if own is None else _settings(own, place, loaded)
    masker, unread = Masker(), ""
    if settings_file is not None:
        values = read_settings(settings_file, os.environ).data
        secrets = {name: values[name] for name in loaded.secret_settings if name in values}
        given = {**given, **dict.fromkeys(secrets)}
        masker = Masker([one for one in secrets.values() if isinstance(one, str)])
    else:
        unread = _unread(store, place, entry, loaded)
    return CaseSubject(
        wanted,
        replace(subject, definition=loaded),
        given,
        _against(store, entry),
        left_out,
        unread,
        masker,
    )


def _unread(
    store: OpenStore, place: StorePlace, entry: LedgerEntry, definition: DestinationDefinition
) -> str:
    """Return why secrets of a delivery are not known here; empty if the configuration has them."""
    if not definition.secret_settings:
        return ""
    if entry.tenant:
        return "the settings of a tenant are not read here"
    config = place.configuration(store)
    named = () if config is None else config.destinations
    own = next((one for one in named if one.name == entry.destination), None)
    if config is None or own is None:
        return "the settings that it was delivered with are not known here"
    sources = Sources(os.environ, Path() if config.path is None else config.path.parent)
    missing = []
    for name, source in own.spec.get("settings", {}).items():
        if name in definition.secret_settings:
            try:
                sources.value(source)
            except SourceError as error:
                missing.append(f"{name} cannot be read here ({error})")
    return "; ".join(missing)


def _settings(
    own: DestinationConfig, place: StorePlace, definition: DestinationDefinition
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of a server, with only the names of secrets, and why others are missing.

    The configuration was read without any of them, as this command needs no secret.
    """
    folder = Path() if place.config_path is None else place.config_path.parent
    sources = Sources(os.environ, folder)
    given: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, source in own.spec.get("settings", {}).items():
        if name in definition.secret_settings:
            given[name] = None
            continue
        try:
            value = sources.value(source)
        except SourceError as error:
            left_out[name] = str(error)
            continue
        if isinstance(value, str) and _is_local(value):
            left_out[name] = "it leads to a stand-in on this machine"
        else:
            given[name] = value
    return given, left_out


def _against(store: OpenStore, entry: LedgerEntry) -> RecordedAgainst:
    """Return who answered: by the account whose endpoint the delivery was sent to."""
    account = store.accounts().of_scope(Scope(entry.scope, entry.destination, entry.tenant))
    if _is_local(account.endpoint):
        return "sandbox"
    return "test" if account.environment == "test" else "live"


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # not a URL
        return False


def write_case(
    found: CaseSubject,
    entry: LedgerEntry,
    event: bytes | None,
    attempts: Sequence[Attempt],
    options: CaseOptions,
    masker: Masker,
) -> None:
    """Write a case of a delivery's event and answers; raises `UsageError` if that cannot be.

    Secrets that are known here, and what a kept request shows to be one, have a stand-in in the
    event, in requests and in answers alike. If others may be there, a warning says so.
    """
    # Here, as they need the extra kit: other uses of the command do not.
    from destinations.kit.testing.masked_secrets import masked_secrets  # noqa: PLC0415
    from destinations.kit.testing.pseudonyms import pseudonymised  # noqa: PLC0415
    from destinations.kit.testing.saving import case_path, save_case  # noqa: PLC0415

    subject = found.subject
    path = case_path(_folder(options, subject), options.name)
    if event is None or entry.key is None:
        msg = (
            "the event of this delivery is not kept any more, as it needs no sending: give it with "
            "--event FILE. A server keeps events for some time after that with keepRecent"
        )
        raise UsageError(msg)
    known = masker.plus(found.own_masker)
    made, hidden = _made(found, entry, event, attempts, options, known)
    shown = [one for one in masked_secrets(made.case, attempts) if _STAND_IN not in one]
    if shown:
        # What a kept request shows to be a secret is one wherever it stands.
        known = known.plus(Masker(shown))
        made, hidden = _made(found, entry, event, attempts, options, known)
    case = made.case
    replaced: Mapping[str, PersonalKind] = {}
    if not options.raw:
        case, replaced = pseudonymised(subject, case)
    save_case(subject, case, path, known)
    if found.unread:
        click.echo(f"warning: {_UNREAD.format(found.unread)}", err=True)
    for note in (*made.notes, *_about_settings(found, case.settings)):
        click.echo(note)
    if hidden != event:
        click.echo(f"The event held a secret of the settings: {_STAND_IN} stands for it.")
    if replaced:
        click.echo(f"Stand-ins replace {counted(replaced)}.")
    requests = len(case.interactions)
    click.echo(
        f"The case {options.name} has {requests} {'request' if requests == 1 else 'requests'}, "
        f"and ends as {', '.join(row.outcome.value for row in case.expected)}."
    )
    click.echo(f"Written to {path}")
    if case.served is not None:
        click.echo("It is delivered as by a server, and ends with the last of these requests.")
    cases = "" if options.folder is None else f" --cases {shlex.quote(str(options.folder))}"
    click.echo(f"Replay it with: destinations test {shlex.quote(found.name)}{cases}")


def _made(
    found: CaseSubject,
    entry: LedgerEntry,
    event: bytes,
    attempts: Sequence[Attempt],
    options: CaseOptions,
    masker: Masker,
) -> tuple[IncidentCase, bytes]:
    """Return the case with stand-ins for the secrets of ``masker``, and the event with them."""
    # Here, as it needs the extra kit: other uses of the command do not.
    from destinations.kit.testing.incidents import Incident, incident_case  # noqa: PLC0415

    assert entry.key is not None  # noqa: S101 - the caller has looked
    hidden = shown_bytes(event, masker, _STAND_IN)
    attempts = [shown_attempt(one, masker, _STAND_IN) for one in attempts]
    known = dict(found.settings)
    # A run has no configuration; its requests show which secrets it had.
    of_attempts = [name for one in attempts for name in one.secret_names or ()]
    for name in sorted({name.partition("/")[0] for name in of_attempts}):
        if name in found.subject.definition.secret_settings:
            known.setdefault(name, None)
    incident = Incident(
        options.name,
        f"{options.name.replace('-', ' ').capitalize()}.",
        hidden,
        entry.key,
        attempts,
        found.against,
        options.until,
    )
    settings = placeholder_settings(found.subject.definition, known)
    return incident_case(found.subject, incident, settings), hidden


def _about_settings(found: CaseSubject, shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on the settings of the case that are not those of the incident."""
    secrets = [name for name in found.subject.definition.secret_settings if name in shown]
    if secrets:
        yield f"Placeholders stand for the secret settings: {', '.join(secrets)}."
    for name, why in found.left_out.items():
        what = "has a placeholder" if name in shown else "is left out"
        yield f"The setting {name} {what}: {why}."


def event_in(path: Path, entry: LedgerEntry) -> bytes:
    """Return the event of a delivery from a file with one event, or with one in each line.

    Raises `UsageError` if it is not there.
    """
    try:
        data = read_input(path, limit=_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES:,} bytes")
    whole = _event(data)
    events = [data] if whole is not None else [one for one in data.splitlines() if one.strip()]
    found = [(one, event) for one in events if (event := _event(one)) is not None]
    for raw, event in found:
        if event.get("messageId") == entry.message_id:
            return raw
    if len(found) == 1 and "messageId" not in found[0][1]:  # its ID was made of its content
        return found[0][0]
    raise UsageError(f"no event in {path} has the messageId {entry.message_id!r} of this delivery")


def _event(data: bytes) -> Mapping[str, Any] | None:
    try:
        event = read_json(data, limit=len(data))
    except EventError:
        return None
    return event if isinstance(event, dict) else None


def _folder(options: CaseOptions, subject: Subject) -> Path:
    if options.folder is not None:
        return options.folder
    if not isinstance(subject.folder, Path):
        msg = f"cannot write to the folder {subject.folder}: name another one with --cases DIR"
        raise UsageError(msg)
    return subject.folder / CASES_FOLDER
