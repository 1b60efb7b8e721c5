"""What the runner makes of events for Kana, beyond what it does for every destination."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from destinations.engine import Engine, plan
from destinations.queue import Scope, SqliteQueue
from destinations.store import GroupWriter, ManualChanges, Store
from destinations.transport import HttpTransport


def test_changes_to_make_by_hand_are_kept(make_kana: Callable[..., Any], tmp_path: Path) -> None:
    """Where the API takes no email of an existing user, the change waits in the store."""
    kana = make_kana({"users": [{"id": "u1", "billingId": "cus_1"}]}, api="documented")
    destination = kana.bind()
    transport = HttpTransport(destination.definition.transport.timeouts)
    event = {"type": "identify", "userId": "u1", "traits": {"email": "u1@example.com"}}
    with closing(Store(tmp_path / "s.sqlite3")) as store, closing(transport):
        writer = GroupWriter(store)
        scope = Scope("kana", "kana: account", "1", destination.account)
        queue = SqliteQueue(store, writer, scope, {})
        queue.accept([plan(destination, json.dumps(event).encode())]).result()
        engine = Engine("kana", destination, queue, transport)
        assert engine.step(1.0) == 0.0
        writer.close()
        assert store.all("SELECT state, outcome FROM deliveries") == [("done", "delivered")]
        waiting = ManualChanges(store, destination.account).entries()
    assert waiting == {"u1": {"email": "u1@example.com"}}
