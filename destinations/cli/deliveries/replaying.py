"""``destinations deliveries replay``."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import click

from destinations.cli.deliveries.choosing import check_scope, scope_options
from destinations.cli.opening import open_definition
from destinations.cli.server_store import Place, place_options
from destinations.cli.tables import plain
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.operations import (
    LedgerEntry,
    Replay,
    Replayed,
    Selection,
    Today,
    find_deliveries,
    get_delivery,
    plan_replay,
    replay,
    waiting_for_nobody,
)
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.runtime.destination import Destination
from destinations.server import ServeConfig
from destinations.store import Store

__all__ = ["replay_command"]

_CLASSES: Final = (
    Outcome.DEAD,
    Outcome.REJECTED,
    Outcome.INVALID,
    Outcome.UNMAPPED,
    Outcome.FILTERED,
)
_SHOWN: Final = 20


@click.command(
    "replay",
    epilog="Example: destinations deliveries replay --outcome dead --since 3d --dry-run "
    "--config serve.yaml",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in _CLASSES]),
    help="Instead of ids: all of this outcome.",
)
@scope_options
@click.option(
    "--definition",
    metavar="DESTINATION",
    help="What maps them: a slug or a folder; by default the name of their destination.",
)
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay_command(
    ids: tuple[int, ...],
    place: Place,
    *,
    definition: str | None,
    dry_run: bool,
    as_json: bool,
    **scope: Any,
) -> int:
    """Take deliveries through today's definition again, as if their events had just come.

    What it maps waits for its turn; what it does not has its new outcome at once. Subscriptions
    that take the event today and did not then get a delivery too. What was or may have been applied
    is never replayed. --config also says what maps each destination. Exits 1 if one that was named
    by its id cannot be replayed.
    """
    outcome: str | None = scope.pop("outcome")
    chosen = bool(outcome or any(value is not None for value in scope.values()))
    if ids and chosen:
        raise click.UsageError("name deliveries by their ids or choose them by --outcome, not both")
    if not ids and outcome is None:
        raise click.UsageError("name deliveries by their ids, or choose them by --outcome")
    check_scope(scope)
    with contextlib.closing(place.read() if dry_run else place.change()) as opened:
        entries = _entries(opened, ids, outcome, scope)
        find = _destinations(opened, definition, place.config)
        planned = [plan_replay(opened, find(entry), entry, payloads=dry_run) for entry in entries]
        done = None if dry_run else replay(opened, planned, now=time.time())
        strays = [] if dry_run else waiting_for_nobody(opened, planned)
    if as_json:
        click.echo(json.dumps(_json(planned, done), ensure_ascii=False))
    else:
        _print(planned, done)
    for name in strays:
        click.echo(
            f"The server has no destination {name!r}: what waits for it stays until it has one.",
            err=True,
        )
    return 1 if ids and any(one.refused for one in planned) else 0


def _entries(
    store: Store, ids: tuple[int, ...], outcome: str | None, scope: dict[str, Any]
) -> Iterable[LedgerEntry]:
    if ids:
        return [get_delivery(store, one) for one in dict.fromkeys(ids)]
    assert outcome is not None  # noqa: S101 - one of both
    return find_deliveries(store, Selection(state=State.DONE, outcome=Outcome(outcome), **scope))


def _destinations(
    store: Store, definition: str | None, served: ServeConfig | None
) -> Callable[[LedgerEntry], Destination]:
    """What maps a delivery; nothing is sent, so settings are not needed."""
    found: dict[str, Destination] = {}
    configured = {one.name: one.destination for one in served.destinations} if served else {}

    def find(entry: LedgerEntry) -> Destination:
        name = entry.destination
        wanted = definition if definition is not None else configured.get(name, name)
        if wanted not in found:
            try:
                loaded, plugin = open_definition(wanted)
            except UsageError as error:
                if wanted != name:
                    raise
                raise UsageError(_nameless(entry, configured, error)) from None
            code = plugin.code(store) if plugin is not None else None
            found[wanted] = Destination(loaded, named_settings(loaded), code)
        return found[wanted]

    return find


def _nameless(entry: LedgerEntry, configured: Mapping[str, str], error: UsageError) -> str:
    """Nothing says what maps a delivery: its destination was removed, or has another name."""
    name = entry.destination
    hint = f"say what maps it with --definition DESTINATION, or choose others than {name!r}"
    if configured:
        names = ", ".join(map(repr, configured))
        where = f"the configuration has no destination {name!r}, only {names}"
    else:
        where, hint = str(error), f"give the server's configuration with --config FILE, or {hint}"
    return f"delivery {entry.id} is of {name!r}: {where}; {hint}"


def _print(planned: list[Replay], done: Replayed | None) -> None:
    refused = [one for one in planned if one.refused]
    if done is None:
        for one in planned[:_SHOWN]:
            for line in _described(one):
                click.echo(line)
        if len(planned) > _SHOWN:
            click.echo(f"... and {len(planned) - _SHOWN:,} more; --json shows all of them")
        for (before, after), number in _changes(planned).items():
            click.echo(f"{number:,} {before} -> {after}")
        click.echo("Nothing was changed: this was a dry run.")
        return
    for one in refused[:_SHOWN]:
        click.echo(f"delivery {one.entry.id} is not replayed: {one.refused}", err=True)
    unchanged = sum(not one.refused and not one.changes for one in planned)
    numbers = {
        ("waits for its turn", "wait for their turn"): done.reopened,
        ("has another outcome at once", "have another outcome at once"): done.ended,
        ("was added for a subscription of today", "were added for subscriptions of today"): (
            done.added
        ),
        (
            "stays as it is, since today's definition does the same",
            "stay as they are, since today's definition does the same",
        ): unchanged,
        ("was not replayed", "were not replayed"): len(refused),
        ("changed meanwhile and was left alone", "changed meanwhile and were left alone"): (
            done.changed_meanwhile
        ),
    }
    for (of_one, of_several), number in numbers.items():
        if number:
            what = f"delivery {of_one}" if number == 1 else f"deliveries {of_several}"
            click.echo(f"{number:,} {what}")
    if not planned:
        click.echo("No delivery is like that.")


def _described(one: Replay) -> Iterator[str]:
    entry = one.entry
    head = f"{entry.id} {plain(entry.type)}/{plain(entry.message_id)}, user {plain(entry.user)}"
    if one.today is None:
        yield f"{head}: not replayed: {one.refused}"
        return
    yield f"{head}: {entry.label} -> {_what(one.today)}"
    yield f"  was: {plain(entry.reason)} (definition {entry.definition_version}, now {one.version})"
    for today in (one.today, *one.added):
        new = "" if today is one.today else "new "
        if today.result is None:
            yield f"  {new}{today.action}: {json.dumps(today.payload)}"
        elif today.result.reason != entry.reason:
            yield f"  {new}{today.action or 'no action'}: {plain(today.result.reason)}"


def _what(today: Today) -> str:
    return "sent" if today.result is None else today.result.outcome.value


def _changes(planned: list[Replay]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in planned:
        if one.today is None:
            found[one.entry.label, "not replayed"] += 1
            continue
        found[one.entry.label, _what(one.today)] += 1
        for today in one.added:
            found["no delivery", _what(today)] += 1
    return found


def _json(planned: list[Replay], done: Replayed | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "dry_run": done is None,
        "deliveries": [
            {
                "id": one.entry.id,
                "before": {"outcome": one.entry.label, "reason": one.entry.reason},
                "definition_version": {"before": one.entry.definition_version, "now": one.version},
                "refused": one.refused or None,
                "changes": one.changes,
                "today": None if one.today is None else _today(one.today),
                "added": [_today(today) for today in one.added],
            }
            for one in planned
        ],
    }
    if done is not None:
        shown |= {
            "reopened": done.reopened,
            "ended": done.ended,
            "added": done.added,
            "changed_meanwhile": done.changed_meanwhile,
        }
    return shown


def _today(today: Today) -> dict[str, Any]:
    found: dict[str, Any] = {"action": today.action, "becomes": _what(today)}
    if today.result is not None:
        found["reason"] = today.result.reason
    elif today.payload is not None:
        found["payload"] = today.payload
    return found
