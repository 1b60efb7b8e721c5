"""``destinations status``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live

from destinations.cli.server_store import Place, place_options
from destinations.cli.tables import printable, table
from destinations.operations import (
    DestinationStatus,
    StoreStatus,
    shown_duration,
    store_status,
    who_serves,
)
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.store import Store

__all__ = ["command"]

_SERVED: Final = {
    True: "a server delivers from it",
    False: "no server delivers from it",
    None: "whether a server delivers from it cannot be told: its lock cannot be read",
}
_STRAY: Final = (
    "[bold]the server has no destination of this name[/bold]: what waits stays until it has one "
    "again, or until it is dropped"
)
_CLASSES: Final = (*(outcome.value for outcome in Outcome), "dropped")


@click.command("status", epilog="Example: destinations status --config serve.yaml --live 2")
@place_options
@click.option(
    "--live",
    type=click.FloatRange(min=0.2),
    metavar="SECONDS",
    help="Stay, and count again so often; Ctrl-C ends it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(place: Place, live: float | None, *, as_json: bool) -> int:
    """Show how the queue of a server stands: outcomes, what waits, and what needs a person."""
    if live is not None and as_json:
        raise click.UsageError("--live and --json exclude each other")
    with contextlib.closing(place.read()) as opened:
        if as_json:
            click.echo(json.dumps(_read(opened).to_json(), ensure_ascii=False))
        elif live is None:
            Console(highlight=False).print(_shown(_read(opened), place), soft_wrap=True)
        else:
            _watch(opened, place, live)
    return 0


def _read(store: Store) -> StoreStatus:
    return store_status(store, time.time(), who_serves(store))


def _watch(store: Store, place: Place, seconds: float) -> None:
    """Until the user has seen enough: that is no interruption of any work."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(_shown(_read(store), place), auto_refresh=False, screen=False) as shown,
    ):
        while True:
            time.sleep(seconds)
            shown.update(_shown(_read(store), place), refresh=True)


def _shown(status: StoreStatus, place: Place) -> RenderableType:
    parts: list[RenderableType] = [
        f"[bold]Store[/bold] {printable(status.path)}",
        f"{status.size / 1_000_000:,.1f} MB, SQLite {status.sqlite}; {_SERVED[status.served]}",
        "",
    ]
    if not status.destinations:
        parts += ["No server has accepted anything for it.", ""]
    for one in status.destinations:
        parts += [f"[bold]{printable(one.name)}[/bold]", *_queue(one, place)]
        if status.served and one.served is False and one.states.total():
            parts.append(_STRAY)
        if one.outcomes:
            parts.append(table(("outcome", "today", "all"), _outcomes(one)))
        parts.append("")
    if status.kept:
        kept = ", ".join(f"{number:,} {outcome}" for outcome, number in status.kept.items())
        parts += [f"Kept by runs of files: {printable(kept)}"]
    return Group(*parts)


def _queue(one: DestinationStatus, place: Place) -> Iterator[str]:
    states = ", ".join(
        f"{one.states[state]:,} {state.value}" for state in State if one.states[state]
    )
    yield f"queue {one.queue:,}" + (f" ({states})" if states else "")
    if one.oldest is not None:
        yield f"oldest waits for {shown_duration(one.oldest)}"
    if one.next_retry is not None:
        yield f"next retry in {shown_duration(one.next_retry)}"
    if one.states[State.HELD]:
        yield (
            f"[bold]{one.states[State.HELD]:,} held[/bold]: a person has to decide; "
            f"destinations deliveries list --state held{printable(place.options)}"
        )


def _outcomes(one: DestinationStatus) -> Sequence[Sequence[object]]:
    return [(name, one.today[name], one.outcomes[name]) for name in _CLASSES if one.outcomes[name]]
