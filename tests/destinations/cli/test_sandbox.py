from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from destinations.runtime.plugins import RunningSandbox, find_plugin
from kana_destination.plugin import KanaPlugin


class _Sandbox(RunningSandbox):
    """A sandbox that is interrupted, or ends by itself, as soon as it is looked at."""

    url = "http://127.0.0.1:9/graphql"

    def __init__(self, *, interrupted: bool) -> None:
        self.given: Mapping[str, str] = {"apiKey": "prv_test_x", "endpoint": self.url}
        self.closed = False
        if interrupted:
            signal.raise_signal(signal.SIGTERM)

    @property
    def settings(self) -> Mapping[str, str]:
        return self.given

    def is_running(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def _handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_a_signal_ends_it_well(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it listens, closes the sandbox, exits 0 and leaves signals as they were."""
    assert isinstance(find_plugin("kana"), KanaPlugin)
    started: list[_Sandbox] = []

    def start(_: object, **options: Any) -> _Sandbox:
        assert options == {"seed": None, "port": 4000, "db": None, "api": "current"}
        started.append(_Sandbox(interrupted=True))
        return started[-1]

    monkeypatch.setattr(KanaPlugin, "start_sandbox", start)
    before = _handlers()
    done = command("sandbox", "kana", "--port", "4000")
    assert done.code == 0
    assert json.loads(done.out) == {"apiKey": "prv_test_x", "endpoint": _Sandbox.url}
    assert [sandbox.closed for sandbox in started] == [True]
    assert _handlers() == before


def test_what_it_prints_is_what_run_takes(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, write: Any, tmp_path: Path
) -> None:
    """The line in a file are the settings of a run against the sandbox."""
    plugin = find_plugin("kana")
    assert isinstance(plugin, KanaPlugin)
    with closing(plugin.start_sandbox(seed=None, port=0, db=None, api="current")) as sandbox:
        shown = _Sandbox(interrupted=False)
        shown.given = dict(sandbox.settings)

        def start(_: object, **__: Any) -> _Sandbox:
            signal.raise_signal(signal.SIGTERM)
            return shown

        with monkeypatch.context() as patched:
            patched.setattr(KanaPlugin, "start_sandbox", start)
            line = command("sandbox", "kana").out
        settings = tmp_path / "settings.json"
        settings.write_text(line, "utf-8")
        event = {
            "type": "track",
            "event": "E",
            "userId": "user_0001",
            "messageId": "m",
            "properties": {"featureId": "api-calls"},
        }
        done = command(
            "run", "kana", "--events", write("events.ndjson", event), "--settings", settings
        )
    assert done.code in {0, 1}, done.err
    assert "1 line read" in done.out


def test_a_sandbox_that_ends_by_itself(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for one that is not there any more: the error says so."""
    monkeypatch.setattr(KanaPlugin, "start_sandbox", lambda _, **__: _Sandbox(interrupted=False))
    monkeypatch.setattr(threading.Event, "wait", lambda self, _: self.is_set())
    before = _handlers()
    done = command("sandbox", "kana")
    assert (done.code, done.err) == (2, "Error: the sandbox ended by itself\n")
    assert _handlers() == before


def test_a_sandbox_that_cannot_start(command: Callable[..., Any], tmp_path: Path) -> None:
    """A wrong seed is told with its place, and signals are as they were."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("users: [{id: 5}]\n", encoding="utf-8")
    before = _handlers()
    done = command("sandbox", "kana", "--seed", seed)
    assert done.code == 2
    assert "seed.yaml" in done.err
    assert "Traceback" not in done.err
    assert _handlers() == before
