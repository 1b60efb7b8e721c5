from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kana_destination.sandbox import Sandbox

EVENT = {
    "type": "track",
    "event": "Used",
    "userId": "user_0001",
    "messageId": "m1",
    "properties": {"featureId": "api-calls", "delta": 5},
}


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_is_settled(
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
    tmp_path: Path,
    applied: bool,
):
    """Until somebody says what became of it, it is not sent again; then at most once, rightly."""
    store = tmp_path / "store.sqlite3"
    with Sandbox() as sandbox:
        before = sandbox.snapshot()["usage"]["user_0001"]["api-calls"]
        settings = write("s.json", {"apiKey": sandbox.api_key, "endpoint": sandbox.url})
        run = ("--settings", settings, "--store", store, "--json")
        sandbox.faults.add({"drop": "after" if applied else "before"})
        events = write("e.ndjson", [EVENT])
        assert command("run", "kana", "--events", events, *run).json["outcomes"]["unknown"] == 1
        again = command("run", "kana", "--events", events, *run).json
        assert (again["outcomes"]["unknown"], again["requests"]) == (1, 0)
        (one,) = command("kana", "unknown", "list", "--store", store, "--json").json
        assert (one["user"], one["feature"], one["delta"]) == ("user_0001", "api-calls", 5)
        verdict = "--applied" if applied else "--not-applied"
        done = command("kana", "unknown", "settle", str(one["id"]), verdict, "--store", store)
        assert done.code == 0
        if applied:
            assert command("run", "kana", "--events", events, *run).json["requests"] == 0
        else:
            assert json.loads(done.out) == EVENT
            fed_back = write("again.ndjson", done.out.encode())
            assert command("run", "kana", "--events", fed_back, *run).json["requests"] == 1
        assert sandbox.snapshot()["usage"]["user_0001"]["api-calls"] == before + 5
    assert command("kana", "unknown", "list", "--store", store, "--json").json == []
    missing = command("kana", "unknown", "settle", str(one["id"]), verdict, "--store", store)
    assert missing.code == 2
    assert "waits to be settled" in missing.err
