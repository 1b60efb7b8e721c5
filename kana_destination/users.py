"""Users of Kana as this destination sees them: Stripe imports, left-overs of merges, fields."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final, NamedTuple

from destinations import Answer, Call, RetryableError, Selection

__all__ = [
    "FIELDS",
    "LEFT_OVER",
    "Steps",
    "User",
    "addresses",
    "changes_to",
    "check_user",
    "find_user",
    "folded",
    "is_left_over",
    "is_stripe_user",
    "left_over_id",
    "left_over_of",
    "update",
    "write",
]

User = Mapping[str, Any]
Steps = Generator[Call, Answer, dict[str, str]]

FIELDS: Final = ("name", "email", "billingId")

LEFT_OVER: Final = "~left-over"
"""The end of a left-over's id, before its number: a merge gave its usage to another user."""

_LEFT_OVER_ID: Final = re.compile(rf"(.*){LEFT_OVER}(?:~([0-9]+))?", re.DOTALL)

# Fields that the API's documentation lets be set only when a user is created.
_RESTRICTED: Final = frozenset({"email", "billingId"})


def left_over_id(user_id: str, number: int = 0) -> str:
    """Return the id that the user gets as a left-over."""
    return f"{user_id}{LEFT_OVER}~{number}" if number else user_id + LEFT_OVER


class LeftOverId(NamedTuple):
    """The parts of a left-over's id: the former id of the user, and the number."""

    owner: str
    number: int


def left_over_of(user_id: str) -> LeftOverId | None:
    """Parse an id that `left_over_id` made; None for any other id."""
    found = _LEFT_OVER_ID.fullmatch(user_id)
    return None if found is None else LeftOverId(found[1], int(found[2] or 0))


def is_left_over(user: User) -> bool:
    """Return whether a merge left this user over."""
    return left_over_of(user["id"]) is not None


def is_stripe_user(user: User, *, user_id: str) -> bool:
    """Return whether Kana made this user from a Stripe customer and it may become ``user_id``."""
    is_imported = user["id"] == user["email"] and user["billingId"]
    return bool(is_imported and user["id"] != user_id and not is_left_over(user))


def addresses(email: str) -> tuple[str, ...]:
    """Return the ids that a Stripe user with this email may have: as given, and as Stripe has it.

    People and programs write one address in different cases, or with spaces around it.
    """
    found = dict.fromkeys((email, email.strip().lower()))
    return tuple(address for address in found if address.strip())


def folded(email: str | None) -> str:
    """Return an email to compare with others: trimmed and case-folded; empty for None."""
    return (email or "").strip().casefold()


def changes_to(user: User, payload: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a payload that differ from those of the user."""
    return {key: payload[key] for key in FIELDS if key in payload and payload[key] != user[key]}


def find_user(user_id: str, only: Selection | None = None) -> Generator[Call, Answer, User | None]:
    """Look a user up by id; None if Kana has none. Raises what `check_user` raises."""
    answer = yield Call("findUser", {"id": user_id}, only)
    if answer.name != "ok":
        return None
    check_user(answer, user_id)
    found: User = answer.data
    return found


def check_user(answer: Answer, user_id: str) -> None:
    """Check that an answer is about the user ``user_id``; raises `RetryableError` otherwise.

    An answer without a value is one of a document that a later user has ended.
    """
    user = answer.data
    if user is not None and (not isinstance(user, dict) or user.get("id") != user_id):
        shown = user.get("id") if isinstance(user, dict) else user
        raise RetryableError(f"Kana answered about {shown!r}: expected the user {user_id!r}")


def update(
    user_id: str, changes: Mapping[str, str], *, new_id: str | None = None, merges: bool = False
) -> Steps:
    """Set fields of a user, and its id; returns the fields that the API cannot change.

    ``merges`` is true for a step of a merge. Kana's documentation and its example differ on whether
    ``updateUser`` changes email and billingId, so the API is asked, once for each endpoint. If it
    does not tell, they are sent, and left out if it refuses them. Raises what `write` raises.
    """
    refused: dict[str, str] = {}
    restricted = changes.keys() & _RESTRICTED
    if restricted:
        answer = yield Call("describeUpdateUser", {})
        if answer.name == "ok":
            taken = {field["name"] for field in answer.data["inputFields"]}
            refused = {key: changes[key] for key in FIELDS if key in restricted - taken}
    for _ in range(2):
        sent = {key: value for key, value in changes.items() if key not in refused}
        if not sent and new_id is None:
            break
        if (yield from write(user_id, sent, new_id=new_id, merges=merges)):
            break
        refused = {key: changes[key] for key in FIELDS if key in restricted}
    return refused


def write(
    user_id: str, fields: Mapping[str, Any], *, new_id: str | None = None, merges: bool = False
) -> Generator[Call, Answer, bool]:
    """Set fields of a user, and its id; returns False if the API refused a field.

    ``merges`` is true for a step of a merge: while its result is unknown, the merge may be half
    done. Raises `RetryableError` if the user is gone, if another user has the new id, or if the
    answer is about another user.
    """
    # The id in the input is the user's new one.
    changes = {"id": new_id or user_id, **fields}
    request = "adoptUser" if merges else "updateUser"
    answer = yield Call(request, {"id": user_id, "changes": changes})
    if answer.name == "missing":
        # The answer to a rename may have been lost, so that this was the second time.
        renamed = (yield from find_user(new_id)) if new_id is not None else None
        if renamed is None:
            raise RetryableError(f"the user {user_id!r} is gone since it was looked up")
    if answer.name == "exists":
        raise RetryableError(f"the id {new_id!r} was taken by another user in the meantime")
    if answer.name == "ok":
        check_user(answer, new_id or user_id)
    return answer.name != "field_refused"
