"""``destinations serve`` as a process of its own, delivering to the sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.plugins import RunningSandbox, find_plugin

Write = Callable[[str, Any], Path]


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A stand-in for Kana."""
    plugin = find_plugin("kana")
    assert plugin is not None
    started = plugin.start_sandbox(seed=None)
    yield started
    started.close()


@pytest.fixture
def document(sandbox: RunningSandbox) -> dict[str, Any]:
    """A configuration that delivers to the sandbox."""
    settings = {"apiKey": "${KANA_KEY}", "endpoint": sandbox.settings["endpoint"]}
    return {
        "store": {"path": "s.sqlite3"},
        "listen": {"port": 0},
        "destinations": [
            {
                "name": "kana",
                "destination": "kana",
                "settings": settings,
                "receiver": {"keys": ["${RECEIVER_KEY}"]},
                "delivery": {"allowPrivate": True},
            }
        ],
    }


class Serving:
    """The process, and what it wrote."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        command = [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env
        )
        self.lines: list[str] = []

    def until(self, words: str) -> str:
        """The first line with these words."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"no {words!r} in {self.lines}")

    def end(self) -> int:
        """The exit code of a process that was told to end."""
        assert self.process.stderr is not None
        self.lines += self.process.stderr.readlines()
        return self.process.wait(60)


@pytest.fixture
def serve(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts the command on a configuration."""
    monkeypatch.setenv("KANA_KEY", sandbox.settings["apiKey"])
    monkeypatch.setenv("RECEIVER_KEY", "a-receiver-key")
    started: list[Serving] = []

    def start(path: Path) -> Serving:
        started.append(Serving(path, dict(os.environ)))
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


def _post(url: str, number: int, name: str = "kana") -> int:
    user = {"type": "identify", "userId": f"u{number}", "messageId": f"m{number}"}
    event = {**user, "traits": {"name": "N"}}
    response = requests.post(
        f"{url}/v1/{name}", json=event, auth=("a-receiver-key", ""), timeout=30
    )
    return response.status_code


def _url(serving: Serving) -> str:
    found = re.search(r"http://[^/]+", serving.until("Receives events at"))
    assert found is not None
    return found.group()


def test_from_http_to_the_partner(
    serve: Any, document: dict[str, Any], write: Write, sandbox: Any, command: Any
) -> None:
    """Events are delivered, a reload keeps going, a stop drains, and no key is shown."""
    path = write("serve.yaml", document)
    serving = serve(path)
    url = _url(serving)
    assert [_post(url, number) for number in range(3)] == [200] * 3
    document["destinations"][0]["name"] = "renamed"
    document["destinations"].append({**document["destinations"][0], "name": "kana"})
    write("serve.yaml", document)
    serving.process.send_signal(signal.SIGHUP)
    assert "the same account" in serving.until("was not reloaded")
    assert _post(url, 3) == 200
    document["destinations"].pop()
    document["destinations"][0]["name"] = "kana"
    write("serve.yaml", document)
    serving.process.send_signal(signal.SIGHUP)
    serving.until("Reloaded")
    assert _post(url, 4) == 200
    second = command("serve", "--config", path)
    assert second.code == 2
    assert "another process delivers from the store" in second.err
    metrics = requests.get(f"{url}/metrics", timeout=30).text
    assert 'destinations_events_accepted_total{destination="kana"} 5.0' in metrics
    serving.process.terminate()
    assert serving.end() == 0
    shown = "".join(serving.lines)
    assert "Stopped; " in shown
    stored = b"".join(file.read_bytes() for file in path.parent.glob("s.sqlite3*"))
    for secret in ("a-receiver-key", sandbox.settings["apiKey"]):
        assert secret not in shown
        assert secret not in metrics
        assert secret.encode() not in stored
    again = serve(path)
    _url(again)
    again.process.send_signal(signal.SIGINT)
    assert again.end() == 0
    users = {user["id"] for user in sandbox.snapshot()["users"]}
    listed = command("status", "--store", path.parent / "s.sqlite3", "--json")
    assert listed.code == 0
    assert users | {"waiting"} >= {f"u{number}" for number in range(5)}, json.dumps(listed.json)


def test_check(
    document: dict[str, Any], write: Write, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--check`` says whether a configuration can be used, and starts nothing."""
    path = write("serve.yaml", document)
    monkeypatch.setenv("RECEIVER_KEY", "a-receiver-key")
    done = command("serve", "--config", path, "--check")
    assert (done.code, "KANA_KEY is not set" in done.err) == (2, True)
    monkeypatch.setenv("KANA_KEY", "prv_test_x")
    done = command("serve", "--config", path, "--check")
    assert (done.code, done.out) == (0, f"{path} can be used: kana.\n")
    assert not (path.parent / "s.sqlite3").exists()
