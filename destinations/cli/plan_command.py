"""``destinations plan``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.configured import open_to_read, say_what_is_named
from destinations.cli.events_option import limit_option, open_input_files
from destinations.cli.json_output import json_text
from destinations.cli.plan_text import print_plan
from destinations.cli.store_type import STORE, STORE_METAVAR
from destinations.definition import DefinitionFiles
from destinations.errors import UsageError
from destinations.operations import shown_time
from destinations.pipeline.input_file import Form
from destinations.pipeline.undelivered import unwrap
from destinations.postgres import StoreAddress, is_same_place
from destinations.server import (
    DestinationChange,
    PlanReport,
    ServeConfig,
    compare_event,
    config_masker,
    destination_changes,
    read_config,
    running_configuration,
)
from destinations.store import OpenStore, RecentEvent

__all__ = ["command"]

_LAST: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Options:
    """The options as given; None stands for one that is missing."""

    config: Path
    against: Path | None
    events: tuple[str, ...]
    last: int | None
    form: Form | None
    limit: int | None
    destination: str | None
    store: StoreAddress | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Former:
    """The configuration that the new one is compared with, and ``shown`` in words.

    ``loaded`` are the definitions that a server has loaded.
    """

    config: ServeConfig
    shown: str
    loaded: Mapping[str, DefinitionFiles]


@click.command(
    "plan",
    cls=Command,
    epilog="Example: destinations plan --config new.yaml --last 1000",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The new configuration of the server, FILE; its secrets are not needed.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with the configuration FILE; by default with what the server runs with.",
)
@click.option(
    "--events",
    type=click.Path(readable=False, allow_dash=True),
    multiple=True,
    metavar="FILE|-",
    help="Take the events of FILE, or - for standard input; repeat it for several files.",
)
@click.option(
    "--last",
    type=click.IntRange(1),
    metavar="N",
    help=(
        "Take the latest N events that were delivered, as far as the server keeps them "
        f"(keepRecent). Default without --events: {_LAST:,}."
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "json"]),
    help="Read one event a line, or one array. Default: by a file's ending, ndjson for -.",
)
@limit_option
@click.option("--destination", metavar="NAME", help="Only this destination of the configurations.")
@click.option(
    "--store",
    type=STORE,
    metavar=STORE_METAVAR,
    help="The store of the running server; by default that of --config.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(**given: Any) -> int:
    """Show what a new configuration would change, before a server takes it over.

    Events go through both configurations, and nothing is sent. For each destination it shows how
    many deliveries would be added, would be lost, or would have another payload, with examples.
    Of many destinations it looks at 200, first at those that differ, and says how many are left
    out. Exits 1 if something that is delivered today would not be any more, or may not be as
    destinations that differ are left out; 0 if all would be; and 2 for wrong usage or a
    configuration with a fault.
    """
    options = _Options(**given)
    if options.events and options.last is not None:
        raise click.UsageError("--last cannot be used with --events")
    if not options.events and (options.limit is not None or options.form is not None):
        raise click.UsageError("--limit and --format need --events")
    config = read_config(options.config, os.environ, to_show=True)
    place = options.store or config.store.address
    with contextlib.ExitStack() as stack:
        store = open_to_read(place)
        if store is not None:
            stack.callback(store.close)
        former = _former(options, place, store)
        _say_if_elsewhere(options, config, former, place)
        found = destination_changes(
            former.config, config, store, former.loaded, only=options.destination
        )
        # Secrets of others may stand in an event as well.
        maskers = [config_masker(one, os.environ) for one in (former.config, config)]
        changes = [replace(one, maskers=maskers) for one in found.destinations]
        for one in config.destinations:
            if one.name in {each.name for each in changes}:
                say_what_is_named(options.config, one)
        for change in changes:
            for warning in () if change.after is None else change.after.definition.warnings:
                click.echo(f"warning: {change.name}: {warning}", err=True)
        report = PlanReport(str(options.config), former.shown, replace(found, destinations=changes))
        if options.events:
            _compare_files(options, changes, report)
        else:
            _compare_recent(options, place, store, changes, report)
        if options.as_json:
            click.echo(json_text(report.to_json(), default=str))
        else:
            print_plan(report)
    return 1 if report.lost or not report.is_complete else 0


def _former(options: _Options, place: StoreAddress, store: OpenStore | None) -> _Former:
    """Return the configuration to compare with; raises `UsageError` if none is known."""
    if options.against is not None:
        config = read_config(options.against, os.environ, to_show=True)
        return _Former(config, str(options.against), {})
    cure = "name the former configuration with --against FILE"
    if store is None:
        msg = (
            f"there is no store {place}, in which a server would have noted its configuration: "
            f"{cure}, or the store of the server with --store FILE"
        )
        raise UsageError(msg)
    running = running_configuration(store, os.environ)
    if running is None:
        msg = (
            f"no server has noted its configuration in {place}, as those of this version do when "
            f"they start or reload: {cure}"
        )
        raise UsageError(msg)
    path = running.config.path or "a configuration"
    shown = f"{path} as the server of {place} took it over at {shown_time(running.since)}"
    return _Former(running.config, shown, running.definitions)


def _say_if_elsewhere(
    options: _Options, config: ServeConfig, former: _Former, place: StoreAddress
) -> None:
    """Say if the new configuration has another store: nothing would be recognised there."""
    own = place if options.against is None else former.config.store.address
    new = config.store.address
    if not is_same_place(own, new):
        click.echo(
            f"warning: {options.config} has another store, {new} in place of {own}: "
            "there, what was delivered is not recognised, and what waits is not found",
            err=True,
        )


def _compare_recent(
    options: _Options,
    place: StoreAddress,
    store: OpenStore | None,
    changes: Sequence[DestinationChange],
    report: PlanReport,
) -> None:
    """Take events that were delivered lately through both configurations.

    Each is looked at for the destinations that had it. Raises `UsageError` if none is kept.
    """
    asked = options.last or _LAST
    found: Sequence[RecentEvent] = ()
    if store is not None:
        found = store.recent().last(asked, destination=options.destination)
    if not found:
        raise UsageError(_no_events(place, store, options.destination))
    report.asked = asked
    by_name = {one.name: one for one in changes}
    for event in found:
        named = f"delivered at {shown_time(event.at)}"
        if not report.is_event(named, event.raw, ""):
            continue
        for name, tenant in event.destinations:
            if name in by_name:
                compared = compare_event(by_name[name].sides(tenant), event.raw, event.at)
                report.add(name, compared, named, tenant)


def _no_events(place: StoreAddress, store: OpenStore | None, destination: str | None) -> str:
    """Return why there are no events to take through, and where they can come from."""
    of = "" if destination is None else f" of {destination}"
    if store is not None and store.noted("keepRecent") is not None:
        return (
            f"no event{of} was delivered by the server of {place} since it keeps them: wait for "
            "some, or use --events FILE"
        )
    return (
        f"no delivered events are kept in {place}: write keepRecent: {{}} in the configuration of "
        "the server, so that it keeps the latest ones from then on; or use --events FILE"
    )


def _compare_files(
    options: _Options, changes: Sequence[DestinationChange], report: PlanReport
) -> None:
    """Take the events of files through both configurations."""
    now = time.time()
    with open_input_files(options.events, options.form, limit=options.limit) as source:
        for entry in source.entries():
            if not entry.data:
                continue
            place = source.places.find(entry.line)
            wrapped = None if entry.fault else unwrap(entry)
            data = entry.data if wrapped is None else wrapped.data
            if report.is_event(str(place), data, entry.fault):
                for one in changes:
                    compared = compare_event(one.sides(), data, now)
                    report.add(one.name, compared, str(place))
