"""Secrets of the configuration that stand in an event: no command shows them, nor the console."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.console.stores import Stores
from destinations.console.verbs import Verbs
from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress
from destinations.server import read_config
from tests.serving import store_spec

Put = Callable[..., int]
Run = Callable[..., Any]

SECRETS = {
    "PARTNER_KEY": "sk_live_of_the_partner_1",
    "SENDER_KEY": "of-the-sender-0123456789",
    "SOURCE_KEY": "of-the-source-0123456789",
    "API_KEY": "of-the-api-0123456789abc",
    "PAGER_KEY": "of-the-pager-0123456789a",
    "HOOK_TOKEN": "of-the-hook-0123456789ab",
}


@pytest.fixture
def folder(write_definition: Callable[..., Path]) -> Path:
    """The destination that the deliveries are of, with one action."""

    def change(documents: dict[str, dict[str, Any]]) -> None:
        del documents["sync"]
        documents["destination"]["presets"].pop()

    return write_definition(change)


@pytest.fixture
def config(path: StoreAddress, folder: Path, tmp_path: Path) -> Path:
    """A configuration with secrets in several places."""
    found = tmp_path / "serve.yaml"
    destination = {
        "name": "sample",
        "destination": str(folder),
        "settings": {
            "apiKey": {"env": "PARTNER_KEY"},
            "endpoint": "http://127.0.0.1/?token=${HOOK_TOKEN}",
        },
        "receiver": {"keys": ["${SENDER_KEY}"]},
    }
    found.write_text(
        f"store: {store_spec(path)}\n"
        "console: {listen: '127.0.0.1:0'}\n"
        "api: {keys: [{env: API_KEY, role: read}]}\n"
        "sources: [{name: web, keys: [{env: SOURCE_KEY}]}]\n"
        "alerts: [{when: {dead: {over: 1, in: 15m}}, to: {command: {run: ['true'], env:"
        " [PAGER_KEY]}}}]\n"
        f"destinations: [{json.dumps(destination)}]\n"
    )
    return found


@pytest.fixture
def event() -> dict[str, Any]:
    """An event that repeats all of them."""
    secrets = list(SECRETS.values())
    return {
        "type": "track",
        "event": "E",
        "messageId": f"m-{secrets[1]}",
        "userId": f"u-{secrets[0]}",
        "properties": {"by": 2, "thing": " ".join(secrets), secrets[2]: secrets},
    }


@pytest.fixture
def ids(put: Put, event: dict[str, Any]) -> tuple[int, int]:
    """A dead delivery of the event, and a held one."""
    of_event = {
        "user": event["userId"],
        "message_id": event["messageId"],
        "reason": f"refused {SECRETS['API_KEY']}",
        "payload": json.dumps(event["properties"]).encode(),
        "increment": Increment(f"{event['userId']} calls", 5),
        "attempts": 1,
    }
    dead = put(event, status=Outcome.DEAD, **of_event)
    held = put(event, status=State.HELD, evidence={"why": SECRETS["SOURCE_KEY"]}, **of_event)
    return dead, held


def _commands(dead: int, held: int, folder: Path) -> list[list[str]]:
    replay = ["replay", str(dead), "--dry-run", "--definition", str(folder)]
    return [
        ["show", str(dead)],
        ["show", str(held)],
        ["show", str(held), "--json"],
        ["show", str(dead), "--attempts", "--json"],
        ["list", "--all"],
        ["list", "--all", "--json"],
        replay,
        [*replay, "--json"],
        ["drop", str(dead), "--reason", "x", "--dry-run"],
        ["resolve", str(held), "--applied", "--dry-run"],
    ]


def _leaks(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


def test_deliveries(
    command: Run,
    config: Path,
    folder: Path,
    ids: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of the commands mask, with the secrets that are there."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    for arguments in _commands(*ids, folder):
        done = command("deliveries", *arguments, "--config", config)
        assert done.code == 0, (arguments, done.err)
        assert _leaks(done.out + done.err) == [], arguments
    shown = command("deliveries", "show", str(ids[0]), "--json", "--config", config).json
    assert shown["event"]["properties"]["thing"] == " ".join(["***"] * len(SECRETS))
    assert (shown["user"], shown["message_id"]) == ("u-***", "m-***")


def test_the_console_shows_the_same(
    command: Run, config: Path, ids: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place decides for both."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    read = read_config(config, SECRETS, to_show=True, for_console=True)
    stores = Stores(read.store.address)
    verbs = Verbs(stores, read)
    by_console = verbs.shown_json(verbs.delivery(ids[0]).raw)
    stores.close()
    shown = command("deliveries", "show", str(ids[0]), "--json", "--config", config).json
    assert shown["event"] == by_console
    assert _leaks(json.dumps(by_console)) == []


def test_secrets_that_are_not_there(
    command: Run, config: Path, ids: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command works without any, and masks those that it has."""
    monkeypatch.setenv("SOURCE_KEY", SECRETS["SOURCE_KEY"])
    done = command("deliveries", "show", str(ids[0]), "--config", config)
    assert done.code == 0
    assert _leaks(done.out) == [name for name in SECRETS if name != "SOURCE_KEY"]


def test_explain_and_plan(
    command: Run,
    config: Path,
    event: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is sent is not shown with a secret of any other place either."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event))
    other = tmp_path / "other.yaml"
    other.write_text(config.read_text().replace("127.0.0.1/", "127.0.0.1:1/"))
    for arguments in (
        ["explain", file, "--config", config],
        ["explain", file, "--config", config, "--json"],
        ["plan", "--config", other, "--against", config, "--events", file],
        ["plan", "--config", other, "--against", config, "--events", file, "--json"],
    ):
        done = command(*arguments)
        assert done.code in {0, 1}, done.err
        assert "endpoint" in done.out or "track" in done.out
        assert _leaks(done.out + done.err) == [], arguments
