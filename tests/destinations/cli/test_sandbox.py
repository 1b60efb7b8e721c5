from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from destinations import open_sandbox
from destinations.cli.opening import Overrides
from destinations.definition.document import Document
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


@pytest.fixture
def stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for some time is told that it is over."""
    wait = threading.Event.wait

    def over(event: threading.Event, timeout: float | None = None) -> bool:
        return wait(event) if timeout is None else True

    monkeypatch.setattr(threading.Event, "wait", over)


@pytest.mark.usefixtures("stopped_at_once")
def test_a_destination_without_a_plugin(command: Callable[..., Any]) -> None:
    """The settings lead to the sandbox that is made from its definition."""
    done = command("sandbox", "braze")
    assert (done.code, done.err) == (0, "")
    settings = json.loads(done.out)
    assert set(settings) == {"apiKey", "endpoint"}
    assert settings["endpoint"].startswith("http://127.0.0.1:")


def _change(folder: Path, old: str, new: str) -> None:
    file = folder / "destination.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.usefixtures("stopped_at_once")
def test_a_fixed_address(command: Callable[..., Any], write: Any, tmp_path: Path) -> None:
    """A warning says that settings do not lead to it; `run --sandbox` reaches it all the same."""
    command("init", "partner", "--path", tmp_path)
    folder = tmp_path / "partner"
    _change(folder, "baseUrl: {'@path': $.settings.endpoint}", "baseUrl: https://api.example.com")
    done = command("sandbox", folder)
    assert done.code == 0
    assert "no setting of Partner leads to http://127.0.0.1:" in done.err
    assert "use `run --sandbox`" in done.err
    event = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1"}
    ran = command("run", folder, "--events", write("events.ndjson", event), "--sandbox")
    assert ran.code == 0, ran.err
    assert "The sandbox of Partner" in ran.out


@pytest.mark.parametrize("option", ["--seed", "--db"])
def test_data_for_a_sandbox_without_any(command: Callable[..., Any], option: str) -> None:
    """Only the sandbox of a plugin has data."""
    done = command("sandbox", "slack", option, "file")
    message = "Error: the sandbox of Slack is made from its definition and has no data: it takes no"
    assert (done.code, done.err) == (2, f"{message} {option[2:]}\n")


def test_settings_that_a_file_may_choose() -> None:
    """Of the settings of a sandbox, those that are free only fill in what a file lacks."""
    over = Overrides({"apiKey": "own", "region": "us", "list": "l"}, free={"region", "list"})
    assert over.applied_to(Document("f", {"apiKey": "mine", "region": "eu"}, {})).data == {
        "apiKey": "own",
        "region": "eu",
        "list": "l",
    }
    assert dict(over.own) == {"apiKey": "own"}
    with open_sandbox("braze") as sandbox:
        assert "apiKey" not in sandbox.free_settings
        assert "endpoint" not in sandbox.free_settings
