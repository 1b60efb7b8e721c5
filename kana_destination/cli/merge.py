"""``destinations kana merge``."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from destinations import Answer, Call, ManualChange, UsageError
from destinations.cli.accounts import account_options
from destinations.cli.opening import settings_option, store_option
from kana_destination.cli.opening import open_account
from kana_destination.merge import belongs_to
from kana_destination.merge import merge as merge_users
from kana_destination.users import FIELDS, LEFT_OVER, User, is_left_over, left_over_id

__all__ = ["merge"]


@click.command(epilog="Example: destinations kana merge user@example.com 42 --settings kana.yaml")
@click.argument("gone", metavar="FROM")
@click.argument("kept", metavar="INTO")
@settings_option
@store_option
@account_options
def merge(gone: str, kept: str, **where: Any) -> int:
    """Merge the user FROM into the user INTO: one user is left with the id INTO and both usages.

    The one that is connected to a billing provider survives, with its own name, email and billing
    id, and what it lacks of these from the other. The other is kept as a left-over for removal in
    the dashboard, since the API has no delete. Its subscriptions cannot be moved. The command may
    be repeated if it was cut off.
    """
    if gone == kept:
        raise click.UsageError("FROM and INTO are the same user")
    if is_left_over({"id": gone}) or is_left_over({"id": kept}):
        msg = f"a user whose id ends in {LEFT_OVER} is what a merge left; name the users themselves"
        raise click.UsageError(msg)
    with open_account(**where) as opened:
        waiting = opened.manual_changes.entries()
        pair, refused = opened.sender.perform(_steps(gone, kept))
        left = {**_inherited(pair, waiting.get(gone, {}), waiting.get(kept, {})), **refused}
        opened.manual_changes.note(
            ManualChange(kept, left), ManualChange(gone, {}, frozenset(FIELDS))
        )
    click.echo(f"Merged {gone} into {kept}.")
    if left:
        fields = ", ".join(f"{key}: {value}" for key, value in left.items())
        click.echo(
            f"The API does not take these fields of an existing user: {fields}. "
            "They wait in destinations kana flags --csv.",
            err=True,
        )
    return 0


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two users of a merge, wherever it stands: the one that goes may be a left-over."""

    goes: User
    survives: User
    from_survives: bool = False


def _steps(gone: str, kept: str) -> Generator[Call, Answer, tuple[_Pair, dict[str, str]]]:
    pair = yield from _find_pair(gone, kept)
    goes, survives = pair.goes, pair.survives
    changes = {key: goes[key] for key in FIELDS if goes[key] and not survives[key]}
    refused = yield from merge_users(goes, survives, final_id=kept, changes=changes)
    return pair, refused


def _inherited(
    pair: _Pair, of_gone: Mapping[str, str], of_kept: Mapping[str, str]
) -> dict[str, str]:
    """Of the changes that waited for FROM, those that are to be made to the merged user."""
    return {
        key: value
        for key, value in of_gone.items()
        if key not in of_kept and (pair.from_survives or not pair.survives[key])
    }


def _find_pair(gone: str, kept: str) -> Generator[Call, Answer, _Pair]:
    source, target = (yield from _find(gone)), (yield from _find(kept))
    if source is not None and target is not None:
        if source["billingId"] and not target["billingId"]:
            return _Pair(goes=target, survives=source, from_survives=True)
        return _Pair(goes=source, survives=target)
    # Cut off, or done already: the one that goes has its left-over id.
    if source is None and target is not None:
        left_over = yield from _find(left_over_id(gone))
        if left_over is not None and belongs_to(left_over, kept):
            return _Pair(goes=left_over, survives=target)
        if left_over is not None:
            raise UsageError(f"{gone!r} was merged into another user than {kept!r}")
    survivor = source or target
    left_over = yield from _find(left_over_id(kept))
    if survivor is not None and left_over is not None and belongs_to(left_over, gone):
        return _Pair(goes=left_over, survives=survivor, from_survives=True)
    raise UsageError(f"Kana has no user {(gone if source is None else kept)!r}")


def _find(user_id: str) -> Generator[Call, Answer, User | None]:
    answer = yield Call("findUser", {"id": user_id})
    found: Any = answer.data
    return found if answer.name == "ok" else None
