"""``destinations forget``."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from destinations import operations, server
from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.erased_text import counts, erased_text
from destinations.cli.names import NAME
from destinations.cli.store_place import StorePlace, asking_place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import tenant_option
from destinations.operations import (
    Forgettable,
    find_tenant,
    forget,
    look_up_user,
    place_of_tenant,
)
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry
from destinations.store import OpenStore, Tenants

__all__ = ["command"]


@click.command(
    "forget",
    cls=Command,
    epilog="Example: destinations forget user_17 --everywhere --config serve.yaml",
)
@click.argument("user")
@click.option("--destination", type=NAME, metavar="NAME", help="Erase the user only from NAME.")
@click.option(
    "--account",
    type=NAME,
    metavar="NAME",
    help="Erase the user only from one account: its name or unnamed-NUMBER.",
)
@tenant_option
@click.option("--everywhere", is_flag=True, help="Erase the user from all of the store.")
@asking_place_options
@click.option("--dry-run", is_flag=True, help="Only show what would be erased.")
@yes_option
def command(  # noqa: PLR0913 - its options
    user: str,
    destination: str | None,
    account: str | None,
    tenant: str | None,
    place: StorePlace,
    *,
    everywhere: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Erase USER from a store: a userId, or the anonymousId of events without one.

    Stop the server and all runs of a file first; beside those of a database, what is on its way is
    waited for, for a minute. With --config, the partner is asked about
    deliveries of the user whose answers were lost; nothing is sent. Then what waits of the user is
    dropped, events and reasons are deleted, and digests take the place of the user and of
    messageIds, so that an event that is sent again is still recognised. Later events of the user
    are delivered as usual. --destination includes all customers of an endpoint, --tenant is one of
    them; the partner is asked with the key of each. With --config, each partner whose definition
    has onDelete is asked to delete the user, by the server when it runs next; the others keep what
    they have.
    """
    if not user.strip():
        raise click.UsageError("USER must not be empty")
    is_chosen = any(one is not None for one in (destination, account, tenant))
    if everywhere and is_chosen:
        msg = "--everywhere cannot be used with --destination, --account or --tenant"
        raise click.UsageError(msg)
    if tenant is not None and account is not None:
        raise click.UsageError("--tenant cannot be used with --account")
    if not everywhere and not is_chosen:
        raise click.UsageError("expected --destination, --account, --tenant or --everywhere")
    with place.read() as store:
        if tenant is not None:
            # Each has an account of its own, by which a copy that is restored finds it.
            destination, account = place_of_tenant(store, find_tenant(store, tenant, destination))
        destination, account = destination or "", account or ""
        can_ask = place.config is not None
        found = look_up_user(store, user, destination, account, can_ask=can_ask)
        known = {one.id: one for one in Tenants(store.database).all()}
        names = {identity: one.shown for identity, one in known.items()}
        meant = set(found.tenants) | {
            one.id for one in known.values() if tenant is not None and one.scope.id in found.scopes
        }
        asked = _partners(place, store, found, meant)
    _tell(place, user, found, names)
    if dry_run:
        for one in asked:
            click.echo(f"To ask to delete the user: {_shown(one, names)}.")
        _tell_what_is_left(place, found, asked)
        return 0
    place.check()  # nobody is asked about what cannot be done
    if not yes and not confirmed(
        f"Erase {plain(user)} for good? It cannot be undone, and nothing that waits is sent."
    ):
        return 1
    made: list[operations.AskedDeletion] = []
    done = forget(
        place.address,
        user,
        time.time(),
        destination=destination,
        account=account,
        settle=None if place.config_path is None else partial(_settle, place.config_path),
        ask=_Asking(asked, user, made) if asked else None,
    )
    click.echo(f"Erased: {erased_text(done) or 'nothing; the erasure is noted for backups'}.")
    for one, deletion in zip(asked, made, strict=True):
        click.echo(_told(one, deletion, names))
    _tell_what_is_left(place, found, asked)
    return 0


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks partners to delete a user, and keeps the ids of the deliveries in ``made``."""

    partners: Sequence[operations.Deletable]
    user: str
    made: list[operations.AskedDeletion]

    def __call__(self, store: OpenStore, name: str) -> None:
        """See `destinations.operations.forget`."""
        self.made[:] = operations.ask_to_delete(store, self.partners, self.user, name, time.time())


def _partners(
    place: StorePlace, store: OpenStore, found: Forgettable, tenants: Collection[str]
) -> Sequence[operations.Deletable]:
    """Return the partners that can be asked to delete the user; none without a configuration."""
    if place.config_path is None:
        return []
    asked = partial(server.deleting_scopes, place.config_path, os.environ)
    return operations.deletable(store, found.scopes, tenants, asked, time.time())


def _shown(one: operations.Deletable, names: Mapping[str, str]) -> str:
    of_tenant = f", tenant {plain(names[one.tenant])}" if one.tenant else ""
    return f"{plain(one.destination)}{of_tenant}"


def _told(
    one: operations.Deletable, deletion: operations.AskedDeletion, names: Mapping[str, str]
) -> str:
    number = deletion.delivery
    if deletion.status is State.READY:
        sender = "the server" if one.served else "the next run to the account"
        return (
            f"Asked to delete the user: {_shown(one, names)}, as delivery {number}, which {sender} "
            "sends."
        )
    came_to = f"delivery {number} is {deletion.status}"
    if deletion.status is State.HELD:
        came_to += f": decide with destinations deliveries resolve {number}"
    return (
        f"Asked to delete the user before: {_shown(one, names)}, and nothing of the user came "
        f"since; {came_to}."
    )


def _settle(path: Path, store: OpenStore, entries: Sequence[LedgerEntry]) -> None:
    """Ask the partners about lost answers, with the configuration of the server."""
    partners = partial(server.configured_partners, path, os.environ, store)
    operations.settle(store, entries, partners, tell=click.echo)


def _tell(place: StorePlace, user: str, found: Forgettable, names: Mapping[str, str]) -> None:
    """Tell what is kept; ``names`` are those of tenants, by their ids."""
    if found.is_empty and not found.elsewhere:
        click.echo(f"Nothing is kept of {plain(user)} in {place.address}; check the id.")
    else:
        click.echo(f"{plain(user)} in {place.address}: {_described(found)}.")
    for tenant_id, number in sorted(found.tenants.items()):
        click.echo(f"Of the tenant {plain(names[tenant_id])}: {count(number, 'row')}.")
    for entry in found.to_ask:
        of_tenant = f", tenant {plain(names[entry.tenant])}," if entry.tenant else ""
        click.echo(
            f"To ask the partner about: delivery {entry.id} of {plain(entry.destination)}"
            f"{of_tenant} is {entry.status}."
        )


def _described(found: Forgettable) -> str:
    waiting = ", ".join(f"{number:,} {status}" for status, number in sorted(found.dropped.items()))
    parts = [
        *([f"{len(found.to_ask):,} to settle first"] if found.to_ask else []),
        *([f"{waiting} to drop"] if waiting else []),
        counts(
            {
                "finished row": found.finished,
                "refused event": found.refused,
                "recent event": found.recent,
                "kept request": found.requests,
                "manual change": found.manual_changes,
            }
        ),
    ]
    return ", ".join(part for part in parts if part) or "nothing is kept there"


def _tell_what_is_left(
    place: StorePlace, found: Forgettable, asked: Sequence[operations.Deletable]
) -> None:
    """Tell what this command does not reach."""
    if found.elsewhere:
        click.echo(
            f"Not erased: {count(found.elsewhere, 'row')} of this user for other destinations or "
            "accounts; --everywhere includes them."
        )
    if found.mentions:
        click.echo(
            f"Not erased: {count(found.mentions, 'event')} of other users with this id in them; "
            "see destinations deliveries export."
        )
    if found.changes_of_others:
        click.echo(
            f"Not erased: {count(found.changes_of_others, 'manual change')} for other users with "
            "this id in them; make them at the partner."
        )
    if isinstance(place.address, Path):
        store = place.address.resolve()
        for copy in sorted(store.parent.glob(f"{glob.escape(store.name)}.version-*")):
            click.echo(f"Not erased: {copy}, a copy from before an upgrade: delete it.")
        again = "If a backup is restored here, the user is erased from it, too."
    else:
        again = (
            "If the database is put back to an earlier time, destinations store restore --in-place "
            "erases the user again where this command ran; elsewhere, repeat this command."
        )
    partner = "what other partners have" if asked else "what the partner has"
    click.echo(
        f"Not reached: {partner}; files of --undelivered, exports, reports and logs; "
        f"backups and other copies made before. {again}"
    )
