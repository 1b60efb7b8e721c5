from __future__ import annotations

import io
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
        "from~left-over~2",
    ),
    "FROM has the billing id": (
        {"email": "f@example.com", "billingId": "cus_f"},
        {"name": "I", "email": "i@example.com"},
        {"name": "I", "email": "f@example.com", "billingId": "cus_f"},
        "into~left-over~2",
    ),
    "both have": (
        {"billingId": "cus_f"},
        {"billingId": "cus_i"},
        {"billingId": "cus_i"},
        "from~left-over~2",
    ),
    "none has": ({"name": "F"}, {}, {"name": "F"}, "from~left-over~2"),
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
        done = cli("merge", "--yes", "from", "into")
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
    whole("merge", "--yes", "from", "into")
    steps = _requests(whole)
    assert steps > 10
    for dies_at in range(steps):
        cli = open_cli(_seed(source, target))
        # A sandbox may have the port of one before, of which that store knows answers.
        cli.store = cli.store.with_name(f"store{dies_at}.sqlite3")
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
                cli("merge", "--yes", "from", "into")
        assert cli("merge", "--yes", "from", "into").code == 0
        _check(cli, fields, left_over)
        cli.sandbox.stop()


# What is called, after FROM was merged into INTO where that is said; then what is told.
REFUSED: dict[str, tuple[bool, tuple[str, str], str]] = {
    "the same user": (False, ("into", "into"), "FROM and INTO are the same user"),
    "no FROM": (False, ("nobody", "into"), "Kana has no user 'nobody'"),
    "no INTO": (False, ("from", "nobody"), "Kana has no user 'nobody'"),
    "neither": (False, ("no", "body"), "Kana has no user 'no'"),
    "merged into another": (True, ("from", "other"), "'from' was merged into another user"),
    "a left-over": (True, ("from~left-over", "other"), "expected the users themselves"),
    "into a left-over": (True, ("other", "from~left-over~12"), "expected the users themselves"),
}


