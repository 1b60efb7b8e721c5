"""The list of all users, or those of it that matter, indexed once for all events that it answers.

A list is not kept for the batches that follow. Whether a Stripe user may be renamed depends on
no other user having its email, and an older list cannot show that: Kana's dashboard and its import
from Stripe may have added a user since. A user who is on the list can be looked up again by id; one
who is missing from it cannot, and a rename cannot be taken back.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Generator, Hashable, Iterable, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from destinations import Answer, Call, Selection
from kana_destination.merge_steps import LeftOver, left_overs_of
from kana_destination.users import LEFT_OVER, User, folded, is_left_over, left_over_of

__all__ = ["UserList", "list_users", "users_with"]


class UserList:
    """All users of an account at one moment, or those that were asked for."""

    def __init__(self, listed: Sequence[User]) -> None:
        self.listed: Final = listed
        self.by_id: Final = {user["id"]: user for user in listed}
        self._left_overs = [user for user in listed if is_left_over(user)]
        self._by_email: defaultdict[str, list[User]] = defaultdict(list)
        for user in listed:
            if user["email"]:
                self._by_email[folded(user["email"])].append(user)

    def with_email(self, email: str) -> Sequence[User]:
        """Return the users who have this email, in any spelling, but for left-overs."""
        found = self._by_email.get(folded(email), ())
        return [user for user in found if not is_left_over(user)]

    def left_overs_of(self, owner: str) -> list[LeftOver]:
        """Return the left-overs of the user ``owner``, ordered by number."""
        return left_overs_of(owner, self._left_overs)


# Events of a batch get one and the same list: it is indexed once, and forgotten with the last.
_known: Final[WeakValueDictionary[int, UserList]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def users_with(*ids: str, email: str | None = None, left_overs_of: Iterable[str] = ()) -> Selection:
    """Return a selection of users: with these ids, this email, or left over from these ids."""
    keys: set[Hashable] = {*ids}
    keys |= {("left over from", owner) for owner in left_overs_of}
    if email:
        keys.add(("email", folded(email)))
    return Selection(_keys_of, frozenset(keys))


def _keys_of(user: User) -> Sequence[Hashable]:
    """Return the keys by which `users_with` selects a user."""
    user_id, email = user["id"], user["email"]
    keys: list[Hashable] = [user_id]
    if email:
        keys.append(("email", folded(email)))
    if LEFT_OVER in user_id and (left_over := left_over_of(user_id)) is not None:
        keys.append(("left over from", left_over.owner))
    return keys


def list_users(only: Selection | None = None) -> Generator[Call, Answer, UserList]:
    """Ask for the users that ``only`` takes; None for all."""
    answer = yield Call("listUsers", {}, only)
    listed: Any = answer.data
    with _lock:
        known = _known.get(id(listed))
        if known is None or known.listed is not listed:
            known = _known[id(listed)] = UserList(listed)
        return known
