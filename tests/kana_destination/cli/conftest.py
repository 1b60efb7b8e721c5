"""The commands of ``destinations kana`` with a sandbox, its settings and a store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from destinations.store import SqliteStore, broken_rules
from kana_destination.sandbox import Sandbox

SEED: dict[str, Any] = {
    "users": [
        {"id": "ann", "name": "Ann", "email": "ann@example.com", "billingId": "cus_ann"},
        {"id": "bob", "name": "Bob"},
    ],
    "features": [
        {"id": "calls", "name": "Calls", "type": "CONSUMABLE"},
        {"id": "seats", "name": "Seats", "type": "CONSUMABLE"},
        {"id": "sso", "name": "SSO", "type": "BINARY"},
    ],
}


@dataclass
class Cli:
    """The command line with the settings of one sandbox and one store."""

    sandbox: Sandbox
    settings: Path
    store: Path
    command: Callable[..., Any]
    write: Callable[[str, Any], Path]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, *arguments: str | Path) -> Any:
        """``destinations kana`` with both."""
        return self.local(*arguments, "--settings", self.settings)

    def local(self, *arguments: str | Path) -> Any:
        """``destinations kana`` with the store alone, which is made if there is none."""
        SqliteStore(self.store).close()
        return self.command("kana", *arguments, "--store", self.store)

    def run(self, *events: dict[str, Any]) -> Any:
        """``destinations run kana`` with a file of these events."""
        file = self.write(f"events{next(self._numbers)}.ndjson", list(events))
        both = ("--settings", self.settings, "--store", self.store)
        return self.command("run", "kana", "--events", file, *both, "--json")

    def outcomes(self, *events: dict[str, Any]) -> dict[str, int]:
        """The outcomes of such a run."""
        counts: dict[str, int] = self.run(*events).json["outcomes"]
        return {outcome: count for outcome, count in counts.items() if count}

    @property
    def usage(self) -> dict[str, dict[str, int]]:
        """What the sandbox has counted, by user and feature."""
        usage: dict[str, dict[str, int]] = self.sandbox.snapshot()["usage"]
        return usage

    @property
    def users(self) -> dict[str, dict[str, Any]]:
        """The sandbox's users by id."""
        return {user["id"]: user for user in self.sandbox.snapshot()["users"]}


@pytest.fixture
def open_cli(
    tmp_path: Path, command: Callable[..., Any], write: Callable[[str, Any], Path]
) -> Iterator[Callable[..., Cli]]:
    """Starts a sandbox with any seed or API; it stops with the test.

    In the store all rules must hold then.
    """
    started: list[Sandbox] = []

    def start(seed: dict[str, Any] | None = None, **options: Any) -> Cli:
        # A key that is known elsewhere would have to be asked about.
        own = {"apiKeys": [f"prv_test_of_partner_{len(started)}"]}
        sandbox = Sandbox({**own, **(SEED if seed is None else seed)}, **options).start()
        started.append(sandbox)
        values = {"apiKey": sandbox.api_key, "endpoint": sandbox.url}
        settings = write(f"settings{len(started)}.json", values)
        return Cli(sandbox, settings, tmp_path / "store.sqlite3", command, write)

    yield start
    for sandbox in started:
        sandbox.stop()
    path = tmp_path / "store.sqlite3"
    if path.exists():
        with SqliteStore(path, read_only=True) as store:
            assert broken_rules(store.database) == []


@pytest.fixture
def cli(open_cli: Callable[..., Cli]) -> Cli:
    """A sandbox with two users and three features."""
    return open_cli()


@pytest.fixture
def track() -> Callable[..., dict[str, Any]]:
    """Track events, each with a messageId of its own, that name no feature unless told to."""
    numbers = itertools.count()

    def make(event: str = "API Called", user: str = "ann", **properties: Any) -> dict[str, Any]:
        return {
            "type": "track",
            "event": event,
            "userId": user,
            "messageId": f"t{next(numbers)}",
            "properties": properties,
        }

    return make


@pytest.fixture
def identify() -> Callable[..., dict[str, Any]]:
    """Identify events, each with a messageId of its own."""
    numbers = itertools.count()

    def make(user: str, **traits: Any) -> dict[str, Any]:
        message_id = f"i{next(numbers)}"
        return {"type": "identify", "userId": user, "messageId": message_id, "traits": traits}

    return make
