"""``destinations kana merge``."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from destinations import Answer, Call, ManualChange, UsageError
from destinations.cli.accounts import account_options
from destinations.cli.opening import settings_option, store_option
from kana_destination.cli.opening import open_account
from kana_destination.merge import LeftOver, left_overs_of, put_back
from kana_destination.merge import merge as merge_users
from kana_destination.users import FIELDS, LEFT_OVER, User, left_over_of

__all__ = ["merge", "merge_steps"]


@click.command(epilog="Example: destinations kana merge user@example.com 42 --settings kana.yaml")
@click.argument("gone", metavar="FROM")
@click.argument("kept", metavar="INTO")
@click.option(
    "--moved",
    multiple=True,
    metavar="FEATURE",
    help="The usage of this feature is with the merged user already, where Kana does not tell.",
)
@click.option(
    "--not-moved",
    multiple=True,
    metavar="FEATURE",
    help="The usage of this feature is not with the merged user, where Kana does not tell.",
)
@settings_option
@store_option
@account_options
def merge(
    gone: str, kept: str, moved: tuple[str, ...], not_moved: tuple[str, ...], **where: Any
) -> int:
    """Merge the user FROM into the user INTO: one user is left with the id INTO and both usages.

    The one that is connected to a billing provider survives, with its own name, email and billing
    id, and what it lacks of these from the other. The other is kept as a left-over for removal in
    the dashboard, since the API has no delete. Its subscriptions cannot be moved. The command may
    be repeated if it was cut off.
    """
    if gone == kept:
        raise click.UsageError("FROM and INTO are the same user")
    if both := sorted(set(moved) & set(not_moved)):
        raise click.UsageError(f"--moved and --not-moved both name {', '.join(both)}")
    decided = {**dict.fromkeys(moved, True), **dict.fromkeys(not_moved, False)}
    if left_over_of(gone) or left_over_of(kept):
        msg = f"a user whose id ends in {LEFT_OVER} is what a merge left; name the users themselves"
        raise click.UsageError(msg)
    with open_account(**where) as opened:
        waiting = opened.manual_changes.entries()
        pair, refused = opened.sender.perform(merge_steps(gone, kept, decided))
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
    """The two users of a merge, wherever it stands: the one that goes may be a left-over.

    ``earlier`` are all left-overs of the one that goes.
    """

    goes: User | LeftOver
    survives: User
    earlier: Sequence[LeftOver] = ()
    from_survives: bool = False


def merge_steps(
    gone: str, kept: str, decided: Mapping[str, bool]
) -> Generator[Call, Answer, tuple[_Pair, dict[str, str]]]:
    """The requests of the command; ends with the pair, and the changes that Kana does not take."""
    listed = yield Call("listUsers", {})
    users: Mapping[str, User] = {user["id"]: user for user in listed.data}
    pair = _find_pair(gone, kept, users)
    if pair is None:
        yield from _put_back(gone, kept, users)
        raise UsageError(f"Kana has no user {(kept if gone in users else gone)!r}")
    goes, survives = pair.goes, pair.survives
    inherits = goes.user if isinstance(goes, LeftOver) else goes
    changes = {key: inherits[key] for key in FIELDS if inherits[key] and not survives[key]}
    refused = yield from merge_users(
        goes, survives, final_id=kept, changes=changes, earlier=pair.earlier, decided=decided
    )
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


def _find_pair(gone: str, kept: str, users: Mapping[str, User]) -> _Pair | None:
    """The users of the merge; None if one is missing, and no merge of both was cut off."""
    source, target = users.get(gone), users.get(kept)
    of_gone, of_kept = (left_overs_of(one, users.values()) for one in (gone, kept))
    if source is not None and target is not None:
        if source["billingId"] and not target["billingId"]:
            return _Pair(target, source, of_kept, from_survives=True)
        return _Pair(source, target, of_gone)
    # Cut off, or done already: the one that goes has its left-over id.
    if target is not None and of_gone:
        found = [one for one in of_gone if one.belongs_to(kept)]
        if not found:
            raise UsageError(f"{gone!r} was merged into another user than {kept!r}")
        return _Pair(found[-1], target, of_gone)
    survivor = source or target
    found = [one for one in of_kept if one.belongs_to(gone)]
    if survivor is not None and found:
        return _Pair(found[-1], survivor, of_kept, from_survives=True)
    return None


def _put_back(gone: str, kept: str, users: Mapping[str, User]) -> Generator[Call, Answer, None]:
    """Gives INTO its id back, if it was to be merged into FROM and FROM is gone since."""
    for one in left_overs_of(kept, users.values()):
        is_lost = one.survivor == gone and not users.keys() & {gone, kept}
        if is_lost and one.is_untouched and not one.is_done:
            yield from put_back(one)
            raise UsageError(f"Kana has no user {gone!r} any more; {kept!r} has its id back")
