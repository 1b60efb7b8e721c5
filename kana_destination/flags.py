"""The boxes of flagged users: two that Kana has, and two for what an operator has to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from destinations import Answer, Call, OpenDestination
from kana_destination.merge_steps import LeftOver, left_over_from, subscribed_packages
from kana_destination.opened_kana import check_is_kana
from kana_destination.users import FIELDS, User, changes_to, folded, is_left_over

__all__ = ["BOXES", "Flagged", "find_flags", "flagged_users"]

BOXES: Final[Mapping[str, str]] = {
    "no-billing-id": "Users not connected to a billing provider",
    "same-email": "Users with the same email, which may need merging",
    "left-over": "Left-overs of merges, to be removed in the dashboard",
    "waiting": "Changes that the API cannot make: import the file that flags --csv writes",
}
"""What to look at, by the name of its box: the title that people see."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """A user and why it is flagged; ``changes`` are the fields to set by hand."""

    user: User
    note: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)


def flagged_users(kana: OpenDestination) -> dict[str, list[Flagged]]:
    """Return the users that Kana flags, left-overs of merges, and changes to make by hand.

    By box, see `BOXES`. Raises `IntegrationError` if Kana cannot be asked, `UsageError` if another
    destination is open.
    """
    check_is_kana(kana)

    def look() -> Generator[Call, Answer, tuple[list[User], dict[str, list[str]]]]:
        answer = yield Call("listUsers", {})
        users: list[User] = answer.data
        packages = {}
        for user in filter(is_left_over, users):
            packages[user["id"]] = yield from subscribed_packages(user["id"])
        return users, packages

    users, packages = kana.perform(look())
    return find_flags(users, kana.manual_changes.entries(), packages)


def find_flags(
    users: Sequence[User],
    waiting: Mapping[str, Mapping[str, str]],
    packages: Mapping[str, Sequence[str]],
) -> dict[str, list[Flagged]]:
    """Return the flagged users of each box, in the order in which Kana lists them.

    ``packages`` has, by the id of each left-over, those to which it is still subscribed.
    ``waiting`` has, by user id, the fields that the API could not change; those that the user has
    by now are left out. Users count as having the email that waits for them, as they are flagged
    for what an identify made of them, not for when it is imported.
    """
    active = [user for user in users if not is_left_over(user)]
    by_email: dict[str, list[User]] = defaultdict(list)
    for user in active:
        email = folded(waiting.get(user["id"], {}).get("email") or user["email"])
        if email:
            by_email[email].append(user)
    shared = [group for group in by_email.values() if len(group) > 1]
    existing = {user["id"]: user for user in users}
    return {
        "no-billing-id": [Flagged(user) for user in active if not user["billingId"]],
        "same-email": [
            Flagged(user, _shares(user, group[0], waiting.get(user["id"], {})))
            for group in shared
            for user in group
        ],
        "left-over": [
            Flagged(one.user, _left(one, existing, packages.get(one.user["id"], ())))
            for one in map(left_over_from, users)
            if one is not None
        ],
        "waiting": [
            _waiting(user_id, fields, existing.get(user_id))
            for user_id, fields in waiting.items()
            if user_id not in existing or changes_to(existing[user_id], fields)
        ],
    }


def _shares(user: User, first: User, waits: Mapping[str, str]) -> str:
    """Return which user of an email was created first, and whether the email still waits."""
    notes = [] if user is first else [f"{first['id']} has this email and was created first"]
    if "email" in changes_to(user, waits):
        notes.append(f"its email {waits['email']} waits for the import")
    return "; ".join(notes)


def _left(left_over: LeftOver, users: Mapping[str, User], packages: Sequence[str]) -> str:
    """Return what is left of a merge: that it was cut off, or what Kana could not move."""
    survivor = left_over.survivor
    if not left_over.is_done and left_over.owner not in users and survivor in users:
        return f"its merge with {survivor} was cut off: {left_over.command}"
    kept = [f"its usage of {key}: {why}" for key, why in left_over.refused.items()]
    if packages:
        what = "its subscription" if len(packages) == 1 else "its subscriptions"
        kept.insert(0, f"{what} of {', '.join(packages)} could not be moved")
    return "; ".join(kept)


def _waiting(user_id: str, fields: Mapping[str, str], user: User | None) -> Flagged:
    """Return the fields to set; for a user who is gone they are shown but not imported."""
    changes = fields if user is None else changes_to(user, fields)
    note = "set " + ", ".join(f"{key} to {value}" for key, value in changes.items())
    if user is not None:
        return Flagged(user, note, changes)
    gone = {"id": user_id, **dict.fromkeys(FIELDS)}
    return Flagged(gone, f"Kana has no such user any more; was to {note}")
