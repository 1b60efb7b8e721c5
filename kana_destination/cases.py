"""Decide what an identify has to do: a pure function over the table in identify-cases.yaml."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from destinations.definition.document import read_document

__all__ = ["Case", "Then", "UserState", "cases", "decide", "stripe_matters", "user_state"]

UserState = Literal["missing", "no email", "same email", "another email"]
Then = Literal["create", "update", "merge", "rename"]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table; ``number`` is that of Kana's integration guide, where it has one."""

    user: UserState
    stripe: bool
    others: bool
    then: Then
    flagged: bool = False
    number: int | None = None


@cache
def cases() -> Mapping[tuple[UserState, bool, bool], Case]:
    """Return the whole table: each combination of user state, Stripe user and others.

    Raises `ValueError` if the file lacks one or has one twice.
    """
    path = importlib.resources.files(__package__) / "identify-cases.yaml"
    document = read_document(path.read_text(encoding="utf-8"), name=str(path))
    rows = [Case(**row) for row in document.data["cases"]]
    table = {(row.user, row.stripe, row.others): row for row in rows}
    expected = {
        (user, stripe, others)
        for user in get_args(UserState)
        for stripe in (False, True)
        for others in (False, True)
    }
    if len(rows) != len(table) or table.keys() != expected:
        msg = "identify-cases.yaml must have each of the sixteen combinations once"
        raise ValueError(msg)
    return table


def user_state(user: Mapping[str, Any] | None, email: str) -> UserState:
    """Return how the email of user 1 (None if there is no such user) compares with ``email``."""
    if user is None:
        return "missing"
    if not user.get("email"):
        return "no email"
    return "same email" if user["email"] == email else "another email"


def decide(user: UserState, *, stripe: bool, others: bool) -> Case:
    """Return the row of the table for the users at Kana."""
    return cases()[user, stripe, others]


def stripe_matters(user: UserState) -> bool:
    """Return whether the decision depends on more than user 1; if not, look up nothing more."""
    return len({case.then for case in cases().values() if case.user == user}) > 1
