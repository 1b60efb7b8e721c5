"""The process of the console: a child of a server, or by itself."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.console.child import ConsoleChild
from destinations.postgres import StoreAddress
from tests.forked import ForkedPopen
from tests.serving import store_spec

KEY = "0123456789abcdef-of-a-key"
_SECONDS = 60.0


class Process:
    """A command in a process of its own, with what it has written so far."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = ForkedPopen[bytes](
                [sys.executable, "-P", "-m", "destinations", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, "K": KEY},
            )

    def wait_for(self, pattern: str, number: int = 1) -> str:
        """Return what a pattern finds in the log, once it is there so many times."""
        give_up = time.monotonic() + _SECONDS
        while time.monotonic() < give_up:
            found = re.findall(pattern, self.log.read_text())
            if len(found) >= number:
                return str(found[number - 1])
            time.sleep(0.05)
        raise AssertionError(f"{pattern} is not in the log:\n{self.log.read_text()}")

    def stop(self) -> int:
        """End it, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


def _until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for path in found for one in path.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False


def _get(url: str, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def file(path: StoreAddress, tmp_path: Path) -> Path:
    """A configuration with a console."""
    found = tmp_path / "serve.yaml"
    found.write_text(
        f"store: {store_spec(path)}\n"
        "listen: {port: 0}\n"
        "log: {form: json}\n"
        "console: {listen: '127.0.0.1:0'}\n"
        "api: {keys: [{env: K, role: operate}]}\n"
        "destinations:\n"
        "- {name: hook, destination: webhook, settings: {url: 'http://127.0.0.1:9/'}}\n"
    )
    if not isinstance(path, Path):
        text = found.read_text().replace("{postgres: {", "{postgres: {durability: single-node, ")
        found.write_text(text)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts commands, and ends them."""
    started: list[Process] = []

    def run(*arguments: str) -> Process:
        started.append(Process(tmp_path / f"log{len(started)}", *arguments))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(30)


_URL = r'"console started", "url": "([^"]*)"'


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_a_child_of_the_server(start: Callable[..., Process], file: Path) -> None:
    """It serves beside the server, begins again when it ends, reloads, and ends with the server."""
    server = start("serve", "--config", str(file))
    url = server.wait_for(_URL)
    assert _get(url, "/api/v1/status")[1]["served"] is True
    (child,) = _children(server.process.pid)
    assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, 0)
    link = file.parent / "console-login"
    assert link.stat().st_mode & 0o777 == 0o600
    assert link.read_text().startswith(f"{url}/login/")
    assert link.read_text().strip() not in server.log.read_text()  # others may read a journal
    os.kill(child, signal.SIGKILL)
    url = server.wait_for(_URL, 2)
    assert _get(url, "/api/v1/status")[0] == 200
    (child,) = _children(server.process.pid)
    file.write_text(file.read_text().replace("name: hook", "name: other"))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for('"console reloaded"')
    assert server.log.read_text().count('"configuration reloaded"') == 1
    _until(lambda: _get(url, "/api/v1/connections")[1]["items"][0]["destination"] == "other")
    assert _children(server.process.pid) == [child]
    assert server.stop() == 0
    assert not _runs(child)
    assert not link.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_it_ends_when_its_server_is_killed(start: Callable[..., Process], file: Path) -> None:
    """No console stays that nobody looks after, and that holds the port of the next one."""
    server = start("serve", "--config", str(file))
    server.wait_for(_URL)
    (child,) = _children(server.process.pid)
    server.process.kill()
    server.process.wait(30)
    _until(lambda: not _runs(child))


def test_by_itself(start: Callable[..., Process], file: Path) -> None:
    """It needs no server, and none of the secrets of one but the keys of its API."""
    file.write_text(file.read_text().replace("'http://127.0.0.1:9/'", "{env: MISSING}"))
    alone = start("console", "--config", str(file))
    url = alone.wait_for(_URL)
    assert _get(url, "/api/v1/status")[1]["served"] is False
    assert _get(url, "/api/v1/connections")[0] == 200
    assert alone.stop() == 0