@pytest.mark.parametrize(("merged", "arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    open_cli: Callable[..., Any], merged: bool, arguments: tuple[str, str], message: str
) -> None:
    """Exit code 2 with the reason, and nothing is changed."""
    cli = open_cli(_seed({}, {}))
    if merged:
        cli("merge", "--yes", "from", "into")
    users, usage = cli.users, cli.usage
    done = cli("merge", "--yes", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert (cli.users, cli.usage) == (users, usage)


CUT_OFF = {"survivor": "from", "usage": {"calls": 12, "seats": 2}}


def _cut_off(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A merge of FROM, which has a billing id, that was cut off in the middle."""
    seed = _seed({"billingId": "cus_f"}, {})
    left_over = {"id": "into~left-over", "metadata": {"kanaDestinationMerge": plan}}
    users = [left_over if user["id"] == "into" else user for user in seed["users"]]
    usage = [
        {**one, "userId": "into~left-over" if one["userId"] == "into" else "from"} for one in USAGE
    ]
    return {**seed, "users": users, "usage": usage}


# The plan of the left-over, what is said of it, and what the merged user has in the end.
DECIDED: dict[str, tuple[dict[str, Any], list[str], dict[str, int]]] = {
    "all of an earlier version was set": (
        CUT_OFF,
        ["--moved", "calls", "--moved", "seats"],
        {"calls": 5, "seats": 2, "gb": 1},
    ),
    "nothing of an earlier version was set": (
        CUT_OFF,
        ["--not-moved", "calls", "--not-moved", "seats"],
        {"calls": 12, "seats": 2, "gb": 1},
    ),
    "a feature was moved": (
        {"survivor": "from", "moved": {"calls": {"amount": 7, "before": 1, "periodStart": None}}},
        ["--moved", "calls"],
        {"calls": 5, "seats": 2, "gb": 1},
    ),
    "a feature was not moved": (
        {"survivor": "from", "moved": {"calls": {"amount": 7, "before": 1, "periodStart": None}}},
        ["--not-moved", "calls"],
        {"calls": 12, "seats": 2, "gb": 1},
    ),
}


@pytest.mark.parametrize(("plan", "options", "usage"), DECIDED.values(), ids=DECIDED)
def test_an_operator_decides_what_was_moved(
    open_cli: Callable[..., Any], plan: Any, options: list[str], usage: Mapping[str, int]
) -> None:
    """What cannot be told is refused with both numbers, and goes on as the operator says."""
    cli = open_cli(_cut_off(plan))
    users, held = cli.users, cli.usage
    done = cli("merge", "--yes", "from", "into")
    assert done.code == 2
    assert "destinations kana merge from into with --moved or --not-moved FEATURE" in done.err
    assert (cli.users, cli.usage) == (users, held)
    found = cli("flags", "--box", "left-over", "--json").json["left-over"]
    note = "its merge with from was cut off: destinations kana merge from into"
    assert [user["note"] for user in found["users"]] == [note]
    assert cli("merge", "--yes", "from", "into", *options).code == 0
    assert cli.usage["into"] == usage
    assert cli("merge", "--yes", "from", "into").code == 0
    assert cli.usage["into"] == usage


def test_a_feature_that_was_moved_and_not_moved(open_cli: Callable[..., Any]) -> None:
    """One of both."""
    done = open_cli(_seed({}, {}))(
        *("merge", "--yes", "from", "into", "--moved", "calls", "--moved", "gb"),
        *("--not-moved", "gb", "--not-moved", "calls"),
    )
    assert done.code == 2
    assert "calls, gb cannot be both moved and not moved" in done.err


def test_the_user_that_is_gone_in_the_middle(open_cli: Callable[..., Any]) -> None:
    """INTO has its id back, as nothing was moved; it would be missing otherwise."""
    seed = _cut_off({"survivor": "gone", "moved": {}})
    cli = open_cli(seed)
    done = cli("merge", "--yes", "gone", "into")
    assert done.code == 2
    assert "Kana has no user 'gone' any more; 'into' has its id back" in done.err
    assert cli.users["into"]["metadata"] is None
    assert "no user 'gone'" in cli("merge", "--yes", "gone", "into").err


def test_usage_that_stays_with_the_left_over(open_cli: Callable[..., Any]) -> None:
    """What Kana refuses to record is flagged with its reason."""
    features = [*FEATURES, {"id": "sso", "name": "SSO", "type": "BINARY"}]
    usage = [*USAGE, {"userId": "from", "featureId": "sso", "used": 3}]
    cli = open_cli({**_seed({}, {}), "features": features, "usage": usage})
    assert cli("merge", "--yes", "from", "into").code == 0
    assert cli.usage["into"] == BOTH
    (found,) = cli("flags", "--box", "left-over", "--json").json["left-over"]["users"]
    assert found["id"] == "from~left-over~3"
    assert found["note"] == ("its usage of sso: the user has no access to the feature 'sso'")


@pytest.mark.parametrize(
    ("packages", "flagged", "shown"),
    [
        ([], "", ""),
        (
            ["pro"],
            "its subscription of pro could not be moved",
            " Its subscription of pro cannot be moved.",
        ),
        (
            ["pro", "extra"],
            "its subscriptions of extra, pro could not be moved",
            " Its subscriptions of extra, pro cannot be moved.",
        ),
    ],
)
def test_subscriptions_stay_with_the_left_over(
    open_cli: Callable[..., Any], packages: list[str], flagged: str, shown: str
) -> None:
    """They are named before the merge and afterwards, of a user who has any; ended ones are not."""
    seed = _seed({}, {}) | {
        "packages": [
            {"id": "pro", "name": "Pro"},
            {"id": "extra", "name": "Extra", "isAddon": True},
            {"id": "old", "name": "Old", "isAddon": True},
        ],
        "subscriptions": [
            *({"userId": "from", "packageId": one} for one in packages),
            {"userId": "from", "packageId": "old", "status": "CANCELLED"},
        ],
    }
    cli = open_cli(seed)
    preview = cli("merge", "--dry-run", "from", "into").out
    assert " ".join(preview.split()).endswith(f"remove it in the dashboard.{shown}")
    assert cli("merge", "--yes", "from", "into").code == 0
    (found,) = cli("flags", "--box", "left-over", "--json").json["left-over"]["users"]
    assert found["note"] == flagged


def test_a_user_without_usage(open_cli: Callable[..., Any]) -> None:
    """Before the merge nothing is said of usage that is added, as there is none."""
    cli = open_cli({**_seed({}, {}), "usage": [{"userId": "into", "featureId": "gb", "used": 1}]})
    shown = " ".join(cli("merge", "--dry-run", "from", "into").out.split())
    assert "from has no usage to move. from stays as a left-over" in shown
    assert "is added" not in shown


def test_what_the_api_does_not_take(open_cli: Callable[..., Any]) -> None:
    """Fields of a merge that wait for an import are told, and are in flags --csv under INTO."""
    seed = _seed({"email": "f@example.com"}, {"name": "I", "billingId": "cus_i"})
    cli = open_cli(seed, api="documented")
    done = cli("merge", "--yes", "from", "into")
    assert done.code == 0
    assert "The API cannot change these fields" in done.err
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
        cli("merge", "--yes", "from", "into")
        found = cli("flags", "--box", "waiting", "--json").json["waiting"]["users"]
        assert {user["id"]: user["changes"] for user in found} == ({"into": waits} if waits else {})


def test_a_merge_that_moved_nothing_is_repeated(open_cli: Callable[..., Any]) -> None:
    """FROM has INTO's id by then, so that its own is gone: there is nothing more to do."""
    seed = {**_seed({"billingId": "cus_f"}, {}), "usage": []}
    cli = open_cli(seed)
    for _ in range(3):
        done = cli("merge", "--yes", "from", "into")
        assert (done.code, done.out, done.err) == (0, "Merged from into into.\n", "")
        assert sorted(cli.users) == ["into", "into~left-over", "other"]
        assert cli.users["into"]["billingId"] == "cus_f"


# What stands on standard input, and the options; then the exit code, and whether users are merged.
ASKED: dict[str, tuple[str, tuple[str, ...], int, bool]] = {
    "yes": ("y\n", (), 0, True),
    "no": ("n\n", (), 1, False),
    "nobody": ("", (), 2, False),
    "nobody, and nobody is asked": ("", ("--yes",), 0, True),
    "only shown": ("y\n", ("--dry-run",), 0, False),
    "only shown, whatever else is said": ("y\n", ("--dry-run", "--yes"), 0, False),
}


@pytest.mark.parametrize(("given", "options", "code", "merged"), ASKED.values(), ids=ASKED)
def test_it_asks_first(
    open_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    options: tuple[str, ...],
    code: int,
    merged: bool,
) -> None:
    """Nothing is changed unless somebody says yes, and nobody says it by being away."""
    cli = open_cli(_seed({"email": "f@example.com"}, {"name": "I", "billingId": "cus_i"}))
    before = cli.sandbox.snapshot()
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    done = cli("merge", "from", "into", *options)
    assert done.code == code
    assert (cli.sandbox.snapshot() != before) is merged
    assert ("from~left-over~2" in cli.users) is merged
    shown = done.out if "--dry-run" in options else done.err
    is_shown = "--yes" not in options or "--dry-run" in options
    assert ("The usage of from is added to into. from stays" in shown) is is_shown
    assert ("nothing changed. Use --yes" in done.err) is (code == 2)


# The seed, and the rows and the sentence that are shown of it.
SHOWN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "the user that stays takes what it lacks": (
        _seed({"name": "F", "email": "f@example.com"}, {"name": "I", "billingId": "cus_i"}),
        (
            "into    into            I     f@example.com  cus_i",
            "from    from~left-over  F     f@example.com",
            "calls          7        5        12",
            "seats          0        2         2",
            "gb             1        0         1",
            "The usage of from is added to into. from stays as a left-over, whose id begins with",
        ),
    ),
    "FROM stays, as it has a billing id": (
        _seed({"billingId": "cus_f"}, {"name": "I"}),
        (
            "from    into            I            cus_f",
            "into    into~left-over  I",
            "calls          5        7        12",
            "The usage of into is added to from. into stays as a left-over",
        ),
    ),
    "no usage": (
        {**_seed({}, {}), "usage": []},
        ("Usage in the current period: none",),
    ),
    "interrupted, with a feature that was moved": (
        _cut_off({"survivor": "from", "moved": {"calls": {"amount": 7, "before": 5, "ok": True}}}),
        (
            "gb             0                  1         1",
            "A merge of both was interrupted, and continues. The usage of into~left-over is added",
        ),
    ),
    "FROM is gone since": (
        _cut_off({"survivor": "gone", "moved": {}}),
        ("Kana has no user gone any more: nothing is merged, and into gets its id back.",),
    ),
}


@pytest.mark.parametrize(("seed", "lines"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown(open_cli: Callable[..., Any], seed: Any, lines: tuple[str, ...]) -> None:
    """Both users, as they are and afterwards, and the usage that is moved; nothing is changed."""
    cli = open_cli(seed)
    before = cli.sandbox.snapshot()
    gone = "gone" if "gone" in lines[0] else "from"
    done = cli("merge", gone, "into", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Merge {gone} into into in the account http://127.0.0.1")
    for line in lines:
        assert line in done.out
    assert ("calls" in done.out) is any(line.startswith("calls") for line in lines)
    assert cli.sandbox.snapshot() == before


def test_a_merge_that_is_over(open_cli: Callable[..., Any]) -> None:
    """It is told that nothing is left to do, without sums of what was moved already."""
    cli = open_cli(_seed({}, {}))
    cli("merge", "--yes", "from", "into")
    done = cli("merge", "from", "into", "--dry-run")
    assert "An earlier merge has moved the usage of from~left-over~2 to into" in done.out
    assert "together" not in done.out
