from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

X = "x@example.com"
SEED = {
    "users": [
        {"id": "victim", "name": "V"},
        {"id": "victim~left-over"},
        {"id": "victim~left-over~3"},
    ],
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
}

# Ids of users left over from a merge.
RESERVED = [
    "victim~left-over",
    "victim~left-over~0",
    "victim~left-over~3",
    "victim~left-over~1234567",
    "~left-over",
    "victim~left-over~left-over",
]
# Ids that only look like one.
FREE = [
    "victim",
    "left-over",
    "victim-left-over",
    "victim~left-overs",
    "victim~left-over~",
    "victim~left-over~3a",
    "victim~left-over~-3",
    "~left-over~3~victim",
]


def _events(user: str) -> list[dict[str, Any]]:
    track = {"event": "Used", "properties": {"featureId": "calls", "delta": 5_000}}
    return [
        {"type": "identify", "userId": user, "messageId": "i", "traits": {"name": "N", "email": X}},
        {"type": "track", "userId": user, "messageId": "t", **track},
    ]


@pytest.mark.parametrize("user", RESERVED)
def test_a_reserved_id_is_refused(make_kana: Callable[..., Any], user: str) -> None:
    """Neither action takes it: nothing is asked, nobody is charged, and the reason says why."""
    kana = make_kana(SEED)
    users = kana.users
    kana.run(*_events(user))
    for line, field in ((1, "id"), (2, "userId")):
        assert kana.result(line).outcome == "invalid"
        assert kana.result(line).status == 400
        reason = kana.result(line).reason
        if user != user.strip():
            assert reason == "userId must not have white space around it"
            continue
        assert f'/{field} is reserved: ids that end in "~left-over"' in reason
        assert "the user they were merged into" in reason
    assert (kana.requested, kana.users, kana.usage) == ([], users, {})


@pytest.mark.parametrize("user", FREE)
def test_other_ids_are_taken(make_kana: Callable[..., Any], user: str) -> None:
    """Only the end of an id is looked at, and only for the two forms."""
    kana = make_kana(SEED)
    kana.run(*_events(user))
    assert [kana.result(line).outcome for line in (1, 2)] == ["delivered"] * 2
    assert kana.usage == {user: {"calls": 5_000}}
