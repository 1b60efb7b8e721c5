"""``destinations usage reconcile``."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

from destinations.cli.commands import Command
from destinations.cli.csv_text import begins_formula, csv_row
from destinations.cli.json_output import json_text
from destinations.cli.names import NAME
from destinations.cli.opening import bind_to_file, destination_argument, settings_option
from destinations.cli.progress import count_off
from destinations.cli.sealing_key import open_tokens, sealing_key_option
from destinations.cli.store_place import StorePlace, asking_place_options
from destinations.cli.tables import bounded, count, say
from destinations.cli.tenant_options import tenant_option
from destinations.clock import SystemClock
from destinations.definition import DestinationDefinition, load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.http.transport import HttpTransport
from destinations.opening import open_definition
from destinations.operations import (
    UsageComparison,
    UsageReason,
    UsageReport,
    UsageSelection,
    can_be_asked,
    find_tenant,
    select_usage,
)
from destinations.operations.times import GivenTime, parse_given_time
from destinations.pipeline.rate_limit import rate_limited
from destinations.runtime.account_identity import identity_of
from destinations.runtime.amounts import amount_text
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder, installed
from destinations.runtime.sender import Sender
from destinations.runtime.usage_questions import iso_time
from destinations.secrets import Masker
from destinations.server import configured_partner, configured_tenant
from destinations.store import OpenStore, UsageKind

__all__ = ["command"]

KINDS: Final[dict[UsageKind, str]] = {
    "waiting": "waiting to be sent",
    "unknown": "sent, without an answer so far",
    "held": "held for an operator",
    "failed": "rejected or given up",
    "dropped": "dropped, though it may have been applied",
    "known": "not sent, as the partner had it",
    "repeated": "sent more than once",
    "decided": "delivered by the decision of an operator",
    "noAmount": "without an amount that is a number",
}
"""The reasons for a difference, and how they are called."""

COLUMNS: Final = (
    *("user", "feature", "ours", "partner", "difference", "result", "error"),
    *KINDS,
    *("deliveries", "from", "to"),
)
"""The columns of the CSV; those of reasons hold numbers of deliveries."""

_LAST: Final = (
    "Not in this report: users whom only the partner knows, as it is asked about those that the"
    " store has."
)


class _Time(click.ParamType[GivenTime]):
    """An option that is a time, or an age."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> GivenTime:
        """Return the time."""
        if isinstance(value, GivenTime):
            return value
        try:
            return parse_given_time(value, time.time())
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command(
    "reconcile",
    cls=Command,
    epilog=(
        "Example: destinations usage reconcile openmeter --from 2026-03-01 --to 2026-04-01"
        " --settings openmeter.yaml"
    ),
)
@destination_argument
@click.option(
    "--from",
    "since",
    type=_Time(),
    required=True,
    metavar="TIME",
    help=(
        "Compare from TIME on: ISO 8601 in UTC, or an age such as 2h or 30d. An age is taken back"
        " to the last time that the partner adds up to."
    ),
)
@click.option(
    "--to",
    "until",
    type=_Time(),
    required=True,
    metavar="TIME",
    help="Compare what was before TIME; what was at TIME is not included.",
)
@settings_option
@asking_place_options
@tenant_option
@sealing_key_option
@click.option("--user", type=NAME, metavar="ID", help="Only this user, as the partner knows it.")
@click.option("--feature", type=NAME, metavar="NAME", help="Only this feature.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    help="Print lines for people, CSV or one JSON object. Default: text.",
)
@click.option("--all", "shows_all", is_flag=True, help="Show what is equal as well, as text.")
def command(  # noqa: PLR0913, PLR0917 - an option each
    destination: str,
    since: GivenTime,
    until: GivenTime,
    settings: Path | None,
    place: StorePlace,
    tenant: str | None,
    sealing_key: Path | None,
    user: str | None,
    feature: str | None,
    form: str,
    *,
    shows_all: bool,
) -> int:
    """Compare what was delivered to DESTINATION with what the partner has counted.

    DESTINATION is a folder or the name of a destination, whose account --settings names; with
    --config it is the name of one in the server's configuration. For each user and feature that the
    store has usage of in this time, the partner is asked once, and each difference is shown with
    the deliveries that may explain it. Exits 0 if all is equal; 1 if something differs or could not
    be asked; 2 for wrong usage, or for a destination that cannot be asked.
    """
    if place.config is None and tenant is not None:
        raise click.UsageError("--tenant needs --config, which has the key of the tenant")
    if place.config is not None and (settings is not None or sealing_key is not None):
        raise click.UsageError("--settings and --sealing-key cannot be used with --config")
    definition = _definition(destination, place)
    if not can_be_asked(definition):
        raise UsageError(_cannot(definition.name, place), topic="usage")
    selection = select_usage(definition, since, until, user, feature)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(place.change() if definition.oauth2 else place.read())
        asked = _asked(destination, settings, sealing_key, place, store, tenant)
        stop = threading.Event()
        transport = definition.transport
        http = HttpTransport(transport.timeouts, allow_private=asked.allow_private)
        stack.callback(http.close)
        stack.callback(stop.set)
        clock = SystemClock()
        limited = rate_limited(http, transport.rate_limit, clock, stop)
        sender = Sender(asked.destination, limited, stop=stop, clock=clock)
        comparison = UsageComparison(store, asked.scopes, asked.destination, sender, selection)
        masker = asked.destination.settings.masker
        show: _Output = _OUTPUTS[form](asked, selection, masker, shows_all)
        show.begin(comparison.notes(time.time()))
        results: Counter[str] = Counter()
        for report in _counted(comparison.reports()):
            results[report.result] += 1
            show.report(report)
        show.end(results)
    return 0 if not results["differs"] + results["unknown"] else 1


