"""``destinations status``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live

from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import printable, table
from destinations.deliveries import (
    DestinationStatus,
    StoreStatus,
    is_served,
    shown_duration,
    store_status,
)
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.store import Store

__all__ = ["command"]

_CLASSES = (*(outcome.value for outcome in Outcome), "dropped")


@click.command("status", epilog="Example: destinations status --live 2")
@store_option
@click.option(
    "--live",
    type=click.FloatRange(min=0.2),
    metavar="SECONDS",
    help="Stay, and count again so often; Ctrl-C ends it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(store: Path | None, live: float | None, *, as_json: bool) -> int:
    """Show how the queue of a server stands: outcomes, what waits, and what needs a person."""
    if live is not None and as_json:
        raise click.UsageError("--live and --json exclude each other")
    with contextlib.closing(open_store(store)) as opened:
        if as_json:
            click.echo(json.dumps(_read(opened).to_json(), ensure_ascii=False))
        elif live is None:
            Console(highlight=False).print(_shown(_read(opened)), soft_wrap=True)
        else:
            _watch(opened, live)
    return 0


def _read(store: Store) -> StoreStatus:
    return store_status(store, time.time(), served=is_served(store.path))


def _watch(store: Store, seconds: float) -> None:
    """Until the user has seen enough: that is no interruption of any work."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(_shown(_read(store)), auto_refresh=False, screen=False) as shown,
    ):
        while True:
            time.sleep(seconds)
            shown.update(_shown(_read(store)), refresh=True)


def _shown(status: StoreStatus) -> RenderableType:
    served = "a server delivers from it" if status.served else "no server delivers from it"
    parts: list[RenderableType] = [
        f"[bold]Store[/bold] {printable(status.path)}",
        f"{status.size / 1_000_000:,.1f} MB, SQLite {status.sqlite}; {served}",
        "",
    ]
    if not status.destinations:
        parts += ["No server has accepted anything for it.", ""]
    for one in status.destinations:
        parts += [f"[bold]{printable(one.name)}[/bold]", *_queue(one)]
        parts += [table(("outcome", "today", "all"), _outcomes(one)), ""]
    if status.kept:
        kept = ", ".join(f"{number:,} {outcome}" for outcome, number in status.kept.items())
        parts += [f"Kept by runs of files: {printable(kept)}"]
    return Group(*parts)


def _queue(one: DestinationStatus) -> Iterator[str]:
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
            "destinations deliveries list --state held"
        )


def _outcomes(one: DestinationStatus) -> Sequence[Sequence[object]]:
    return [(name, one.today[name], one.outcomes[name]) for name in _CLASSES if one.outcomes[name]]
