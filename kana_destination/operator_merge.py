"""The operator action ``merge``: any two users become one.

Each attempt finds out which requests are still needed. So it resumes a merge that was cut off,
also one that an identify began.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from destinations import (
    Answer,
    Call,
    Done,
    Generated,
    IntegrationError,
    ManualChange,
    Payload,
)
from kana_destination.merge_steps import LeftOver, left_overs_of, merge_users, put_back
from kana_destination.user_list import users_with
from kana_destination.users import FIELDS, User

__all__ = ["Pair", "find_pair", "operator_merge"]


def operator_merge(payload: Payload) -> Generated:
    """Merge the user ``from`` into the user ``into``; see `destinations.Generator`.

    ``moved`` and ``notMoved`` name features: an operator knows whether their usage was moved, where
    Kana does not tell. Raises `IntegrationError` if Kana lacks one of the users, and what
    `kana_destination.merge_steps.merge_users` raises.
    """
    gone, kept = payload["from"], payload["into"]
    decided = {
        **dict.fromkeys(payload.get("moved", ()), True),
        **dict.fromkeys(payload.get("notMoved", ()), False),
    }
    pair = yield from find_pair(gone, kept)
    if isinstance(pair, LeftOver):
        yield from put_back(pair)
        raise _no_user(f"Kana has no user {gone!r} any more; {kept!r} has its id back")
    goes, survives = pair.goes, pair.survives
    refused = yield from merge_users(
        *(goes, survives),
        final_id=kept,
        changes=pair.changes,
        earlier=pair.earlier,
        decided=decided,
    )
    note = f"merged {gone} into {kept}"
    if refused:
        note += f"; the API cannot change {', '.join(refused)} of an existing user"
    # Changes that waited for FROM are due for the merged user, where it has no value of its own.
    inherited = {key for key in FIELDS if pair.from_survives or not survives[key]}
    left = ManualChange(kept, refused, absorbed=gone, inherited=frozenset(inherited))
    return Done(note, left)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two users of a merge; the one that goes may be a left-over already.

    ``earlier`` are all left-overs of the user that goes; ``from_survives`` says that FROM stays.
    """

    goes: User | LeftOver
    survives: User
    earlier: Sequence[LeftOver] = ()
    from_survives: bool = False

    @property
    def user_that_goes(self) -> User:
        """The user that goes, as it is now."""
        return self.goes.user if isinstance(self.goes, LeftOver) else self.goes

    @property
    def changes(self) -> dict[str, str]:
        """The fields that the user that stays lacks and takes from the other."""
        goes = self.user_that_goes
        return {key: goes[key] for key in FIELDS if goes[key] and not self.survives[key]}


def find_pair(gone: str, kept: str) -> Generator[Call, Answer, Pair | LeftOver]:
    """Look up the users of the merge of ``gone`` into ``kept``; only reads.

    Returns the left-over of ``kept`` if a merge into ``gone`` was cut off and that user is gone
    since: then all that can be done is to give ``kept`` its id back. Raises `IntegrationError` if
    Kana lacks one of the users otherwise.
    """
    listed = yield Call("listUsers", {}, users_with(gone, kept, left_overs_of=[gone, kept]))
    users: Mapping[str, User] = {user["id"]: user for user in listed.data}
    found = _pair_of(gone, kept, users) or _lost_left_over(gone, kept, users)
    if found is None:
        raise _no_user(f"Kana has no user {(kept if gone in users else gone)!r}")
    return found


def _pair_of(gone: str, kept: str, users: Mapping[str, User]) -> Pair | None:
    """Return the users of the merge; None if one is missing and no merge of both was cut off."""
    source, target = users.get(gone), users.get(kept)
    of_gone, of_kept = (left_overs_of(one, users.values()) for one in (gone, kept))
    if source is not None and target is not None:
        if source["billingId"] and not target["billingId"]:
            return Pair(target, source, of_kept, from_survives=True)
        return Pair(source, target, of_gone)
    # The merge was cut off, or is done: the user that goes has its left-over id.
    if target is not None and of_gone:
        found = [one for one in of_gone if one.belongs_to(kept)]
        if not found:
            raise _no_user(f"{gone!r} was merged into another user than {kept!r}")
        return Pair(found[-1], target, of_gone)
    survivor = source or target
    found = [one for one in of_kept if one.belongs_to(gone)]
    if survivor is not None and found:
        return Pair(found[-1], survivor, of_kept, from_survives=True)
    return None


def _lost_left_over(gone: str, kept: str, users: Mapping[str, User]) -> LeftOver | None:
    """Return the left-over of INTO if it was to be merged into FROM, and FROM is gone since."""
    for one in left_overs_of(kept, users.values()):
        is_lost = one.survivor == gone and not users.keys() & {gone, kept}
        if is_lost and one.is_untouched and not one.is_done:
            return one
    return None


def _no_user(message: str) -> IntegrationError:
    """Return the error for a user that Kana does not have."""
    return IntegrationError(message, "NOT_FOUND", 404)
