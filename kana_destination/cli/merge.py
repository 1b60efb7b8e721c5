"""``destinations kana merge``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from destinations.cli.accounts import account_options
from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.opening import settings_option
from destinations.cli.store_place import StorePlace, asking_place_options
from destinations.cli.tables import print_table, say
from destinations.cli.tenant_options import tenant_option
from kana_destination.cli.opening import open_place
from kana_destination.merge_preview import MergePreview
from kana_destination.merge_steps import LeftOver
from kana_destination.merging import PlannedMerge, plan_merge
from kana_destination.users import FIELDS

__all__ = ["merge"]


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
@asking_place_options
@tenant_option
@account_options
@click.option("--dry-run", is_flag=True, help="Only show what would be merged.")
@yes_option
def merge(  # noqa: PLR0913 - what the command line gives
    gone: str,
    kept: str,
    moved: tuple[str, ...],
    not_moved: tuple[str, ...],
    place: StorePlace,
    tenant: str | None,
    *,
    dry_run: bool,
    yes: bool,
    **where: Any,
) -> int:
    """Merge the user FROM into the user INTO: one user remains, with the id INTO and both usages.

    The user that is connected to a billing provider survives. It keeps its name, email and billing
    id, and takes those that it lacks from the other. The other is kept as a left-over, since the
    API has no delete: remove it in the dashboard. Subscriptions cannot be moved. This cannot be
    undone, so the command shows both users with their usage, and asks first.

    If a server delivers to the account from the same store, the server merges the users between
    their events, and the command waits for it. Otherwise the command merges them, and no server or
    run can deliver to the account until it ends. If the command is interrupted, repeat it. With
    --tenant and --config, the users are in the account of one customer of an endpoint.
    """
    with open_place(place, tenant, **where) as (opened, scope):
        merging = plan_merge(opened, gone, kept, moved=moved, not_moved=not_moved, of_tenant=scope)
        if dry_run or not yes:
            _show(merging, opened.store.accounts().get(opened.account).shown, to_stderr=not dry_run)
        if dry_run:
            return 0
        if not yes and not confirmed("Continue? This cannot be undone."):
            return 1
        waiting = _perform(merging, place)
    click.echo(f"Merged {gone} into {kept}.")
    if waiting:
        fields = ", ".join(f"{key}: {value}" for key, value in waiting.items())
        click.echo(
            f"The API cannot change these fields of an existing user: {fields}. See destinations "
            "kana flags --csv.",
            err=True,
        )
    return 0


def _show(merging: PlannedMerge, account: str, *, to_stderr: bool) -> None:
    """Print what the merge would do, and what of it cannot be undone."""
    found, gone, kept = merging.preview(), merging.gone, merging.kept
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
    packages = ", ".join(found.packages)
    what = "subscription" if len(found.packages) == 1 else "subscriptions"
    kept = f" Its {what} of {packages} cannot be moved." if packages else ""
    usage = f"{goes} has no usage to move."
    if any(both.goes.used for both in found.usage.values()):
        usage = f"The usage of {goes} is added to {survives}."
    return (
        f"{begun}{usage} {goes} stays as a left-over, whose id "
        f"begins with {found.left_over}; remove it in the dashboard.{kept}"
    )


def _perform(merging: PlannedMerge, place: StorePlace) -> Mapping[str, str]:
    """Merge the users; says where it goes on if this command stops waiting for the server."""
    try:
        return merging.perform(tell=lambda text: click.echo(text, err=True))
    except KeyboardInterrupt:
        handed = merging.handed_over
        if handed is not None:
            look = f"destinations deliveries show {handed.id}{place.options}"
            click.echo(f"The server continues it; see: {look}", err=True)
        raise
