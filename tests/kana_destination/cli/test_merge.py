from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.http.transport import HttpTransport

FEATURES = [{"id": one, "name": one, "type": "CONSUMABLE"} for one in ("calls", "seats", "gb")]
USAGE = [
    {"userId": "from", "featureId": "calls", "used": 5},
    {"userId": "from", "featureId": "seats", "used": 2},
    {"userId": "into", "featureId": "calls", "used": 7},
    {"userId": "into", "featureId": "gb", "used": 1},
]
BOTH = {"calls": 12, "seats": 2, "gb": 1}


def _seed(source: Mapping[str, str], target: Mapping[str, str]) -> dict[str, Any]:
    users = [{"id": "from", **source}, {"id": "into", **target}, {"id": "other"}]
    return {"users": users, "features": FEATURES, "usage": USAGE}


# The fields of FROM and of INTO; those of the merged user; and who is left over.
PAIRS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str], str]] = {
    "INTO has the billing id": (
        {"name": "F", "email": "f@example.com"},
        {"name": "I", "billingId": "cus_i"},
        {"name": "I", "email": "f@example.com", "billingId": "cus_i"},
        "from~left-over",
    ),
    "FROM has the billing id": (
        {"email": "f@example.com", "billingId": "cus_f"},
        {"name": "I", "email": "i@example.com"},
        {"name": "I", "email": "f@example.com", "billingId": "cus_f"},
        "into~left-over",
    ),
    "both have": (
        {"billingId": "cus_f"},
        {"billingId": "cus_i"},
        {"billingId": "cus_i"},
        "from~left-over",
    ),
    "none has": ({"name": "F"}, {}, {"name": "F"}, "from~left-over"),
}


def _check(cli: Any, fields: Mapping[str, str], left_over: str) -> None:
    assert sorted(cli.users) == sorted(["into", "other", left_over])
    merged = cli.users["into"]
    assert {key: merged[key] for key in ("name", "email", "billingId") if merged[key]} == fields
    assert cli.usage["into"] == BOTH


@pytest.mark.parametrize(("source", "target", "fields", "left_over"), PAIRS.values(), ids=PAIRS)
def test_two_users_become_one(
    open_cli: Callable[..., Any], source: Any, target: Any, fields: Any, left_over: str
) -> None:
    """The id is that of INTO, the usage that of both, also when the command is repeated."""
    cli = open_cli(_seed(source, target))
    for _ in range(2):
        done = cli("merge", "from", "into")
        assert (done.code, done.out, done.err) == (0, "Merged from into into.\n", "")
        _check(cli, fields, left_over)
    found = cli("flags", "--box", "left-over", "--json").json["left-over"]
    assert [user["id"] for user in found["users"]] == [left_over]


class KilledError(BaseException):
    """The process ends here."""


def _requests(cli: Any) -> int:
    count: int = cli.sandbox.requests.count
    return count


@pytest.mark.parametrize(
    ("pair", "reached"),
    [
        ("INTO has the billing id", True),
        ("FROM has the billing id", True),
        ("FROM has the billing id", False),
    ],
)
def test_a_merge_that_is_cut_off_anywhere(
    open_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, pair: str, reached: bool
) -> None:
    """Killed at any request and called again, it ends as if nothing had happened."""
    source, target, fields, left_over = PAIRS[pair]
    send = HttpTransport.send
    whole = open_cli(_seed(source, target))
    whole("merge", "from", "into")
    steps = _requests(whole)
    assert steps > 10
    for dies_at in range(steps):
        cli = open_cli(_seed(source, target))
        left = iter(range(dies_at, -1, -1))

        def mortal(self: Any, request: Any, left: Any = left) -> Any:
            if next(left) > 0:
                return send(self, request)
            if reached:
                send(self, request)
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(HttpTransport, "send", mortal)
            with pytest.raises(KilledError):
                cli("merge", "from", "into")
        assert cli("merge", "from", "into").code == 0
        _check(cli, fields, left_over)
        cli.sandbox.stop()


# What is called, after FROM was merged into INTO where that is said; then what is told.
REFUSED: dict[str, tuple[bool, tuple[str, str], str]] = {
    "the same user": (False, ("into", "into"), "FROM and INTO are the same user"),
    "no FROM": (False, ("nobody", "into"), "Kana has no user 'nobody'"),
    "no INTO": (False, ("from", "nobody"), "Kana has no user 'nobody'"),
    "neither": (False, ("no", "body"), "Kana has no user 'no'"),
    "merged into another": (True, ("from", "other"), "'from' was merged into another user"),
    "a left-over": (True, ("from~left-over", "other"), "name the users themselves"),
    "into a left-over": (True, ("other", "from~left-over"), "name the users themselves"),
}


@pytest.mark.parametrize(("merged", "arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    open_cli: Callable[..., Any], merged: bool, arguments: tuple[str, str], message: str
) -> None:
    """Exit code 2 with the reason, and nothing is changed."""
    cli = open_cli(_seed({}, {}))
    if merged:
        cli("merge", "from", "into")
    users, usage = cli.users, cli.usage
    done = cli("merge", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert (cli.users, cli.usage) == (users, usage)


def test_what_the_api_does_not_take(open_cli: Callable[..., Any]) -> None:
    """Fields of a merge that wait for an import are told, and are in flags --csv under INTO."""
    seed = _seed({"email": "f@example.com"}, {"name": "I", "billingId": "cus_i"})
    cli = open_cli(seed, api="documented")
    done = cli("merge", "from", "into")
    assert done.code == 0
    assert "The API does not take these fields" in done.err
    assert "email: f@example.com" in done.err
    assert cli.usage["into"] == BOTH
    rows = cli("flags", "--box", "waiting", "--csv").out.splitlines()
    assert rows[1:] == ["into,cus_i,I,f@example.com"]


@pytest.mark.parametrize(
    ("source", "target", "waits"),
    [
        ({"billingId": "cus_f"}, {}, {"email": "new@example.com"}),
        ({}, {"billingId": "cus_i"}, {"email": "new@example.com"}),
        ({}, {"billingId": "cus_i", "email": "i@example.com"}, {}),
    ],
    ids=["FROM survives", "INTO lacks it", "INTO has its own"],
)
def test_what_waited_for_the_one_that_goes(
    open_cli: Callable[..., Any],
    identify: Callable[..., dict[str, Any]],
    source: Any,
    target: Any,
    waits: Any,
) -> None:
    """A change that waited for FROM waits for the merged user, unless INTO has its own value."""
    cli = open_cli(_seed(source, target), api="documented")
    cli.run(identify("from", email="new@example.com"))
    for _ in range(2):
        cli("merge", "from", "into")
        found = cli("flags", "--box", "waiting", "--json").json["waiting"]["users"]
        assert {user["id"]: user["changes"] for user in found} == ({"into": waits} if waits else {})