def test_what_it_needs(command: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    """A configuration with a console; and a file, as it reads that again."""
    done = command("console")
    assert (done.code, "Missing option '--config'" in done.err) == (2, True)
    file.write_text(file.read_text().replace("console: {listen: '127.0.0.1:0'}\n", ""))
    file.write_text(file.read_text().replace("api: {keys: [{env: K, role: operate}]}\n", ""))
    done = command("console", "--config", str(file))
    assert (done.code, "has no console: add `console:" in done.err) == (2, True)
    assert tmp_path.exists()


@pytest.mark.parametrize("library", ["argon2", "jinja2", "starlette"])
def test_a_server_without_the_libraries(
    command: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """It says at its start, and at a check, which command installs them."""
    monkeypatch.setenv("K", KEY)
    monkeypatch.setitem(sys.modules, library, None)
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == library else find(name, package)

    monkeypatch.setattr("importlib.util.find_spec", without)
    for arguments in (("--check",), ()):
        done = command("serve", "--config", str(file), *arguments)
        assert done.code == 2
        assert f"the console needs the library {library}, which is not installed" in done.err
        assert "pip install" in done.err


def test_a_server_with_a_wrong_file_of_operators(
    command: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at its start, not once the console fails."""
    monkeypatch.setenv("K", KEY)
    text = file.read_text().replace("'127.0.0.1:0'}", "'127.0.0.1:0', users: {file: missing}}")
    file.write_text(text)
    for arguments in (("--check",), ()):
        done = command("serve", "--config", str(file), *arguments)
        assert done.code == 2
        assert (
            "missing: does not exist, so nobody may sign in to the console yet: add the first user "
            f"with destinations console user add NAME --role operate --file {file.parent}/missing"
        ) in done.err


def test_a_server_without_operators(
    command: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has none is warned of, with the command that adds one."""
    monkeypatch.setenv("K", KEY)
    users = file.parent / "users.yaml"
    users.write_text("users: []")
    users.chmod(0o600)
    text = file.read_text().replace("'127.0.0.1:0'}", "'127.0.0.1:0', users: {file: users.yaml}}")
    file.write_text(text)
    done = command("serve", "--config", str(file), "--check")
    assert done.code == 0
    assert "warning: " in done.err
    assert "nobody may sign in to the console yet: add the first user with destinations" in done.err


class _Clock:
    """Notes for how long it was asked to wait, and lets that time pass at once."""

    def __init__(self, waits: int) -> None:
        self.now = 0.0
        self.waited: list[float] = []
        self._left = waits

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float, stop: Any) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        self._left -= 1
        if not self._left:
            stop.wait(_SECONDS)  # until the test ends it
        return bool(stop.is_set())


@pytest.mark.parametrize(
    "command", [[sys.executable, "-c", "raise SystemExit(3)"], ["/no/such/program"]]
)
def test_growing_pauses(command: list[str]) -> None:
    """One that cannot run takes little of the machine, and is tried again for ever."""
    clock = _Clock(waits=8)
    child = ConsoleChild(command, clock)
    child.start()
    _until(lambda: len(clock.waited) == 8)
    child.stop()
    assert clock.waited == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert child.pid is None


def test_a_reload_ends_a_pause() -> None:
    """The new configuration may mend what was wrong: it is tried at once, with short pauses."""
    clock = _Clock(waits=4)
    child = ConsoleChild([sys.executable, "-c", "raise SystemExit(3)"], clock)
    child.start()
    _until(lambda: len(clock.waited) == 4)
    child.reload()
    _until(lambda: len(clock.waited) >= 6)
    child.stop()
    assert clock.waited[:6] == [1.0, 2.0, 4.0, 8.0, 1.0, 2.0]


def test_an_address_that_is_taken(start: Callable[..., Process], file: Path) -> None:
    """The server goes on, each line of its log is JSON, and another address is taken at once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = file.read_text()
        file.write_text(text.replace("'127.0.0.1:0'", f"'127.0.0.1:{port}'"))
        server = start("serve", "--config", str(file))
        server.wait_for('"console not started: console.listen: ')
        server.wait_for('"console ended"', 3)  # the next pause is 4 s
        file.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        url = server.wait_for(_URL)
    assert _get(url, "/api/v1/status")[0] == 200
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    said = {(one["level"], one["message"].partition(":")[0]) for one in lines}
    assert ("error", "console not started") in said


def test_stop_before_start() -> None:
    """A server that ends at once leaves none behind."""
    child = ConsoleChild([sys.executable, "-c", "import time; time.sleep(60)"])
    child.stop()
    child.start()
    child.stop()
    assert child.pid is None
