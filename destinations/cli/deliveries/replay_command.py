"""``destinations deliveries replay``."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.deliveries.selection import (
    event_name,
    read_selection,
    selected,
    selection_options,
)
from destinations.cli.json_output import escaped, json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, plain
from destinations.operations import (
    REPLAYED,
    PlannedReplay,
    Replayed,
    open_ledger,
    plan_replay,
    replay,
    shown_entry,
    unserved_destinations,
)
from destinations.outcome import Result
from destinations.pipeline.queue import QueuedDelivery
from destinations.secrets import Masker
from destinations.server import todays_destinations

__all__ = ["command"]

_SHOWN: Final = 20


@click.command(
    "replay",
    cls=Command,
    epilog="Example: destinations deliveries replay --outcome dead --since 3d --dry-run "
    "--config serve.yaml",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@selection_options
@click.option(
    "--definition",
    metavar="DESTINATION",
    help=(
        "Plan with this definition, a slug or a folder; by default the one that the destination's "
        "name stands for."
    ),
)
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    ids: tuple[int, ...],
    place: StorePlace,
    *,
    definition: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Plan events again with today's definition, as if they had just arrived.

    If an event now gets a payload, its delivery is ready again; otherwise it gets its new outcome
    at once. A subscription that takes the event only today gets a delivery, too. A delivery that
    was applied, or may have been, is never replayed. --config also says which definition belongs to
    a destination. Asks first only if it would let a partner delete a user of whom it got something
    since. Exits with 1 if a delivery whose ID is given cannot be replayed.
    """
    selection, is_given = read_selection(given)
    if is_given and selection.statuses is None:
        selection = replace(selection, statuses=REPLAYED)
    with place.read() if dry_run else place.change() as store:
        ledger = open_ledger(store)
        entries = selected(ledger, ids, selection, is_given=is_given)
        find = todays_destinations(store, definition, place.config)
        planned = [plan_replay(ledger, find(entry), entry) for entry in entries]
        masker = place.masker(store)
        if not dry_run and not _accepted(planned, masker, yes=yes):
            return 1
        done = None if dry_run else replay(ledger, planned, now=time.time())
        unserved = [] if dry_run else unserved_destinations(store, planned)
    if as_json:
        click.echo(json_text(masker.value(_json(planned, done))))
    else:
        _print(planned, done, masker)
    for name in unserved:
        click.echo(
            f"The server has no destination {name!r}: its deliveries wait until it has one.",
            err=True,
        )
    return 1 if ids and any(one.refused for one in planned) else 0


def _accepted(planned: Sequence[PlannedReplay], masker: Masker, *, yes: bool) -> bool:
    """Return whether nothing is to be warned of, or the user wants it all the same."""
    warned = [one for one in planned if one.warning]
    for one in warned[:_SHOWN]:
        click.echo(f"delivery {one.entry.id}: {plain(masker.text(one.warning))}", err=True)
    if len(warned) > _SHOWN:
        click.echo(f"... and {len(warned) - _SHOWN:,} more; --dry-run --json shows all", err=True)
    what = "this deletion" if len(warned) == 1 else f"these {len(warned):,} deletions"
    return not warned or yes or confirmed(f"Send {what} all the same?")


def _print(planned: Sequence[PlannedReplay], done: Replayed | None, masker: Masker) -> None:
    refused = [one for one in planned if one.refused]
    if not planned:
        click.echo("No delivery matches.")
        return
    if done is None:
        for one in planned[:_SHOWN]:
            for line in _described(one, masker):
                click.echo(line)
        if len(planned) > _SHOWN:
            click.echo(f"... and {len(planned) - _SHOWN:,} more; --json shows all of them")
        for (before, after), number in _changes(planned).items():
            click.echo(f"{number:,} {before} -> {after}")
        click.echo("Nothing changed: this was a dry run.")
        return
    for one in refused[:_SHOWN]:
        click.echo(
            f"delivery {one.entry.id} is not replayed: {plain(masker.text(one.refused))}", err=True
        )
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
        ("was not touched: it has just changed", "were not touched: they have just changed"): (
            done.changed_since
        ),
    }
    for (of_one, of_several), number in numbers.items():
        if number:
            what = f"delivery {of_one}" if number == 1 else f"deliveries {of_several}"
            click.echo(f"{number:,} {what}")


class _Part(NamedTuple):
    """One thing that a replay leads to: a delivery, and how it ends if it is not sent."""

    delivery: QueuedDelivery
    result: Result | None
    is_new: bool


def _parts(one: PlannedReplay) -> Iterator[_Part]:
    """Yield the new state of a delivery, and the deliveries that are added."""
    if one.replan is not None:
        yield _Part(one.replan.delivery, one.replan.result, is_new=False)
        for delivery, result in one.replan.added:
            yield _Part(delivery, result, is_new=True)


def _described(one: PlannedReplay, masker: Masker) -> Iterator[str]:
    entry = shown_entry(one.entry, masker)
    user = f", user {plain(bounded(entry.user))}" if entry.user else ""
    head = f"{entry.id} {plain(bounded(event_name(entry)))}{user}"
    if one.replan is None:
        yield f"{head}: not replayed: {plain(masker.text(one.refused))}"
        return
    yield f"{head}: {entry.status} -> {_what(one.replan.result)}"
    if entry.reason:
        yield f"  was: {plain(entry.reason)}"
    if one.warning:
        yield f"  warning: {plain(masker.text(one.warning))}"
    for delivery, result, is_new in _parts(one):
        new = "new " if is_new else ""
        if result is None:
            yield f"  {new}{delivery.action}: {escaped(masker.text(delivery.payload.decode()))}"
        elif result.reason != one.entry.reason:
            yield f"  {new}{delivery.action or 'no action'}: {plain(masker.text(result.reason))}"


def _what(result: Result | None) -> str:
    return "sent" if result is None else result.outcome.value


def _changes(planned: Sequence[PlannedReplay]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in planned:
        if one.replan is None:
            found[one.entry.status.value, "not replayed"] += 1
        for _, result, is_new in _parts(one):
            found["no delivery" if is_new else one.entry.status.value, _what(result)] += 1
    return found


def _json(planned: Sequence[PlannedReplay], done: Replayed | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "dry_run": done is None,
        "deliveries": [
            {
                "id": one.entry.id,
                "before": {"outcome": one.entry.status.value, "reason": one.entry.reason},
                "refused": one.refused or None,
                "warning": one.warning or None,
                "changes": one.changes,
                "today": next((_today(part) for part in _parts(one) if not part.is_new), None),
                "added": [_today(part) for part in _parts(one) if part.is_new],
            }
            for one in planned
        ],
    }
    if done is not None:
        shown |= {
            "reopened": done.reopened,
            "ended": done.ended,
            "added": done.added,
            "changed_since": done.changed_since,
        }
    return shown


def _today(part: _Part) -> dict[str, Any]:
    delivery, result, _ = part
    found: dict[str, Any] = {
        "subscription": None if delivery.key is None else delivery.key.name,
        "action": delivery.action,
        "becomes": _what(result),
    }
    if result is not None:
        found["reason"] = result.reason
    else:
        found["payload"] = json.loads(delivery.payload)
    return found
