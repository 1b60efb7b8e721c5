"""``destinations refused``: what the receiver of a server refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.commands import Group
from destinations.cli.deliveries.export_command import opened_output, output_option
from destinations.cli.deliveries.selection import (
    BY_CODE,
    BY_DESTINATION,
    BY_USER,
    since_option,
    with_options,
)
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, count, limit_option, plain, print_table
from destinations.cli.tenant_options import tenant_option, with_tenants
from destinations.operations import refused_line, shown_time
from destinations.store import RefusedCount, RefusedEntry, RefusedSelection, StoredRefused

__all__ = ["command"]

_RECEIVER: Final = "source/destination"
_COLUMNS: Final = ("id", "refused", _RECEIVER, "path", "from", "event", "status", "reason")

_selection_options = with_options(
    BY_DESTINATION, tenant_option, BY_CODE, BY_USER, since_option("events refused")
)


@click.group("refused", cls=Group, epilog="Example: destinations refused list --config serve.yaml")
def command() -> None:
    """Show and export the events that a server refused.

    The server keeps the latest refused events of senders with valid credentials; it answered with
    the reason, but many SDKs do not show it. Both commands also work while the server runs.
    """


@command.command(
    "list",
    epilog="Example: destinations refused list --code NOT_JSON --since 2h --config serve.yaml",
)
@place_options
@_selection_options
@limit_option("Show the latest N; 100 by default.")
@click.option(
    "--raw",
    "with_raw",
    is_flag=True,
    help="Also show the events as the server read them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(
    place: StorePlace, *, limit: int, with_raw: bool, as_json: bool, **given: Any
) -> int:
    """List refused events with their reasons, the oldest first, and count them by code."""
    selection = RefusedSelection(**given)
    with place.read() as store:
        refused = store.refused()
        _tell_of_unknown(refused, selection)
        counts = refused.counts(selection)
        found = refused.find(selection, limit=limit)
    if as_json:
        shown = {
            "store": str(place.address),
            "total": sum(one.events for one in counts),
            "codes": [
                {"destination": one.destination, "code": one.code, "events": one.events}
                for one in counts
            ],
            "refused": [_record(entry) for entry in found],
        }
        click.echo(json_text(shown))
    else:
        _print(place, found, counts, with_raw=with_raw)
    return 0


@command.command(
    "export",
    epilog="Example: destinations refused export --since 2h --config serve.yaml > refused.ndjson",
)
@place_options
@_selection_options
@output_option
def export_command(place: StorePlace, *, output: Path | None, **given: Any) -> int:
    """Write refused events and their reasons as NDJSON, to be repaired and fed to a run.

    Leaves out events that were cut, because they were too long to keep, and those in which a secret
    was masked. Exporting changes nothing.
    """
    selection = RefusedSelection(**given)
    written = left = 0
    with place.read() as store, contextlib.ExitStack() as stack:
        refused = store.refused()
        _tell_of_unknown(refused, selection)
        stream = stack.enter_context(opened_output(output))
        for entry in refused.find(selection):
            if entry.event.is_whole:
                stream.write(refused_line(entry.event) + b"\n")
                written += 1
            else:
                left += 1
    click.echo(f"Exported: {written:,}.", err=True)
    if left:
        click.echo(
            f"Left out, because they were not kept as they came (cut, or a secret masked): "
            f"{left:,}.",
            err=True,
        )
    return 0


def _tell_of_unknown(refused: StoredRefused, selection: RefusedSelection) -> None:
    """Tell on stderr of a name or a code that no refused event has, with those that there are."""
    for what, given, known in (
        ("of", selection.destination, refused.names),
        ("with the code", selection.code, refused.codes),
    ):
        if given is not None and given not in known:
            shown = ", ".join(map(plain, known)) or "none"
            click.echo(
                f"The store has no refused event {what} {plain(given)!r}; it has some {what}: "
                f"{shown}.",
                err=True,
            )


def _print(
    place: StorePlace,
    found: Sequence[RefusedEntry],
    counts: Sequence[RefusedCount],
    *,
    with_raw: bool,
) -> None:
    total = sum(one.events for one in counts)
    tenants = [entry.tenant_name or entry.tenant for entry in found]
    columns, rows = with_tenants(
        _COLUMNS, [_row(entry) for entry in found], tenants, after=_RECEIVER
    )
    print_table(f"{count(total, 'refused event')}, in {place.address}", columns, rows)
    if len(found) < total:
        click.echo(f"These are the latest {len(found):,}; --limit shows more.\n")
    if with_raw:
        for entry in found:
            click.echo(f"{entry.id}: {_shown_raw(entry)}")
    if found:
        print_table(
            "By code",
            (_RECEIVER, "code", "events"),
            [(one.destination, one.code, one.events) for one in counts],
        )


def _row(entry: RefusedEntry) -> tuple[object, ...]:
    event = entry.event
    return (
        str(entry.id),
        shown_time(event.at),
        entry.destination,
        bounded(event.path),
        event.peer,
        bounded(event.message_id or ""),
        str(event.status),
        f"{event.code}: {event.reason}",
    )


def _shown_raw(entry: RefusedEntry) -> str:
    event = entry.event
    text = plain(event.raw.decode("utf-8", "backslashreplace"))
    if _is_binary(event.raw):
        text = f"binary, {len(event.raw):,} bytes"
    if len(event.raw) < event.length and not event.is_whole:
        text += f" ... ({event.length:,} bytes as it came)"
    return text


def _is_binary(raw: bytes) -> bool:
    """Return whether bytes say nothing to a reader: a quarter of them cannot be shown."""
    text = raw.decode("utf-8", "replace")
    hidden = sum(not (one.isprintable() or one in "\t\r\n") or one == "\ufffd" for one in text)
    return hidden * 4 >= max(1, len(text))


def _record(entry: RefusedEntry) -> dict[str, Any]:
    """Return a refused event as JSON; ``raw`` is text where it is not JSON itself."""
    event = entry.event
    text = event.raw.decode("utf-8", "backslashreplace")
    raw: Any = text
    with contextlib.suppress(ValueError, RecursionError):
        raw = json.loads(text)
    return {
        "id": entry.id,
        "refused_at": event.at,
        "destination": entry.destination,
        "account": entry.account,
        "tenant": entry.tenant or None,
        "path": event.path,
        "peer": event.peer,
        "status": event.status,
        "code": event.code,
        "reason": event.reason,
        "message_id": event.message_id,
        "user": event.user,
        "bytes": event.length,
        "whole": event.is_whole,
        "raw": raw,
    }
