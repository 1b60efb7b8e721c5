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
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.opening import settings_option, store_option
from destinations.cli.tables import print_table, say
from destinations.operations import (
    HandedOver,
    await_server,
    hand_to_server,
    instead_of_server,
    plan_request,
    settle_held,
)
from kana_destination.cli.opening import SLUG, KanaAccount, open_account
from kana_destination.merge_preview import MergePreview, preview_merge
from kana_destination.merge_steps import LeftOver
from kana_destination.users import FIELDS, LEFT_OVER, left_over_of

__all__ = ["merge"]

_ACTION = "merge"


@click.command(
    cls=Command,
    epilog="Example: destinations kana merge user@example.com 42 --settings kana.yaml --dry-run",
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
@click.option("--dry-run", is_flag=True, help="Only show what would be merged.")
@yes_option
def merge(  # noqa: PLR0913 - what the command line gives
    gone: str,
    kept: str,
    moved: tuple[str, ...],
    not_moved: tuple[str, ...],
    store: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    **where: Any,
) -> int:
    """Merge the user FROM into the user INTO: one user remains, with the id INTO and both usages.

    The user that is connected to a billing provider survives. It keeps its name, email and billing
    id, and takes those that it lacks from the other. The other is kept as a left-over, since the
    API has no delete: remove it in the dashboard. Its subscriptions cannot be moved. This cannot be
    undone, so the command shows both users with their usage, and asks first.

    If a server delivers to the account from the same store, the server merges the users between
    their events, and the command waits for it. Otherwise the command merges them, and no server or
    run can deliver to the account until it ends. If the command is interrupted, repeat it.
    """
    event = _event(gone, kept, moved, not_moved)
    with open_account(store=store, **where) as opened:
        planned, payload = plan_request(opened.destination, _ACTION, event)
        if dry_run or not yes:
            _show(opened, gone, kept, to_stderr=not dry_run)
        if dry_run:
            return 0
        if not yes and not confirmed("Continue? This cannot be undone."):
            return 1
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


def _show(opened: KanaAccount, gone: str, kept: str, *, to_stderr: bool) -> None:
    """Print what the merge would do, and what of it cannot be undone."""
    found = opened.sender.perform(preview_merge(gone, kept))
    account = opened.store.accounts().get(opened.id).shown
    say(f"Merge {gone} into {kept} in the account {account}", to_stderr=to_stderr)
    click.echo(err=to_stderr)
    if isinstance(found, LeftOver):
        text = f"Kana has no user {gone} any more: nothing is merged, and {kept} gets its id back."
        say(text, to_stderr=to_stderr)
        return
    goes, survives = found.goes, found.survives
    print_table(
        "Users",
        ("id now", "id afterwards", *FIELDS),
        [
            (survives["id"], kept, *({**survives, **found.changes}[key] or "" for key in FIELDS)),
            (goes["id"], found.left_over, *(goes[key] or "" for key in FIELDS)),
        ],
        to_stderr=to_stderr,
    )
    if not found.is_done:
        _show_usage(found, to_stderr=to_stderr)
    say(_what_happens(found), to_stderr=to_stderr)


def _show_usage(found: MergePreview, *, to_stderr: bool) -> None:
    goes, survives = found.goes["id"], found.survives["id"]
    rows = [
        (feature, both.stays.used, both.goes.used, both.stays.used + both.goes.used)
        for feature, both in found.usage.items()
    ]
    print_table(
        "Usage in the current period" if rows else "Usage in the current period: none",
        ("feature", f"of {survives}", f"of {goes}", "together"),
        rows,
        to_stderr=to_stderr,
    )


def _what_happens(found: MergePreview) -> str:
    """Return the effect of the merge on both users, in words."""
    goes, survives = found.goes["id"], found.survives["id"]
    if found.is_done:
        return (
            f"An earlier merge has moved the usage of {goes} to {survives}: nothing is left to do."
        )
    begun = "" if found.begins else "A merge of both was interrupted, and continues. "
    return (
        f"{begun}The usage of {goes} is added to {survives}. {goes} stays as a left-over, whose id "
        f"begins with {found.left_over}; remove it in the dashboard. Its subscriptions are not "
        "moved."
    )


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
