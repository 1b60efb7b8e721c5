"""`destinations forget` that is killed while it lets a partner be asked to delete the user.

Whether the same command ends it at once, or a server has sent the request in between: the partner
is asked once, after all that it got of the user, and nothing of the user is left here.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import DELETION
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore, broken_rules
from destinations.telemetry import observe
from tests.destinations.conftest import (
    contacts,
    load,
    served_contacts,
    with_deletion,
    with_steps,
    write_definition,
)

__all__ = ["contacts", "load", "served_contacts", "with_deletion", "with_steps", "write_definition"]

EVERY = 1 if "CHAOS_SEEDS" in os.environ else 40
"""Of the steps of the command, each so many-th is one that the process is killed at."""

STORE = "store.sqlite3"
USER = "customer-4711"
SECRETS = {"KEY": "sk_test_0123456789", "RECEIVER": "the-key-of-the-receiver"}


@pytest.fixture
def original(
    tmp_path: Path,
    write_definition: Any,
    with_deletion: Any,
    served_contacts: Any,
) -> Path:
    """A folder with the store of a server, in which something of the user waits."""

    def change(documents: Any) -> None:
        with_deletion(documents)
        served_contacts.connected(documents)

    definition = write_definition(change)
    folder = tmp_path / "original"
    folder.mkdir()
    shutil.copytree(definition, folder / "sample")
    for name, value in SECRETS.items():
        (folder / name).write_text(value)
        (folder / name).chmod(0o600)
    crm = {
        "name": "crm",
        "destination": "./sample",
        "settings": {"apiKey": {"file": "KEY"}},
        "receiver": {"keys": [{"file": "RECEIVER"}]},
    }
    document = {
        "destinations": [crm],
        "listen": {"host": "127.0.0.1", "port": 0},
        "store": {"path": STORE},
        "drainSeconds": 30,
    }
    (folder / "serve.yaml").write_text(yaml.safe_dump(document))
    _served(folder, lambda _entries: True)  # which notes the account
    with SqliteStore(folder / STORE) as store:
        (scope,) = store.ledger().totals(0.0)
        assert scope.destination == "crm"
    return folder


def _served(folder: Path, holds: Callable[[list[LedgerEntry]], bool], *posted: Any) -> None:
    """Let a server run in a folder until something holds of its deliveries."""
    import requests  # noqa: PLC0415 - only here

    observation = observe(stream=io.StringIO(), level="error")
    service = Service(read_config(folder / "serve.yaml", {}), observation)
    service.start()
    try:
        for event in posted:
            headers = {"Authorization": SECRETS["RECEIVER"]}
            answer = requests.post(service.urls["crm"], json=event, headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
        pause = threading.Event()
        for _ in range(1_500):
            if holds(_entries(folder)):
                return
            pause.wait(0.02)
        raise AssertionError([(one.key, one.status, one.reason) for one in _entries(folder)])
    finally:
        service.stop()
        observation.close()


def _entries(folder: Path) -> list[LedgerEntry]:
    with SqliteStore(folder / STORE, read_only=True) as store:
        assert broken_rules(store.database) == []
        return list(store.ledger().find(Selection()))


def _identify(message_id: str, user: str = USER) -> Mapping[str, Any]:
    traits = {"email": user, "name": "A"}
    return {"type": "identify", "userId": user, "messageId": message_id, "traits": traits}


def _are_over(entries: list[LedgerEntry]) -> bool:
    return all(isinstance(one.status, Outcome) for one in entries)


@pytest.fixture
def waiting(original: Path, served_contacts: Any) -> Path:
    """The same, with one event that was delivered, and one that waits as the partner is busy."""
    from destinations.http import HttpResponse  # noqa: PLC0415 - only here

    contacts = served_contacts.contacts
    _served(original, _are_over, _identify("m1"))
    busy = HttpResponse(429, {}, b"")
    contacts.hook = lambda _what, done: None if done else busy
    _served(original, lambda _entries: contacts.asked.count("find") > 1, _identify("m2"))
    contacts.hook = lambda _what, _done: None
    contacts.asked.clear()
    # An attempt that the server does not wait for is lost with it: then the event is held later, as
    # the attempt may have come further than the look-up.
    assert [one.status for one in _entries(original)] == [Outcome.DELIVERED, State.READY]
    return original


@pytest.mark.parametrize("between", ["nothing", "a server"])
def test_it_is_killed(
    tmp_path: Path,
    waiting: Path,
    served_contacts: Any,
    workers: Any,
    between: str,
) -> None:
    """The partner is asked exactly once, and last."""
    contacts = served_contacts.contacts
    folder, out = tmp_path / "place", tmp_path / "out"

    def run(**crash: Any) -> int:
        line = ["forget", USER, "--everywhere", "--yes", "--config", str(folder / "serve.yaml")]
        task = {"command": line, "out": str(out), "reconcileAfter": 0, "steps": str(folder)}
        return int(workers.run({**task, "crash": crash}))

    def killed(nth: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(waiting, folder)
        contacts.asked.clear()
        contacts.people[USER] = "c1"
        return run(point="step", nth=nth)

    seen: Counter[tuple[str, ...]] = Counter()
    for nth in workers.kill_at_steps(killed, EVERY):
        entries = _entries(folder)
        assert contacts.asked == []
        had_asked = any(one.action == DELETION for one in entries)
        if between == "a server":
            _served(folder, _are_over)
            entries = _entries(folder)
            was_sent = ["find", "change"] if _sends(entries) else []
            assert contacts.asked == [*was_sent, *(["delete"] if had_asked else [])], nth
        assert run() == 0, (nth, out.read_text())
        assert USER not in {one.user for one in _entries(folder)}
        _served(folder, _are_over)
        assert contacts.asked.count("delete") == 1, (nth, contacts.asked)
        assert contacts.asked[-1] == "delete", (nth, contacts.asked)
        deletions = [one for one in _entries(folder) if one.action == DELETION]
        assert [one.status for one in deletions] == [Outcome.DELIVERED]
        seen[tuple(contacts.asked)] += 1
    print(f"killed at up to step {nth}; the partner was asked: {dict(seen)}")
    assert len(seen) == (1 if between == "nothing" else 2)


def _sends(entries: list[LedgerEntry]) -> bool:
    """Return whether what waited of the user was sent, and not dropped."""
    return entries[1].status is Outcome.DELIVERED
