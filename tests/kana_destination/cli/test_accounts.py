"""Whose key a command has: asked as by a run, and said by the same options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from destinations.store import SqliteStore

Make = Callable[..., dict[str, Any]]

KEYS = ("prv_test_first", "prv_test_second")
SEED = {
    "apiKeys": list(KEYS),
    "users": [{"id": "ann"}, {"id": "bob"}],
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
}
COMMANDS = (
    ("flags", "--json"),
    ("merge", "bob", "ann", "--yes"),
    ("rules", "add", "Calls", "--event", "API Called", "--feature", "calls"),
)


@pytest.fixture
def known(open_cli: Callable[..., Any], track: Make) -> Any:
    """A store that knows an account, and settings with another key of the same endpoint."""
    cli = open_cli(SEED)
    assert cli.outcomes(track(featureId="calls")) == {"delivered": 1}
    values = {"apiKey": KEYS[1], "endpoint": cli.sandbox.url}
    cli.settings = cli.write("second.json", values)
    return cli


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_new_key_where_nobody_can_be_asked(known: Any, words: tuple[str, ...]) -> None:
    """Nothing is done, and every option that the message names is one of the command's."""
    asked = known.sandbox.requests.count
    done = known(*words)
    assert (done.code, done.out) == (2, "")
    ways = re.findall(r"--[a-z-]+", done.err)
    assert ways == ["--same-account", "--new-account"]
    assert known.sandbox.requests.count == asked
    helped = known.command("kana", *words[: 2 if words[0] == "rules" else 1], "--help").out
    assert all(way in helped for way in ways)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "options", [("--same-account",), ("--new-account",), ("--account", "acme", "--new-account")]
)
def test_a_new_key(known: Any, words: tuple[str, ...], options: tuple[str, ...]) -> None:
    """It is of the account that is said, and known from then on."""
    assert known(*words, *options).code == 0
    assert known(*words).code == 0
    with SqliteStore(known.store, read_only=True) as store:
        names = [one.name for one in store.accounts().of_slug("kana")]
    new = "acme" if "acme" in options else None
    assert names == ([None] if options == ("--same-account",) else [None, new])


def test_rules_without_settings_are_of_no_account(cli: Any) -> None:
    """They are added for all of them."""
    rule = ("Calls", "--event", "API Called", "--feature", "calls")
    for options in (("--same-account",), ("--new-account",), ("--account", "acme")):
        done = cli.local("rules", "add", *rule, *options)
        assert done.code == 2
        assert "need --settings" in done.err
