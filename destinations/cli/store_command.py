"""``destinations store``: migrate, move, back up, restore, check, compact; make a sealing key."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from destinations import server
from destinations.cli.commands import Group
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.erased_text import erased_text
from destinations.cli.progress import show_shares
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.store_type import STORE, STORE_METAVAR
from destinations.cli.tables import count, print_table
from destinations.clock import unix_time
from destinations.errors import StoreDamagedError, UsageError
from destinations.operations import (
    Periods,
    Restoration,
    adopt,
    back_up,
    is_in_use,
    migrate_store,
    move_store,
    note_backup,
    noted_periods,
    prune,
    restore,
    restore_in_place,
    shown_time,
)
from destinations.outcome import Outcome
from destinations.postgres import PostgresAddress, StoreAddress
from destinations.store import (
    OpenStore,
    SqliteStore,
    broken_rules,
    check_store_path,
    compact,
    count_deliveries,
    is_backup,
    is_missing,
    make_sealing_key,
    stored_version,
)

__all__ = ["command"]


_NO_BACKUP: Final = (
    "a store in PostgreSQL is backed up with PostgreSQL's own tools: pg_basebackup with "
    "archived WAL brings back any point in time, pg_dump makes a copy of one moment"
)
_NO_RESTORE: Final = (
    "a store in PostgreSQL is restored with PostgreSQL's own tools: those of the backup, such as "
    "archived WAL for a base backup of pg_basebackup, or pg_restore for a copy of pg_dump; say so "
    "afterwards with --in-place"
)


class _KeepDays(click.ParamType[tuple[Outcome | None, float]]):
    """Days for all finished deliveries, or for those of one outcome."""

    name = "days"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Outcome | None, float]:
        """Return the outcome, None for all, and the days."""
        if isinstance(value, tuple):
            return value
        name, equals, days = str(value).rpartition("=")
        if equals and name not in list(Outcome):
            expected = ", ".join(Outcome)
            self.fail(f"unknown outcome {name!r}; expected one of {expected}", param, ctx)
        return (Outcome(name) if equals else None, click.FloatRange(0)(days, param, ctx))


@click.group(
    "store",
    cls=Group,
    epilog="Example: destinations store backup nightly.sqlite3 --config serve.yaml",
)
def command() -> None:
    """Migrate, move, back up, restore, check and compact the store."""


@command.command(
    "migrate",
    epilog="Example: destinations store migrate --store postgresql://app@db.example.com/events",
)
@place_options
def migrate_command(place: StorePlace) -> int:
    """Make the tables of the store, or bring them to this version.

    In PostgreSQL they are in a schema of their own, "destinations" unless the address has another
    one: ?schema=NAME. All is done, or nothing; to repeat it changes nothing. A server does the same
    when it starts. Its user needs the right to create a schema in the database, or to create tables
    in a schema that is there already.
    """
    done = migrate_store(place.address)
    if done.before == done.after:
        click.echo(f"{place.address}: has version {done.after} already")
    elif not done.before:
        click.echo(f"{place.address}: made, with version {done.after}")
    else:
        click.echo(f"{place.address}: migrated from version {done.before} to {done.after}")
    return 0


@command.command(
    "backup", epilog="Example: destinations store backup nightly.sqlite3 --config serve.yaml"
)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@place_options
def backup(target: Path, place: StorePlace) -> int:
    """Copy the store to FILE, also while a server runs.

    The copy is complete and checked, and then replaces an earlier copy in one step. It contains raw
    events, so only its owner can read it. Its time is noted in STORE.backed-up, for the metrics of
    a server. Of a PostgreSQL database, its own tools make backups.
    """
    path = place.file(_NO_BACKUP)
    place.check()
    began = unix_time()
    size = back_up(path, target)
    try:
        note_backup(path, began)
    except OSError as error:  # the copy is whole even so
        why = error.strerror or error
        click.echo(
            f"warning: cannot note the time of the backup next to the store: {why}", err=True
        )
    click.echo(f"{target}: {size:,} bytes, checked")
    return 0


@command.command("adopt", epilog="Example: destinations store adopt --store store.sqlite3")
@place_options
@yes_option
def adopt_command(place: StorePlace, *, yes: bool) -> int:
    """Accept a store that was moved here and is used nowhere else.

    The file next to the store that ends in .identity holds its place, and a store in another place
    is refused. Adopt it only if it is the store itself. A copy would deliver again whatever was
    delivered after it was made: use destinations store restore for a copy.
    """
    path = place.file(
        "a store in PostgreSQL is not adopted: it is where its address says; name that one"
    )
    place.check()
    question = (
        f"Use {path} from now on? It must be the store itself, moved here as a whole. A "
        "copy would deliver again all that was delivered after it was made."
    )
    if not yes and not confirmed(question):
        return 1
    adopt(path)
    click.echo(f"{path}: adopted")
    return 0


@command.command(
    "restore",
    epilog="Example: destinations store restore nightly.sqlite3 --to store.sqlite3",
)
@click.argument(
    "backup",
    metavar="[BACKUP]",
    required=False,
    type=click.Path(path_type=Path, dir_okay=False),
)
@click.option(
    "--to",
    type=STORE,
    metavar="STORE",
    help="Write the store to STORE, and replace any file there.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it in the place of the store of the server that FILE configures.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Say of the database of --store or --config that it was put back to an earlier time.",
)
@click.option("--store", type=STORE, metavar="URL", help="Name the database for --in-place.")
@click.option(
    "--gap",
    type=click.Choice(["hold", "deliver"]),
    default="hold",
    show_default=True,
    help="Hold or deliver events whose own time lies between the copy and now.",
)
@yes_option
def restore_command(  # noqa: PLR0913 - its options
    backup: Path | None,
    to: StoreAddress | None,
    config: Path | None,
    *,
    in_place: bool,
    store: StoreAddress | None,
    gap: str,
    yes: bool,
) -> int:
    """Make a usable store of BACKUP, or of any other copy of a store.

    Stop the server and all runs of the store first. Deliveries that waited in the copy may have
    been delivered since, and nothing may be charged twice. So the next server or run asks the
    partner, sends only what certainly was not applied, and holds the rest: decide on that with
    destinations deliveries resolve --restored.

    A PostgreSQL database is put back with PostgreSQL's own tools. Servers that have seen a later
    state refuse it then, until you say so with --in-place: that does the same for it.
    """
    if in_place:
        if backup is not None or to is not None:
            raise click.UsageError("--in-place takes no BACKUP and no --to")
        return _restore_in_place(store, config, hold=gap == "hold", yes=yes)
    if store is not None:
        raise click.UsageError("--store goes with --in-place; expected --to")
    if backup is None:
        raise click.UsageError("expected BACKUP, or --in-place")
    target = _target(to, config)
    check_store_path(target)
    must_ask = not yes and not is_missing(target)
    if must_ask and not confirmed(f"Replace {target}, {_what_is(target)}, by {backup}?"):
        return 1
    done = restore(backup, target, time.time(), hold_gap=gap == "hold")
    since = shown_time(done.copied_at)
    click.echo(f"{target}: restored from {backup}, a copy of {since}")
    _tell(done, hold=gap == "hold")
    return 0


def _restore_in_place(
    store: StoreAddress | None, config: Path | None, *, hold: bool, yes: bool
) -> int:
    if (store is None) == (config is None):
        raise click.UsageError("--in-place expects either --store or --config")
    if config is not None:
        store = server.read_config(config, os.environ, secrets=False).store.address
    if not isinstance(store, PostgresAddress):
        raise UsageError(
            f"cannot restore {store} in place: it is a file; restore a backup of it with "
            f"destinations store restore BACKUP --to {store}"
        )
    question = (
        f"Was {store} put back to an earlier point in time? Then all that waits there is held or "
        "asked about, as it may have been delivered since."
    )
    if not yes and not confirmed(question):
        return 1
    done = restore_in_place(store, time.time(), hold_gap=hold)
    click.echo(f"{store}: restored, as it was at {shown_time(done.copied_at)}")
    _tell(done, hold=hold)
    return 0


def _tell(done: Restoration, *, hold: bool) -> None:
    """Print what a restored store has, and what it does not know."""
    since = shown_time(done.copied_at)
    click.echo(
        f"Open deliveries: {done.open:,}. The next server or run with this store asks the partner "
        "about them; see destinations deliveries list --all --restored."
        if done.open
        else "No delivery was open."
    )
    erased = erased_text(done.erased)
    if erased:
        click.echo(f"Users who were erased: {erased}.")
    if done.erased.tenants:
        click.echo(f"Tenants who were erased: {done.erased.tenants:,}.")
    verb = "held" if hold else "delivered"
    click.echo(
        f"Events that were accepted after {since} are unknown to this store. Events that come from "
        f"now on, and whose own time lies between then and now, are {verb}. Those without a time "
        "of their own, or with one before then, cannot be recognised: do not send them again."
    )


def _target(to: StoreAddress | None, config: Path | None) -> Path:
    if (to is None) == (config is None):
        raise click.UsageError("expected either --to or --config")
    if config is not None:
        to = server.read_config(config, os.environ, secrets=False).store.address
    if not isinstance(to, Path):
        raise UsageError(_NO_RESTORE)
    return to


def _what_is(target: Path) -> str:
    """Describe the file in the place of a store."""
    files = [target, target.with_name(f"{target.name}-wal")]
    found = [one.stat() for one in files if one.exists()]
    size = sum(one.st_size for one in found)
    if not size:
        return "an empty file"
    try:
        kind = (
            "a backup" if is_backup(target) else "a store" if stored_version(target) else "a file"
        )
    except UsageError:
        kind = "a damaged store, or some other file"
    changed = shown_time(max(one.st_mtime for one in found))
    return f"{kind} of {size:,} bytes, written last at {changed}"


@command.command(
    "move",
    epilog=(
        "Example: destinations store move --from store.sqlite3 "
        "--to postgresql://app@db.example.com/events"
    ),
)
@click.option(
    "--from",
    "source",
    type=STORE,
    metavar=STORE_METAVAR,
    required=True,
    help="Move everything out of the store FILE or postgresql://...",
)
@click.option(
    "--to",
    "target",
    type=STORE,
    metavar=STORE_METAVAR,
    required=True,
    help="Move it into a new store of the other kind: postgresql://... or a new FILE.",
)
def move_command(source: StoreAddress, target: StoreAddress) -> int:
    """Move a store from a file into a PostgreSQL database, or back.

    Stop its server and all runs first. Everything goes along, and deliveries keep their numbers.
    What was being sent when a process was killed is unknown then, so that the partner is asked. A
    move that is interrupted goes on when you run the same command again. When it is done, nothing
    delivers from the old store any more; it can still be read. To repeat it then changes nothing.
    """
    with show_shares() as progress:
        done = move_store(source, target, progress=progress)
    if done.is_repeated:
        click.echo(f"{target}: has all of {source} already; an earlier move ended")
        return 0
    rows = [(name, f"{number:,}") for name, number in done.rows.items() if number]
    if rows:
        print_table("Rows", ("Table", "Rows"), rows)
    total = sum(done.rows.values())
    click.echo(f"{target}: has all of {source} now: {count(total, 'row')} in {done.seconds:.1f} s")
    return 0


@command.command("check", epilog="Example: destinations store check --config serve.yaml")
@place_options
def check(place: StorePlace) -> int:
    """Check that the store is intact and its rows and totals agree.

    Changes nothing; a server may run at the same time. Exits with 1 if a rule is broken.
    """
    with place.read() as store:
        try:
            broken = broken_rules(store.database)
            deliveries = count_deliveries(store.database)
        except StoreDamagedError as error:
            click.echo(str(error))
            return 1
    for rule, why in broken:
        click.echo(f"{place.address}: {rule}: {why}")
    if not broken:
        click.echo(f"{place.address}: {count(deliveries, 'row')} checked, all rules hold")
    return 1 if broken else 0


@command.command(
    "new-key",
    epilog="Example: (umask 077; set -C; destinations store new-key > sealing-key)",
)
def new_key() -> int:
    """Print a new key for sealing.key in the configuration of a server.

    It is 32 random bytes as Base64, and kept nowhere. Without it, nobody can read what it has
    sealed: keep a copy apart from the store and its backups. In the example, only you can read the
    file, and a file that is there already is not overwritten.
    """
    click.echo(make_sealing_key().reveal())
    return 0


@command.command("compact", epilog="Example: destinations store compact --config serve.yaml")
@place_options
@click.option(
    "--keep-days",
    type=_KeepDays(),
    multiple=True,
    metavar="N|OUTCOME=N",
    help=(
        "Keep finished deliveries for N days, or those of one outcome, such as dead=90; "
        "repeatable. By default as the server noted in the store, else 30, and until you decide "
        "about unmapped, invalid, rejected and dead ones."
    ),
)
@click.option(
    "--dedupe-days",
    type=click.FloatRange(0),
    metavar="N",
    help=(
        "Recognise a messageId for N days, but at least while its deliveries are kept; by default "
        "as the server noted in it, else 7."
    ),
)
def compact_command(
    place: StorePlace,
    keep_days: Sequence[tuple[Outcome | None, float]],
    dedupe_days: float | None,
) -> int:
    """Delete old finished deliveries, and return their space to the disk.

    Runs and servers delete them as well, but keep the space. Dead, rejected, invalid and unmapped
    deliveries stay, with their events, until you replay or drop them, unless their outcome has a
    number of days. While a server or run delivers from a file, it keeps its size, and the space is
    reused. Tables of PostgreSQL are vacuumed beside those who use them.
    """
    given = _by_outcome(keep_days)
    with place.change() as store:
        periods = _periods(place, store)
        periods = replace(
            periods,
            keep_days=given.pop(None, periods.keep_days),
            dedupe_days=periods.dedupe_days if dedupe_days is None else dedupe_days,
            by_outcome={
                **periods.by_outcome,
                **{outcome: days for outcome, days in given.items() if outcome is not None},
            },
        )
        before = store.database.size
        done = prune(store, store.now, periods)
        click.echo(
            f"Deleted: {count(done.raw_events, 'raw event')}, "
            f"{count(done.deliveries, 'finished delivery')}, "
            f"{count(done.messages, 'messageId')}, {count(done.refused, 'refused event')}."
        )
        if isinstance(store, SqliteStore) and is_in_use(store):
            click.echo(
                "A server or run delivers from it: the file keeps its size, and reuses the space."
            )
            return 0
        compact(store.database)
        after = store.database.size
    click.echo(f"{place.address}: {before:,} bytes before, {after:,} now")
    return 0


def _periods(place: StorePlace, store: OpenStore) -> Periods:
    """Return the periods of the configuration, or those that a server noted, or the defaults."""
    if place.config is not None:
        return place.config.periods
    return noted_periods(store) or Periods()


def _by_outcome(
    given: Sequence[tuple[Outcome | None, float]],
) -> dict[Outcome | None, float]:
    """Return the days by outcome; raises `click.UsageError` if one is given twice."""
    found = dict(given)
    if len(found) < len(given):
        twice = next(one for one, number in Counter(key for key, _ in given).items() if number > 1)
        what = f"for {twice}" if twice else "for all finished deliveries"
        raise click.UsageError(f"--keep-days is given twice {what}: expected it once")
    return found
