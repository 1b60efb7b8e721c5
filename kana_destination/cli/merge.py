"""``destinations kana merge``."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from destinations import Done, Payload
from destinations.cli.accounts import account_options
from destinations.cli.commands import Command
from destinations.cli.opening import settings_option, store_option
from destinations.operations import (
    HandedOver,
    await_server,
    hand_to_server,
    instead_of_server,
    plan_request,
    settle_held,
)
from kana_destination.cli.opening import SLUG, KanaAccount, open_account
from kana_destination.users import LEFT_OVER, left_over_of

__all__ = ["merge"]

_ACTION = "merge"


@click.command(
    cls=Command,
    epilog="Example: destinations kana merge user@example.com 42 --settings kana.yaml",
)
@click.argument("gone", metavar="FROM")
@click.argument("kept", metavar="INTO")
@click.option(
    "--moved",
    multiple=True,
    metavar="FEATURE",
    help="Count the usage of this feature as moved already, where Kana does not tell.",
)
@click.option(
    "--not-moved",
    multiple=True,
    metavar="FEATURE",
    help="Count the usage of this feature as not moved yet, where Kana does not tell.",
)
@settings_option
@store_option
@account_options
def merge(
    gone: str,
    kept: str,
    moved: tuple[str, ...],
    not_moved: tuple[str, ...],
    store: Path | None,
    **where: Any,
) -> int:
    """Merge the user FROM into the user INTO: one user remains, with the id INTO and both usages.

    The user that is connected to a billing provider survives. It keeps its name, email and billing
    id, and takes those that it lacks from the other. The other is kept as a left-over, since the
    API has no delete: remove it in the dashboard. Its subscriptions cannot be moved.

    If a server delivers to the account from the same store, the server merges the users between
    their events, and the command waits for it. Otherwise the command merges them, and no server or
    run can deliver to the account until it ends. If the command is interrupted, repeat it.
    """
    event = _event(gone, kept, moved, not_moved)
    with open_account(store=store, **where) as opened:
        planned, payload = plan_request(opened.destination, _ACTION, event)
        handed = hand_to_server(opened.store, opened.destination, planned, opened.id)
        if handed is None:
            with instead_of_server(opened.store, SLUG, opened.id, planned):
                _perform(opened, payload)
        else:
            _await(opened, handed, store)
        settle_held(opened.store, opened.id, planned)
        waiting = opened.manual_changes.entries().get(kept, {})
    click.echo(f"Merged {gone} into {kept}.")
    if waiting:
        fields = ", ".join(f"{key}: {value}" for key, value in waiting.items())
        click.echo(
            f"The API cannot change these fields of an existing user: {fields}. See destinations "
            "kana flags --csv.",
            err=True,
        )
    return 0


def _event(
    gone: str, kept: str, moved: Sequence[str], not_moved: Sequence[str]
) -> Mapping[str, Any]:
    """Return the event that asks for a merge: of type alias, which no other action handles."""
    if gone == kept:
        raise click.UsageError("FROM and INTO are the same user")
    if both := sorted(set(moved) & set(not_moved)):
        raise click.UsageError(f"--moved and --not-moved both name {', '.join(both)}")
    if left_over_of(gone) or left_over_of(kept):
        msg = (
            f"ids that end in {LEFT_OVER} are those of left-overs of merges: expected the users "
            "themselves"
        )
        raise click.UsageError(msg)
    decided = {"moved": sorted(set(moved)), "notMoved": sorted(set(not_moved))}
    return {
        "type": "alias",
        "messageId": f"merge-{uuid.uuid4()}",
        "previousId": gone,
        "userId": kept,
        "properties": {key: features for key, features in decided.items() if features},
    }


def _perform(opened: KanaAccount, payload: Payload) -> None:
    """Merge without a server."""
    action = opened.destination.actions[_ACTION]
    done: Done = opened.sender.perform(action.generate(payload, resumes=True))
    if done.manual is not None:
        opened.manual_changes.note(done.manual)


def _await(opened: KanaAccount, handed: HandedOver, store: Path | None) -> None:
    """Wait for the server to merge."""
    option = "" if store is None else f" --store {shlex.quote(str(store))}"
    look = f"destinations deliveries show {handed.id}{option}"
    try:
        await_server(opened.store, handed, tell=lambda text: click.echo(text, err=True))
    except KeyboardInterrupt:
        click.echo(f"The server continues it; see: {look}", err=True)
        raise