def _counted(reports: Iterator[UsageReport]) -> Iterator[UsageReport]:
    return count_off(reports, None, "pairs")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The account that is asked: its ``scopes`` in the store have what was delivered to it."""

    name: str
    destination: Destination
    scopes: Sequence[int]
    allow_private: bool = False


def _definition(name: str, place: StorePlace) -> DestinationDefinition:
    if place.config is None:
        return open_definition(name)[0]
    for one in place.config.destinations:
        if one.name == name:
            return load_definition(find_folder(one.destination))
    known = ", ".join(one.name for one in place.config.destinations)
    raise UsageError(f"{place.config_path} has no destination {name!r}; it has: {known}")


def _cannot(name: str, place: StorePlace) -> str:
    """Return why a destination cannot be asked, and which can be."""
    if place.config is None:
        found = [slug for slug, one in installed().destinations.items() if _is_askable(one.folder)]
        others = "installed ones that can be"
    else:
        found = [
            one.name
            for one in place.config.destinations
            if _is_askable(find_folder(one.destination))
        ]
        others = "those of the configuration that can be"
    why = f"{name} cannot be asked what it has counted: none of its actions has usage"
    return f"{why}; {others}: {', '.join(found) or 'none'}"


def _is_askable(folder: Any) -> bool:
    try:
        return can_be_asked(load_definition(folder))
    except DefinitionError:
        return False


def _asked(
    name: str,
    settings: Path | None,
    sealing_key: Path | None,
    place: StorePlace,
    store: OpenStore,
    tenant: str | None,
) -> _Asked:
    accounts = store.accounts()
    if place.config_path is None:
        definition, plugin = open_definition(name)
        destination = bind_to_file(definition, plugin, settings, store=store).destination
        destination.keep_tokens(open_tokens(definition, store, sealing_key))
        account = accounts.find(identity_of(destination))
        if account is None:
            raise UsageError(
                f"the store {place.address} has no deliveries to the account of these settings:"
                " check the settings, and --store"
            )
        return _Asked(name, destination, accounts.scopes_of(account.id))
    if tenant is not None:
        of = find_tenant(store, tenant, name)
        partner = configured_tenant(place.config_path, os.environ, store, of)
        known = accounts.of_scope(of.scope)
    else:
        partner = configured_partner(place.config_path, os.environ, store, name)
        served = accounts.of_served(name, partner.identity)
        if served is None:
            raise UsageError(f"the store {place.address} has no deliveries of {name}")
        known = served
    scopes = accounts.scopes_of(known.id)
    return _Asked(name, partner.destination, scopes, partner.allow_private)


# -- what is shown ---------------------------------------------------------------------------------


class _Output(Protocol):
    """Prints a comparison, one pair at a time."""

    def begin(self, notes: Sequence[str]) -> None:
        """Print what comes before all pairs."""
        ...

    def report(self, report: UsageReport) -> None:
        """Print a pair."""
        ...

    def end(self, results: Counter[str]) -> None:
        """Print what comes after all pairs, by their results."""
        ...


@dataclass(slots=True)
class _Shown:
    asked: _Asked
    selection: UsageSelection
    masker: Masker
    shows_all: bool

    @property
    def times(self) -> dict[str, str]:
        """The ends of the time that is compared."""
        return {"from": iso_time(self.selection.from_ms), "to": iso_time(self.selection.to_ms)}

    def number(self, amount: Any) -> str | None:
        """Return an exact amount as text; None if there is none."""
        return None if amount is None else amount_text(amount)

    def ids(self, report: UsageReport) -> list[int]:
        """Return the deliveries that are named, each once."""
        return list(dict.fromkeys(id_ for one in report.reasons.values() for id_ in one.ids))


class _Text(_Shown):
    def begin(self, notes: Sequence[str]) -> None:
        """Print the time that is compared, and the notes."""
        say(f"Usage {' '.join(f'{name} {at}' for name, at in self.times.items())}.")
        for note in notes:
            say(f"Note: {note}.")

    def report(self, report: UsageReport) -> None:
        """Print a pair that is not equal, or any if all are shown."""
        if report.result == "equal" and not self.shows_all:
            return
        names = [bounded(self.masker.text(one)) or "?" for one in (report.feature, report.user)]
        ours = self.number(report.ours)
        if report.partner is None:
            say(f"{names[0]} of {names[1]}: ours {ours}; {self.masker.text(report.error)}")
        else:
            parts = f"ours {ours}, the partner's {self.number(report.partner)}"
            same = report.result == "equal"
            off = "equal" if same else f"difference {self.number(report.difference)}"
            say(f"{names[0]} of {names[1]}: {parts}, {off}")
        for kind, reason in report.reasons.items():
            say(f"  {_reason(kind, reason)}")
        if report.result == "differs" and not report.reasons:
            say("  nothing in the store explains it")

    def end(self, results: Counter[str]) -> None:
        """Print the summary."""
        parts = [
            f"{results[result]:,} {text}"
            for result, text in (("equal", "equal"), ("differs", "differ"), ("unknown", "unknown"))
            if results[result] or result == "equal"
        ]
        total = sum(results.values())
        say(f"{count(total, 'pair')} of user and feature: {', '.join(parts)}." if total else _NONE)
        say(_LAST)


_NONE: Final = "The store has no usage of this time."


def _reason(kind: UsageKind, reason: UsageReason) -> str:
    ids = ", ".join(map(str, reason.ids)) + (", ..." if reason.count > len(reason.ids) else "")
    number = count(reason.count, "delivery")
    amount = "" if kind == "noAmount" else f", amount {amount_text(reason.amount)}"
    return f"{KINDS[kind]}: {number} ({ids}){amount}"


class _Csv(_Shown):
    def begin(self, notes: Sequence[str]) -> None:
        """Print the head; notes go to standard error."""
        for note in notes:
            say(f"Note: {note}.", to_stderr=True)
        self._write(COLUMNS)
        self.left_out = 0

    def report(self, report: UsageReport) -> None:
        """Print a row, unless a spreadsheet would carry out a part of it."""
        names = [self.masker.text(one) for one in (report.user, report.feature)]
        error = self.masker.text(report.error)
        if any(map(begins_formula, [*names, error])):
            self.left_out += 1
            return
        reasons = [report.reasons.get(kind) for kind in KINDS]
        self._write(
            [
                *names,
                *(self.number(one) or "" for one in (report.ours, report.partner)),
                *(self.number(report.difference) or "", report.result, error),
                *("" if one is None else str(one.count) for one in reasons),
                " ".join(map(str, self.ids(report))),
                *self.times.values(),
            ]
        )

    def _write(self, row: Sequence[str]) -> None:
        click.echo(csv_row(row), nl=False)

    def end(self, results: Counter[str]) -> None:  # noqa: ARG002 - rows say it
        """Say what was left out, on standard error."""
        if self.left_out:
            say(
                f"Left out: {count(self.left_out, 'row')} with a name that a spreadsheet would take"
                " for a formula; --format json has them.",
                to_stderr=True,
            )
        say(_LAST, to_stderr=True)


class _Json(_Shown):
    def begin(self, notes: Sequence[str]) -> None:
        """Print the beginning of the object."""
        head = {
            "destination": self.asked.name,
            **self.times,
            "notes": [self.masker.text(note) for note in notes],
        }
        click.echo(f'{json_text(head)[:-1]}, "pairs": [', nl=False)
        self.separator = "\n"

    def report(self, report: UsageReport) -> None:
        """Print a pair in a line."""
        pair = {
            "user": self.masker.text(report.user),
            "feature": self.masker.text(report.feature),
            "ours": self.number(report.ours),
            "partner": self.number(report.partner),
            "difference": self.number(report.difference),
            "result": report.result,
            "error": self.masker.text(report.error) or None,
            "reasons": {
                kind: {
                    "count": one.count,
                    "amount": self.number(one.amount),
                    "deliveries": one.ids,
                }
                for kind, one in report.reasons.items()
            },
        }
        click.echo(f"{self.separator}{json_text(pair)}", nl=False)
        self.separator = ",\n"

    def end(self, results: Counter[str]) -> None:
        """Print the end of the object."""
        summary = {name: results[name] for name in ("equal", "differs", "unknown")}
        click.echo(f'\n], "summary": {json_text(summary)}}}')


_OUTPUTS: Final[dict[str, Callable[..., Any]]] = {"text": _Text, "csv": _Csv, "json": _Json}
