from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest

from destinations import Answer
from kana_destination.user_list import UserList, _known, list_users


def _user(user_id: str, email: str | None = None) -> dict[str, Any]:
    return {"id": user_id, "name": None, "email": email, "billingId": None, "metadata": None}


def _asked(listed: Sequence[Any]) -> UserList:
    steps = list_users()
    assert next(steps).request == "listUsers"
    with pytest.raises(StopIteration) as stopped:
        steps.send(Answer("ok", listed))
    found: UserList = stopped.value.value
    return found


USERS = [
    _user("1", "A@example.com"),
    _user("2", " a@EXAMPLE.com "),
    _user("3", "b@example.com"),
    _user("4"),
    _user("5", ""),
    _user("1~left-over", "a@example.com"),
    _user("1~left-over~2", "a@example.com"),
    _user("10~left-over", "a@example.com"),
]


@pytest.mark.parametrize(
    ("email", "ids"),
    [("a@example.com", ["1", "2"]), ("B@example.com ", ["3"]), ("c@example.com", []), ("", [])],
)
def test_users_by_email(email: str, ids: list[str]) -> None:
    """Spelling makes no difference, and who was left over by a merge is nobody."""
    assert [user["id"] for user in UserList(USERS).with_email(email)] == ids


@pytest.mark.parametrize(("owner", "numbers"), [("1", [0, 2]), ("10", [0]), ("2", [])])
def test_left_overs_of_a_user(owner: str, numbers: list[int]) -> None:
    """They are found by the id that the user had, in their order."""
    assert [one.number for one in UserList(USERS[::-1]).left_overs_of(owner)] == numbers


def test_one_list_is_indexed_once() -> None:
    """Events that share an answer share its index, and it is forgotten with the last of them."""
    listed, same = list(USERS), list(USERS)
    first = _asked(listed)
    assert _asked(listed) is first
    assert _asked(same) is not first
    del first
    gc.collect()
    assert id(listed) not in _known
