"""What the runner makes of events for Kana, beyond what it does for every destination."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from destinations.engine import Engine, plan
from destinations.http.transport import HttpTransport
from destinations.queue import Scope, SqliteQueue
from destinations.runtime.destination import Destination
from destinations.store import GroupWriter, ManualChanges, Store


class Served:
    """A queue and an engine for a destination, stepped by the test."""

    def __init__(self, destination: Destination, path: Path) -> None:
        self.destination = destination
        self.store = Store(path)
        self.writer = GroupWriter(self.store)
        scope = Scope("kana", "kana: account", "1", destination.account)
        self.queue = SqliteQueue(self.store, self.writer, scope, {})
        self.transport = HttpTransport(destination.definition.transport.timeouts)
        self.engine = Engine("kana", destination, self.queue, self.transport)

    def deliver(self, event: Mapping[str, Any]) -> None:
        """One event, which ends as delivered."""
        self.queue.accept([plan(self.destination, json.dumps(event).encode())]).result()
        assert self.engine.step(1.0) == 0.0
        assert self.store.all("SELECT DISTINCT state, outcome FROM deliveries") == [
            ("done", "delivered")
        ]

    def close(self) -> None:
        """Ends everything."""
        self.writer.close()
        self.transport.close()
        self.store.close()


def test_changes_to_make_by_hand_are_kept(make_kana: Callable[..., Any], tmp_path: Path) -> None:
    """Where the API takes no email of an existing user, the change waits in the store."""
    kana = make_kana({"users": [{"id": "u1", "billingId": "cus_1"}]}, api="documented")
    event = {"type": "identify", "userId": "u1", "traits": {"email": "u1@example.com"}}
    with closing(Served(kana.bind(), tmp_path / "s.sqlite3")) as served:
        served.deliver(event)
        account = served.destination.account
        assert ManualChanges(served.store, account).entries() == {"u1": {"email": "u1@example.com"}}


def test_an_identify_makes_amounts_forgotten(make_kana: Callable[..., Any], tmp_path: Path) -> None:
    """Merging users changes their usage, so what was known of it must be asked for again."""
    features = [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}]
    kana = make_kana({"features": features, "users": [{"id": "u1"}, {"id": "u2"}]})
    known = "SELECT user FROM amounts ORDER BY user"
    with closing(Served(kana.bind(), tmp_path / "s.sqlite3")) as served:
        for user in ("u1", "u2"):
            properties = {"featureId": "calls", "delta": 2}
            served.deliver(
                {"type": "track", "event": "Used", "userId": user, "properties": properties}
            )
        assert served.store.all(known) == [("u1",), ("u2",)]
        served.deliver({"type": "identify", "userId": "u1", "traits": {"name": "U"}})
        assert served.store.all(known) == [("u2",)]
