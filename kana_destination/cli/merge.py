"""``destinations kana merge``."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import click

from destinations import Answer, Call, UsageError
from destinations.cli.opening import settings_option, store_option
from kana_destination.cli.opening import open_account
from kana_destination.merge import merge as merge_users
from kana_destination.users import FIELDS, User, left_over_id

__all__ = ["merge"]


@click.command(epilog="Example: destinations kana merge user@example.com 42 --settings kana.yaml")
@click.argument("gone", metavar="FROM")
@click.argument("kept", metavar="INTO")
@settings_option
@store_option
def merge(gone: str, kept: str, settings: Path | None, store: Path | None) -> int:
    """Merge the user FROM into the user INTO: one user is left with the id INTO and both usages.

    The one that is connected to a billing provider survives; the other is kept as a left-over for
    removal in the dashboard, since the API has no delete. Its subscriptions cannot be moved. The
    command may be repeated if it was cut off.
    """
    if gone == kept:
        raise click.UsageError("FROM and INTO are the same user")
    with open_account(settings, store) as account:
        refused = account.courier().perform(_steps(gone, kept))
    click.echo(f"Merged {gone} into {kept}.")
    if refused:
        fields = ", ".join(f"{key}: {value}" for key, value in refused.items())
        click.echo(f"The API does not take these fields; import them by CSV: {fields}", err=True)
    return 0


def _steps(gone: str, kept: str) -> Generator[Call, Answer, dict[str, str]]:
    source, target = (yield from _find(gone)), (yield from _find(kept))
    if target is None:
        # Cut off between the renames: FROM is the survivor that has to become INTO.
        left_over = yield from _find(left_over_id(kept))
        if source is None or left_over is None:
            raise UsageError(f"Kana has no user {kept!r}")
        return (yield from merge_users(left_over, source, final_id=kept, changes={}))
    if source is None:
        source = yield from _find(left_over_id(gone))
        if source is None:
            raise UsageError(f"Kana has no user {gone!r}")
        return (yield from merge_users(source, target, final_id=kept, changes={}))
    if source["billingId"] and not target["billingId"]:
        changes = _missing(source, target)
        return (yield from merge_users(target, source, final_id=kept, changes=changes))
    return (yield from merge_users(source, target, final_id=kept, changes=_missing(target, source)))


def _find(user_id: str) -> Generator[Call, Answer, User | None]:
    answer = yield Call("findUser", {"id": user_id})
    found: Any = answer.data
    return found if answer.name == "ok" else None


def _missing(survivor: User, other: User) -> dict[str, str]:
    """The fields that the survivor lacks and the other one has."""
    return {key: other[key] for key in FIELDS if other[key] and not survivor[key]}
