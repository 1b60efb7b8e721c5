"""Seeds: what they make, and how their issues are reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError, UsageError
from kana_destination.sandbox import Sandbox
from kana_destination.sandbox.seed import apply_seed, load_seed
from kana_destination.sandbox.snapshot import take_snapshot
from kana_destination.sandbox.state import State

NOW = datetime(2022, 10, 20, 12, tzinfo=UTC)


def account(source: Any) -> dict[str, Any]:
    """The snapshot of an account made from a seed at ``NOW``."""
    state = State()
    apply_seed(load_seed(source).accounts[0], state, NOW)
    return take_snapshot(state, NOW.toordinal())


@pytest.mark.parametrize(
    ("seed", "issues"),
    [
        ([], [("", "must be object, got []")]),
        ({"people": []}, [("", "'people' was unexpected")]),
        ({"users": {}}, [("/users", "must be array")]),
        ({"users": [{}]}, [("/users/0", "'id' is a required property")]),
        ({"users": [{"id": 1}]}, [("/users/0/id", "must be string, got 1")]),
        ({"users": [{"id": ""}]}, [("/users/0/id", "non-empty")]),
        ({"users": [{"id": "a", "mail": "x"}]}, [("/users/0", "'mail' was unexpected")]),
        ({"users": [{"id": "a", "name": 5}]}, [("/users/0/name", "must be string or null")]),
        (
            {"users": [{"id": "a", "createdAt": "yesterday"}]},
            [("/users/0/createdAt", "ISO 8601")],
        ),
        (
            {"users": [{"id": "a"}, {"id": "b"}, {"id": "a"}]},
            [("/users/2/id", "'a' is the id of /users/0 already")],
        ),
        (
            {"features": [{"id": "f", "name": "F", "type": "METERED"}]},
            [("/features/0/type", "must be one of BINARY, CONSUMABLE")],
        ),
        (
            {"packages": [{"id": "p", "name": "P", "features": [{"id": "f", "limit": -1}]}]},
            [
                ("/packages/0/features/0/limit", "minimum"),
                ("/packages/0/features/0/id", "'f' is not an id in /features"),
            ],
        ),
        (
            {"subscriptions": [{"userId": "u", "packageId": "p"}]},
            [
                ("/subscriptions/0/userId", "'u' is not an id in /users"),
                ("/subscriptions/0/packageId", "'p' is not an id in /packages"),
            ],
        ),
        (
            {"usage": [{"userId": "u", "featureId": "f", "used": 2**31}]},
            [
                ("/usage/0/used", "maximum"),
                ("/usage/0/userId", "not an id in /users"),
                ("/usage/0/featureId", "not an id in /features"),
            ],
        ),
        ({"apiKeys": []}, [("/apiKeys", "[] should be non-empty")]),
        ({"apiKeys": ["pub_secretpart"]}, [("/apiKeys/0", "does not match ^prv_")]),
        ({"accounts": {}}, [("/accounts", "must be array, got {}")]),
        ({"accounts": "prv_a"}, [("/accounts", "must be array")]),
        ({"accounts": []}, [("/accounts", "[] should be non-empty")]),
        ({"accounts": ["prv_a"]}, [("/accounts/0", "must be object")]),
        ({"accounts": [{"users": []}]}, [("/accounts/0", "'apiKey' is a required property")]),
        ({"accounts": [{"apiKey": 5}]}, [("/accounts/0/apiKey", "must be string, got 5")]),
        (
            {"accounts": [{"apiKey": "pub_secretpart"}]},
            [("/accounts/0/apiKey", "does not match ^prv_")],
        ),
        (
            {"accounts": [{"apiKey": "prv_a", "people": []}]},
            [("/accounts/0", "'people' was unexpected")],
        ),
        (
            {"accounts": [{"apiKey": "prv_a", "apiKeys": ["prv_b"]}]},
            [("/accounts/0", "'apiKeys' was unexpected")],
        ),
        (
            {
                "accounts": [
                    {"apiKey": "prv_secretpart"},
                    {"apiKey": "prv_b"},
                    {"apiKey": "prv_secretpart"},
                ]
            },
            [("/accounts/2/apiKey", "is the key of /accounts/0 already")],
        ),
        (
            {"accounts": [{"apiKey": "prv_a"}], "users": [], "apiKeys": ["prv_b"]},
            [
                ("/users", "must not be beside /accounts: put it into an account"),
                ("/apiKeys", "must not be beside /accounts"),
            ],
        ),
        (
            {
                "accounts": [
                    {"apiKey": "prv_a", "users": [{"id": "u"}]},
                    {
                        "apiKey": "prv_b",
                        "users": [{"id": "v"}, {"id": "v"}],
                        "usage": [{"userId": "u", "featureId": "f", "used": 1}],
                    },
                ]
            },
            [
                ("/accounts/1/users/1/id", "'v' is the id of /accounts/1/users/0 already"),
                ("/accounts/1/usage/0/userId", "'u' is not an id in /accounts/1/users"),
                ("/accounts/1/usage/0/featureId", "'f' is not an id in /accounts/1/features"),
            ],
        ),
    ],
)
def test_issues_have_their_place(tmp_path: Path, seed: Any, issues: list[tuple[str, str]]) -> None:
    """Each issue is reported, all at once, with its path and without any key."""
    path = tmp_path / "seed.yaml"
    path.write_text(repr(seed))
    with pytest.raises(DefinitionError) as caught:
        load_seed(path)
    found = [(issue.path, issue.message) for issue in caught.value.issues]
    assert len(found) == len(issues)
    for place, message in issues:
        assert any(one == place and message in text for one, text in found), found
    assert all(issue.file == str(path) and issue.line == 1 for issue in caught.value.issues)
    assert "secretpart" not in str(caught.value)


RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"subscriptions": [{"userId": "ann", "packageId": "draft"}]}, "/subscriptions/0/packageId",
     "DRAFT"),
    ({"subscriptions": [{"userId": "ann", "packageId": "free"},
                        {"userId": "ann", "packageId": "paid"}]}, "/subscriptions/1",
     "'ann' holds 'free' already: one base package"),
    ({"subscriptions": [{"userId": "ann", "packageId": "boost"},
                        {"userId": "ann", "packageId": "boost"}]}, "/subscriptions/1",
     "holds 'boost' already"),
    ({"usage": [{"userId": "ann", "featureId": "calls", "used": 1},
                {"userId": "ann", "featureId": "calls", "used": 2}]}, "/usage/1",
     "is in /usage/0 already"),
    ({"usage": [{"userId": "ann", "featureId": "calls", "used": 1, "at": "2022-10-01T01:00Z"},
                {"userId": "ann", "featureId": "calls", "used": 2, "at": "2022-10-01T02:00Z"}]},
     "/usage/1", "is in /usage/0 already"),
    ({"packages": [{"id": "p", "name": "P", "features": [{"id": "sso"}, {"id": "sso"}]}],
      "subscriptions": []}, "/packages/0/features/1/id", "is in this package already"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place", "message"), RULES)
def test_rules_hold_for_seeds(
    seed: dict[str, Any], change: dict[str, Any], place: str, message: str
) -> None:
    """A seed cannot make what the API would refuse."""
    with pytest.raises(DefinitionError) as caught:
        load_seed({**seed, **change})
    (issue,) = caught.value.issues
    assert issue.path == place
    assert message in issue.message
    assert issue.line is None


def test_issues_of_a_file_come_with_lines_in_their_order(tmp_path: Path) -> None:
    """Issues of form and of rules are sorted by line."""
    path = tmp_path / "seed.yaml"
    path.write_text(
        "usage:\n  - {userId: a, featureId: f, used: 1}\nusers:\n  - id: a\n  - id: 7\n  - id: a\n"
    )
    with pytest.raises(DefinitionError) as caught:
        load_seed(path)
    assert str(caught.value).splitlines() == [
        f"{path}:2: /usage/0/featureId: 'f' is not an id in /features",
        f"{path}:5: /users/1/id: must be string, got 7",
        f"{path}:6: /users/2/id: 'a' is the id of /users/0 already",
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"users: [", 1, "not YAML"),
        (b"users:\n  - id: a\n  id: b\n", 3, "not YAML"),
        (b"users: []\nusers: []\n", 2, "the key 'users' occurs twice"),
        (b"users: []\n---\nusers: []\n", 2, "not YAML"),
        (b"users: !!python/name:os.system x\n", 1, "unsupported tag"),
        (b"users:\n  - &a\n    id: a\n    metadata: *b\n", 4, "aliases"),
        (b"\xff\xff", None, "not UTF-8"),
        (b"users: \x07", None, "not YAML"),
    ],
)
def test_text_that_is_no_yaml(tmp_path: Path, text: bytes, line: int | None, message: str) -> None:
    """One clear error with the line where it is known."""
    path = tmp_path / "seed.yaml"
    path.write_bytes(text)
    with pytest.raises(DefinitionError) as caught:
        load_seed(path)
    (issue,) = caught.value.issues
    assert (issue.file, issue.line) == (str(path), line)
    assert message in issue.message


def test_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read"):
        load_seed(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "users: []"])
def test_an_empty_seed_is_an_empty_account(tmp_path: Path, text: str) -> None:
    """All keys are optional."""
    path = tmp_path / "seed.yaml"
    path.write_text(text)
    assert account(path) == {
        "users": [],
        "features": [],
        "packages": [],
        "subscriptions": [],
        "usage": {},
    }


def test_users_are_in_order_of_creation() -> None:
    """By ``createdAt``; who has none was created at the start of the sandbox."""
    seed = {
        "users": [
            {"id": "now"},
            {"id": "late", "createdAt": "2022-05-01T02:00:00+02:00"},
            {"id": "early", "createdAt": datetime(2022, 4, 30, tzinfo=UTC)},
            {"id": "zone", "createdAt": datetime(2022, 5, 1, tzinfo=timezone(timedelta(hours=9)))},
        ]
    }
    assert [(user["id"], user["createdAt"]) for user in account(seed)["users"]] == [
        ("early", "2022-04-30T00:00:00.000Z"),
        ("zone", "2022-04-30T15:00:00.000Z"),
        ("late", "2022-05-01T00:00:00.000Z"),
        ("now", "2022-10-20T12:00:00.000Z"),
    ]


def test_usage_can_be_of_a_past_period(seed: dict[str, Any]) -> None:
    """``at`` puts it there; without it, it counts for the current period."""
    seed["usage"].append(
        {"userId": "ann", "featureId": "calls", "used": 90, "at": "2022-09-30T23:59:59Z"}
    )
    assert account(seed)["usage"]["ann"] == {"calls": 7}


def test_the_example_account_is_always_the_same() -> None:
    """It has what the documentation promises, and nothing random."""
    held = account(None)
    assert held == account(None)
    assert {one["id"]: one["type"] for one in held["features"]} == {
        "api-calls": "CONSUMABLE",
        "storage-gb": "CONSUMABLE",
        "seats": "CONSUMABLE",
        "sso": "BINARY",
        "exports": "CONSUMABLE",
    }
    assert {one["id"]: (one["isAddon"], one["status"]) for one in held["packages"]} == {
        "starter": (False, "PUBLISHED"),
        "pro": (False, "PUBLISHED"),
        "extra-storage": (True, "PUBLISHED"),
        "enterprise": (False, "DRAFT"),
    }
    ids = [user["id"] for user in held["users"]]
    assert [one for one in ids if one.startswith("user_")] == [
        f"user_{number:04d}" for number in range(1, 13)
    ]
    stripe = [user for user in held["users"] if user["id"] == user["email"]]
    assert [user["billingId"][:4] for user in stripe] == ["cus_"]
    for key in ("email", "billingId"):
        assert {user[key] is None for user in held["users"]} == {True, False}
    assert held["subscriptions"]
    assert held["usage"]


def test_a_mapping_is_not_changed(seed: dict[str, Any]) -> None:
    """A seed handed in as an object is the caller's."""
    before = repr(seed)
    with Sandbox(seed) as sandbox:
        assert len(sandbox.snapshot()["users"]) == 3
    assert repr(seed) == before
