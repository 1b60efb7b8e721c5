"""Make a recorded case of a delivery."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from destinations.cli.store_place import StorePlace
from destinations.definition.connection import connect
from destinations.errors import UsageError
from destinations.http.loopback import is_loopback
from destinations.kit.testing.case import RecordedAgainst
from destinations.kit.testing.case_reading import CASES_FOLDER
from destinations.kit.testing.personal_data import PersonalKind, counted
from destinations.kit.testing.subject import Subject, open_subject
from destinations.operations import connected_as_tenant
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Scope
from destinations.sandbox.placeholders import placeholder_settings
from destinations.secrets import Masker
from destinations.server import DestinationConfig
from destinations.store import Attempt, OpenStore, Tenants

__all__ = ["CaseOptions", "subject_of", "write_case"]


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """The name of a case, the folder it goes into (by default that of the definition).

    If ``raw``, personal data stays as it is.
    """

    name: str
    folder: Path | None
    raw: bool


@dataclass(frozen=True, slots=True)
class CaseSubject:
    """The destination of a delivery today, and the settings of a server that are no secrets.

    ``name`` is the slug or the folder by which it is found.
    """

    name: str
    subject: Subject
    settings: Mapping[str, Any]
    against: RecordedAgainst


def subject_of(
    store: OpenStore, place: StorePlace, definition: str | None, entry: LedgerEntry
) -> CaseSubject:
    """Return the destination of a delivery; its name may be one that only a server knows."""
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
    given = {} if own is None else own.settings.data
    return CaseSubject(
        wanted,
        replace(subject, definition=loaded),
        # What leads to a stand-in on this machine does not lead to the partner.
        {key: one for key, one in given.items() if not (isinstance(one, str) and _is_local(one))},
        _against(store, entry),
    )


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
) -> None:
    """Write a case of a delivery's event and answers; raises `UsageError` if that cannot be."""
    # Here, as they need the extra kit: other uses of the command do not.
    from destinations.kit.testing.incidents import Incident, incident_case  # noqa: PLC0415
    from destinations.kit.testing.pseudonyms import pseudonymised  # noqa: PLC0415
    from destinations.kit.testing.saving import case_path, save_case  # noqa: PLC0415

    subject = found.subject
    path = case_path(_folder(options, subject), options.name)
    if event is None or entry.key is None:
        msg = (
            "the event of this delivery is not kept any more: keepRecent keeps events after their "
            "delivery"
        )
        raise UsageError(msg)
    settings = placeholder_settings(subject.definition, found.settings)
    incident = Incident(
        options.name,
        f"{options.name.replace('-', ' ').capitalize()}.",
        event,
        entry.key,
        attempts,
        found.against,
    )
    case = incident_case(subject, incident, settings)
    replaced: Mapping[str, PersonalKind] = {}
    if not options.raw:
        case, replaced = pseudonymised(subject, case)
    save_case(subject, case, path, Masker(()))
    if replaced:
        click.echo(f"Stand-ins replace {counted(replaced)}.")
    requests = len(case.interactions)
    click.echo(
        f"The case {options.name} has {requests} {'request' if requests == 1 else 'requests'}, "
        f"and ends as {', '.join(row.outcome.value for row in case.expected)}."
    )
    click.echo(f"Written to {path}")
    cases = "" if options.folder is None else f" --cases {shlex.quote(str(options.folder))}"
    click.echo(f"Replay it with: destinations test {shlex.quote(found.name)}{cases}")


def _folder(options: CaseOptions, subject: Subject) -> Path:
    if options.folder is not None:
        return options.folder
    if not isinstance(subject.folder, Path):
        msg = f"cannot write to the folder {subject.folder}: name another one with --cases DIR"
        raise UsageError(msg)
    return subject.folder / CASES_FOLDER
