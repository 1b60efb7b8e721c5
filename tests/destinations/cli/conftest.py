"""A definition of one's own; and runs to a partner of one's own, with one store."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from destinations.store import SqliteStore, broken_rules
from kana_destination.sandbox import Sandbox
from tests.forked import run_forked

ROOT = Path(__file__).resolve().parents[3]

KEYS = ("prv_test_first", "prv_test_second")
SEED: Mapping[str, Any] = {
    "apiKeys": list(KEYS),
    "users": [{"id": "ann"}, {"id": "bob"}],
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
}


@pytest.fixture
def kana_folder(tmp_path: Path) -> Path:
    """A copy of Kana's definition that a test may break."""
    folder = tmp_path / "kana"
    shutil.copytree(ROOT / "definitions" / "kana", folder)
    return folder


@pytest.fixture
def only_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``destinations test`` replay cases alone: those of all faults of Kana take long."""
    monkeypatch.setattr("destinations.kit.testing.made_faults.fault_cases", lambda _subject: ())


@dataclass(frozen=True)
class Done:
    """How a process ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Runs:
    """``destinations run kana`` to a partner of one's own, again and again with one store."""

    partner: Sandbox
    store: Path
    command: Callable[..., Any]
    write: Callable[[str, Any], Path]
    monkeypatch: pytest.MonkeyPatch
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, *arguments: str | Path, **where: Any) -> Any:
        """Run in this process; see `arguments`."""
        return self.command(*self.arguments(*arguments, **where))

    def process(self, *arguments: str | Path, lines: bytes = b"", **where: Any) -> Done:
        """Run in a process of its own, with these lines on standard input; see `arguments`."""
        given = [str(one) for one in self.arguments(*arguments, **where)]
        done = run_forked(
            [sys.executable, "-P", "-m", "destinations", *given],
            input=lines,
            capture_output=True,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def arguments(
        self,
        *arguments: str | Path,
        events: Path | str | None = None,
        key: str = KEYS[0],
        where: str | None = None,
        keep: bool = True,
        **settings: str,
    ) -> Sequence[str | Path]:
        """Those of a run with a key of the partner, or at another URL, and further settings."""
        values = {"apiKey": key, "endpoint": where or self.partner.url, **settings}
        path = self.write(f"settings{next(self._numbers)}.json", values)
        given: list[str | Path] = ["run", "kana", "--settings", path, "--json"]
        given += [] if events is None else ["--events", events]
        given += ["--store", self.store] if keep else []
        return [*given, *arguments]

    def file(self, *events: Mapping[str, Any] | str) -> Path:
        """Write a file of these events."""
        lines = [one if isinstance(one, str) else json.dumps(one) for one in events]
        return self.write(f"events{next(self._numbers)}.ndjson", "\n".join(lines) + "\n")

    def type(self, text: str) -> None:
        """Let somebody type an answer."""
        self.monkeypatch.setattr("sys.stdin", _Terminal(text))

    @staticmethod
    def counts(done: Any) -> Mapping[str, int]:
        """The outcomes that a run printed and that occurred; together they are its rows."""
        report = done.json
        assert sum(report["outcomes"].values()) == report["rows"]
        return {name: count for name, count in report["outcomes"].items() if count}

    @property
    def usage(self) -> Mapping[str, int]:
        """What the partner has counted, by user."""
        usage = self.partner.snapshot()["usage"]
        return {user: features["calls"] for user, features in usage.items()}

    @property
    def statuses(self) -> list[str]:
        """What the store says of each delivery, in order."""
        listed = self.command("deliveries", "list", "--all", "--store", self.store, "--json").json
        found = [(one["id"], one["outcome"] or one["state"]) for one in listed["deliveries"]]
        return [status for _, status in sorted(found)]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def runs(
    tmp_path: Path,
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Runs]:
    """Runs to a partner with two keys, two users and a feature; the store holds what it must."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    store = tmp_path / "store.sqlite3"
    with Sandbox(SEED) as partner:
        yield Runs(partner, store, command, write, monkeypatch)
    if store.exists():
        with SqliteStore(store, read_only=True) as opened:
            assert broken_rules(opened.database) == []


@pytest.fixture
def use() -> Callable[..., dict[str, Any]]:
    """Track events that add to the usage of a user, each with a messageId of its own."""
    numbers = itertools.count(1)

    def make(user: str = "ann", by: int = 1, **more: Any) -> dict[str, Any]:
        return {
            "type": "track",
            "event": "Called",
            "userId": user,
            "messageId": f"m{next(numbers)}",
            "properties": {"featureId": "calls", "delta": by},
            **more,
        }

    return make
