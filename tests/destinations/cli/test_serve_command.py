"""``destinations serve`` as a process of its own, delivering to the sandbox."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations._version import __version__
from destinations.cli import serve_command
from destinations.operations import lock_run, lock_server
from destinations.postgres import open_at
from destinations.runtime.plugins import RunningSandbox, find_plugin
from destinations.server import bind, read_config
from destinations.server.signals import Signals
from destinations.store import SqliteStore
from destinations.store.migrations import APPLICATION_ID
from destinations.telemetry import observe
from kana_destination.sandbox import Sandbox
from tests.forked import ForkedPopen
from tests.postgres_server import new_store_address

RECEIVER_KEY = "a-receiver-key-of-27-letters"
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

    def __init__(self, path: Path, env: dict[str, str], *options: str) -> None:
        command = [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(path)]
        command += options
        self.process = ForkedPopen[str](
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
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    started: list[Serving] = []

    def start(path: Path, *options: str, **environment: str) -> Serving:
        started.append(Serving(path, {**os.environ, **environment}, *options))
        return started[-1]

    yield start
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


def _post(url: str, number: int, name: str = "kana") -> int:
    user = {"type": "identify", "userId": f"u{number}", "messageId": f"m{number}"}
    event = {**user, "traits": {"name": "N"}}
    response = requests.post(f"{url}/v1/{name}", json=event, auth=(RECEIVER_KEY, ""), timeout=30)
    return response.status_code


def _until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; fails when it is not in time."""
    give_up, pause = time.monotonic() + 60, threading.Event()
    while not is_so():
        assert time.monotonic() < give_up, "it did not become so"
        pause.wait(0.01)


def _url(serving: Serving) -> str:
    found = re.search(r"http://[^/]+", serving.until("receiver started"))
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
    assert "the same account" in serving.until("not reloaded")
    assert _post(url, 3) == 200
    document["destinations"].pop()
    document["destinations"][0]["name"] = "kana"
    write("serve.yaml", document)
    serving.process.send_signal(signal.SIGHUP)
    serving.until("configuration reloaded")
    assert _post(url, 4) == 200
    second = command("serve", "--config", path)
    assert second.code == 75
    assert "another process delivers from the store" in second.err
    metrics = requests.get(f"{url}/metrics", timeout=30).text
    assert 'destinations_events_accepted_total{destination="kana"} 5.0' in metrics
    serving.process.terminate()
    assert serving.end() == 0
    shown = "".join(serving.lines)
    lines = [json.loads(line) for line in serving.lines]
    said = [re.split(";|: no event", line["message"])[0] for line in lines]
    assert [message for message in said if "deliver" not in message] == [
        "server starting",
        "new store made",
        "receiver started",
        "configuration reloaded",
        "secrets from the environment are those of the start",
        "server stopping",
        "server stopped",
    ]
    began = lines[0]
    # A reload cannot exchange them, so whoever tried it has to know.
    (told,) = [line for line in lines if line["message"].startswith("secrets from")]
    assert told["message"].endswith("; to change one, restart")
    assert told["variables"] == ["KANA_KEY", "RECEIVER_KEY"]
    assert (began["version"], began["role"]) == (__version__, "both")
    assert began["configuration"] == str(path)
    assert began["store"] == str(path.parent / "s.sqlite3")
    assert began["destinations"] == ["kana"]
    stored = b"".join(file.read_bytes() for file in path.parent.glob("s.sqlite3*"))
    for secret in (RECEIVER_KEY, sandbox.settings["apiKey"]):
        assert secret not in shown
        assert secret not in metrics
        assert secret.encode() not in stored
    again = serve(path)
    _url(again)
    sent = {f"u{number}" for number in range(5)}
    _until(lambda: {user["id"] for user in sandbox.snapshot()["users"]} >= sent)
    again.process.send_signal(signal.SIGINT)
    assert again.end() == 0
    listed = command("status", "--store", path.parent / "s.sqlite3", "--json")
    assert listed.code == 0


def test_a_server_that_only_delivers(
    serve: Any, document: dict[str, Any], write: Write, command: Any
) -> None:
    """It names no address for events, as it takes none; who looks for workers finds it."""
    address = new_store_address()
    document["store"] = {"postgres": {"dsn": str(address), "durability": "single-node"}}
    document["sources"] = [{"name": "web", "keys": ["${RECEIVER_KEY}"]}]
    document["destinations"][0]["from"] = ["web"]
    path = write("serve.yaml", document)
    serving = serve(path, "--role", "deliver")
    served = json.loads(serving.until("metrics and health served"))
    assert requests.get(f"{served['url']}/healthz", timeout=30).status_code == 200
    assert requests.post(f"{served['url']}/v1/kana", json={}, timeout=30).status_code == 404
    (worker,) = command("status", "--store", address, "--json").json["workers"]
    name = f"{socket.gethostname()}:{serving.process.pid}"
    assert worker == {
        "id": worker["id"], "name": name, "version": __version__, "state": "alive", "lanes": 128,
        "is_run": False,
    }  # fmt: skip
    shown = command("status", "--config", path).out.splitlines()
    assert shown[2] == "1 worker alive"
    assert shown[4].split() == [str(worker["id"]), name, "alive", "server", "128"]
    serving.process.terminate()
    assert serving.end() == 0
    lines = [json.loads(line) for line in serving.lines]
    assert lines[0]["role"] == "deliver"
    assert not [one for one in lines if "started" in one["message"]]
    assert command("status", "--store", address, "--json").json["workers"] == []


def _waiting(url: str) -> int:
    """How many deliveries wait."""
    text = requests.get(f"{url}/metrics", timeout=30).text
    found = re.search(
        r'^destinations_queue_deliveries\{destination="kana"\} (\S+)$', text, re.MULTILINE
    )
    assert found is not None
    return int(float(found.group(1)))


class Sender(threading.Thread):
    """Posts tracks of one user, each until it is accepted; every third one twice."""

    def __init__(self, url: str, user: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._user = user
        self.enough = threading.Event()
        self.posted = 0
        self.refused: set[int] = set()

    def run(self) -> None:
        """Until it is enough."""
        while not self.enough.is_set():
            properties = {"featureId": "calls", "delta": self.posted % 7 + 1}
            event = {
                "type": "track",
                "event": "Used",
                "userId": self._user,
                "messageId": f"{self._user}-{self.posted}",
                "properties": properties,
            }
            for _ in range(2 if self.posted % 3 == 0 else 1):
                while (status := self._post(event)) != 200:
                    self.refused.add(status)
            self.posted += 1

    def posts_more(self, events: int) -> Callable[[], bool]:
        """Whether it has posted so many more than now."""
        at_least = self.posted + events
        return lambda: self.posted >= at_least

    @property
    def total(self) -> int:
        """What it added."""
        return sum(number % 7 + 1 for number in range(self.posted))

    def _post(self, event: dict[str, Any]) -> int:
        auth = (RECEIVER_KEY, "")
        return requests.post(f"{self._url}/v1/kana", json=event, auth=auth, timeout=30).status_code


def test_a_secret_that_became_a_pipe(
    serve: Any, document: dict[str, Any], write: Write, sandbox: Any, tmp_path: Path
) -> None:
    """A reload says so, delivery goes on, and a stop still drains."""
    secret = tmp_path / "key"
    secret.write_text(sandbox.settings["apiKey"])
    document["destinations"][0]["settings"]["apiKey"] = {"file": "key"}
    serving = serve(write("serve.json", document))
    url = _url(serving)
    secret.unlink()
    os.mkfifo(secret)
    serving.process.send_signal(signal.SIGHUP)
    assert "it is a pipe; expected a regular file" in serving.until("not reloaded")
    assert _post(url, 1) == 200
    serving.process.terminate()
    assert serving.end() == 0


def test_a_stop_while_a_reload_reads(serve: Any, document: dict[str, Any], write: Write) -> None:
    """A configuration that does not end keeps nobody who has to drain."""
    path = write("serve.json", document)
    serving = serve(path)
    url = _url(serving)
    path.unlink()
    os.mkfifo(path)
    handle = os.open(path, os.O_RDWR)  # as both ends: it never ends
    try:
        os.write(handle, b"{")
        serving.process.send_signal(signal.SIGHUP)
        _until(lambda: not select.select([handle], [], [], 0)[0])  # it has been read
        assert _post(url, 1) == 200
        serving.process.terminate()
        assert serving.end() == 0
    finally:
        os.close(handle)
    assert any("asked to stop before it was read" in line for line in serving.lines)


class Unchanged:
    """A service that keeps what it has."""

    def __init__(self) -> None:
        self.shown = 0

    def watch_queues(self) -> None:
        self.shown += 1


def test_an_internal_error_of_a_reload(
    document: dict[str, Any], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former configuration stays; the log has the reason in the line, and it is counted."""

    def fail(*_: object) -> None:
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(serve_command, "read_config", fail)
    service, stream = Unchanged(), io.StringIO()
    with Signals() as signals, contextlib.closing(observe(stream=stream)) as observation:
        path = write("serve.yaml", document)
        assert not serve_command._reload(service, path, signals, observation)  # type: ignore[arg-type]
        metrics = observation.metrics().decode()
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["level"] == "error"
    assert line["message"] == (
        "configuration not reloaded, the former one stays: internal error, TypeError: "
        "unhashable type: 'list'"
    )
    assert "Traceback" in line["exception"]
    assert 'destinations_internal_errors_total{destination=""} 1.0' in metrics
    assert "destinations_last_reload_successful 0.0" in metrics
    assert service.shown == 1


@pytest.mark.parametrize("days", ["'30'", "[30]", "'1e999'"])
def test_a_wrong_type_is_told(
    command: Any, document: dict[str, Any], write: Write, days: str
) -> None:
    """``--check`` says what was expected, with exit code 2 and without a traceback."""
    path = write("serve.yaml", document)
    text = json.dumps(document).replace('"s.sqlite3"', f'"s.sqlite3", "keepDays": {days}')
    path.write_text(text.replace("'", '"'), "utf-8")
    result = command("serve", "--config", path, "--check")
    assert result.code == 2
    assert "/store/keepDays: must be a number or a mapping, not " in result.err


def test_what_a_supervisor_is_told(
    serve: Any, document: dict[str, Any], write: Write, tmp_path: Path
) -> None:
    """When events are received, each reload with its end, that all goes on, and the stop."""
    path = write("serve.json", document)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "n"))
        supervisor.settimeout(60)

        def told(first: str) -> str:
            """Return the status of the next notification but those that all goes on."""
            while (text := supervisor.recv(65536).decode()) == "WATCHDOG=1":
                pass
            assert text.startswith(f"{first}\n")
            return text.rpartition("STATUS=")[2]

        serving = serve(path, NOTIFY_SOCKET=str(tmp_path / "n"), WATCHDOG_USEC="2000000")
        url = _url(serving)
        assert told("READY=1") == "receiving for kana"
        assert _post(url, 1) == 200
        assert supervisor.recv(65536) == b"WATCHDOG=1"
        serving.process.send_signal(signal.SIGHUP)
        assert told("RELOADING=1") == "reading the configuration"
        assert told("READY=1") == "receiving for kana"
        path.write_text("{")
        serving.process.send_signal(signal.SIGHUP)
        assert told("RELOADING=1") == "reading the configuration"
        failed = "receiving for kana; the last reload failed, the journal says why"
        assert told("READY=1") == failed
        metrics = requests.get(f"{url}/metrics", timeout=30).text
        assert "\ndestinations_last_reload_successful 0.0\n" in metrics
        serving.process.terminate()
        assert told("STOPPING=1") == "finishing what is under way"
        assert serving.end() == 0


def test_reloads_under_traffic(serve: Any, document: dict[str, Any], write: Write) -> None:
    """While the configuration is read again and again, nothing is refused, lost or counted twice.

    Good configurations and faulty ones take turns, and the definition's concurrency with them.
    """
    users = [f"u{number}" for number in range(4)]
    partner = Sandbox(
        {
            "apiKeys": ["prv_test_traffic"],
            "users": [{"id": user} for user in users],
            "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
        }
    ).start()
    settings = document["destinations"][0]["settings"]
    settings["endpoint"] = partner.url
    try:
        serving = serve(write("serve.yaml", document), KANA_KEY="prv_test_traffic")
        url = _url(serving)
        senders = [Sender(url, user) for user in users]
        for sender in senders:
            sender.start()
        for number in range(9):
            _until(senders[0].posts_more(5))
            document["destinations"][0]["delivery"]["concurrency"] = number % 3 + 1
            faulty = number % 3 == 2
            write("serve.yaml", {**document, "other": 1} if faulty else document)
            serving.process.send_signal(signal.SIGHUP)
            serving.until("not reloaded" if faulty else "configuration reloaded")
        for sender in senders:
            sender.enough.set()
        for sender in senders:
            sender.join()
        _until(lambda: _waiting(url) == 0)
        serving.process.terminate()
        assert serving.end() == 0
        usage = partner.snapshot()["usage"]
    finally:
        partner.stop()
    assert {user: usage[user]["calls"] for user in users} == {
        user: sender.total for user, sender in zip(users, senders, strict=True)
    }
    assert set().union(*(sender.refused for sender in senders)) == set()
    assert "server stopped; nothing waits" in serving.lines[-1]


@contextlib.contextmanager
def _port_in_use(document: dict[str, Any], _store: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        document["listen"]["port"] = taken.getsockname()[1]
        yield


@contextlib.contextmanager
def _store_that_a_run_has(_document: dict[str, Any], store: Path) -> Iterator[None]:
    with lock_run(store, 1, "kana at an account"):
        yield


@contextlib.contextmanager
def _store_that_a_server_has(_document: dict[str, Any], store: Path) -> Iterator[None]:
    with lock_server(store):
        yield


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (_port_in_use, "listen.port: cannot listen on 127.0.0.1 port"),
        (_store_that_a_run_has, "another process delivers from the store"),
        (_store_that_a_server_has, "another process delivers from the store"),
    ],
)
def test_what_may_pass_by_itself(
    document: dict[str, Any],
    write: Write,
    command: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    taken: Callable[[dict[str, Any], Path], contextlib.AbstractContextManager[None]],
    said: str,
) -> None:
    """Whoever starts servers is told by the exit code that the same start may work later."""
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    monkeypatch.setenv("KANA_KEY", "prv_test_x")
    with taken(document, tmp_path / "s.sqlite3"):
        done = command("serve", "--config", write("serve.yaml", document))
    assert (done.code, said in done.err) == (75, True)


def test_an_account_under_another_name(
    document: dict[str, Any], write: Write, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that the store knows under another name are refused, and no later start helps."""
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    monkeypatch.setenv("KANA_KEY", "prv_test_x")
    config = read_config(write("known.yaml", _named(document, "main")), os.environ)
    with open_at(config.store.address) as store:
        (bound,) = bind(config, store)
        store.accounts().served(bound.name, bound.identity)
    done = command("serve", "--config", write("serve.yaml", _named(document, "other")))
    assert done.code == 2
    assert "these credentials are those of the account 'main', not of 'other'" in done.err


def _named(document: dict[str, Any], account: str) -> dict[str, Any]:
    (destination,) = document["destinations"]
    return {**document, "destinations": [{**destination, "account": account}]}


def test_check(
    document: dict[str, Any], write: Write, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--check`` says whether a configuration can be used, and starts nothing."""
    path = write("serve.yaml", document)
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    done = command("serve", "--config", path, "--check")
    assert (done.code, "KANA_KEY is not set" in done.err) == (75, True)
    monkeypatch.setenv("KANA_KEY", "prv_test_x")
    done = command("serve", "--config", path, "--check")
    assert (done.code, done.out) == (0, f"{path} can be used: kana.\n")
    assert not (path.parent / "s.sqlite3").exists()


@pytest.mark.parametrize("options", [(), ("--check",)])
@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_secret_that_is_not_there_yet(
    document: dict[str, Any],
    write: Write,
    command: Any,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    options: tuple[str, ...],
) -> None:
    """Whoever started the server may start it again; what is wrong for good is told apart."""
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    named = "${KANA_KEY}" if where == "environment" else {"file": "kana-key"}
    document["destinations"][0]["settings"]["apiKey"] = named
    path = write("serve.yaml", document)
    done = command("serve", "--config", path, *options)
    assert (done.code, done.out) == (75, "")
    told = "KANA_KEY is not set" if where == "environment" else "kana-key: No such file"
    assert told in done.err
    assert list(path.parent.glob("s.sqlite3*")) == []
    document["destinations"] *= 2
    assert command("serve", "--config", write("serve.yaml", document), *options).code == 2


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, command: Any) -> Callable[[Path], Any]:
    """Checks a configuration, with secrets in the environment."""
    monkeypatch.setenv("RECEIVER_KEY", RECEIVER_KEY)
    monkeypatch.setenv("KANA_KEY", "prv_test_x")
    return lambda path: command("serve", "--config", path, "--check")


def _store_of_newer_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize(
    ("more", "make", "fault"),
    [
        (
            {"listen": {"host": "no.such.host.invalid"}},
            None,
            "serve.yaml:1: /listen/host: cannot listen on no.s",
        ),
        ({"listen": {"host": "192.0.2.1"}}, None, "/listen/host: cannot listen on 192.0.2.1: "),
        ({}, lambda path: path.write_text("no database " * 100), "file is not a database"),
        ({}, lambda path: path.mkdir(), "as a store: it is a folder; name a file in it"),
        ({}, _store_of_newer_version, "serve.yaml:1: /store/path: cannot use the store"),
        ({"store": {"path": "serve.yaml/s.sqlite3"}}, None, "serve.yaml is not a folder"),
    ],
)
def test_check_finds_what_serve_refuses(
    document: dict[str, Any],
    write: Write,
    check: Any,
    more: dict[str, Any],
    make: Callable[[Path], Any] | None,
    fault: str,
) -> None:
    """What keeps a server from starting is told with its place; nothing is made or changed."""
    path = write("serve.yaml", {**document, **more})
    store = path.parent / "s.sqlite3"
    if make is not None:
        make(store)
    before = sorted(path.parent.iterdir())
    done = check(path)
    assert done.code == 2
    assert fault in done.err
    assert sorted(path.parent.iterdir()) == before


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a secret": (
        lambda document: document["destinations"][0]["settings"].update(apiKey={"env": "NOT_SET"}),
        "the environment variable NOT_SET is not set",
    ),
    "an alert": (
        lambda document: document.update(alerts=[{"when": {"dead": {}}, "to": "nobody"}]),
        "/alerts/0/to: no sink is called 'nobody'",
    ),
    "a definition": (
        lambda document: document["destinations"].append(
            {
                **document["destinations"][0],
                "name": "other",
                "destination": "webhok",
                "settings": {},
            }
        ),
        "unknown destination 'webhok'",
    ),
    "an address": (
        lambda document: document.update(listen={"host": "203.0.113.7", "port": 1}),
        "/listen/host: cannot listen on 203.0.113.7",
    ),
    "a store": (
        lambda document: document.update(store={"path": "no/s.sqlite3"}),
        "/no is missing: make it, or mount it",
    ),
    "a console": (
        lambda document: document.update(
            console={"listen": "127.0.0.1:0", "users": {"file": "bad-users.yaml"}}
        ),
        "bad-users.yaml: other users of this machine can read",
    ),
}
"""What each stage of a start finds."""


@pytest.mark.parametrize("others", [None, *FAULTS])
@pytest.mark.parametrize("name", FAULTS)
def test_check_tells_all_at_once(
    document: dict[str, Any], write: Write, check: Any, name: str, others: str | None
) -> None:
    """What one stage finds does not hide what a later one would."""
    chosen = list(FAULTS) if others is None else list(dict.fromkeys([name, others]))
    write("bad-users.yaml", {"users": 1}).chmod(0o644)
    for one in chosen:
        FAULTS[one][0](document)
    done = check(write("serve.yaml", document))
    assert done.code == (75 if chosen == ["a secret"] else 2)
    for one in chosen:
        assert done.err.count(FAULTS[one][1]) == 1, done.err


def test_check_beside_a_store(document: dict[str, Any], write: Write, check: Any) -> None:
    """A store that is there is fine, also while it is open, and is left as it is."""
    path = write("serve.yaml", document)
    with contextlib.closing(SqliteStore(path.parent / "s.sqlite3")):
        assert check(path).code == 0
    before = sorted(path.parent.iterdir())
    assert check(path).code == 0
    assert sorted(path.parent.iterdir()) == before


def test_check_of_traces(
    document: dict[str, Any], write: Write, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces that are wanted and cannot be made are found before the start."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not there
    done = check(write("serve.yaml", document))
    assert (done.code, "install the extra otel: " in done.err) == (2, True)


def test_check_warns(document: dict[str, Any], write: Write, check: Any) -> None:
    """A key that every user of the machine can read can be used, and should not be."""
    document["destinations"][0]["settings"]["apiKey"] = {"file": "api-key"}
    write("api-key", "prv_test_x\n").chmod(0o644)
    done = check(write("serve.yaml", document))
    assert done.code == 0
    assert "warning: kana: /settings/apiKey: every user of this machine can read" in done.err
    write("api-key", "prv_test_x\n").chmod(0o600)
    done = check(write("serve.yaml", document))
    assert (done.code, done.err) == (0, "")


def test_what_waits_for_nobody(
    serve: Any, document: dict[str, Any], write: Write, add_delivery: Callable[..., int]
) -> None:
    """The log warns of it and its gauges are there; a reload that logs more says so too."""
    path = write("serve.yaml", document)
    with contextlib.closing(SqliteStore(path.parent / "s.sqlite3")) as store:
        add_delivery(store, destination="gone", accepted_at=1.0)
    serving = serve(path)
    url = _url(serving)
    warning = "deliveries left of 'gone', which is not in the configuration: 1; "
    assert sum(warning in line for line in serving.lines) == 1
    write("serve.yaml", {**document, "log": {"level": "debug"}})
    serving.process.send_signal(signal.SIGHUP)
    assert warning in serving.until(warning)
    serving.until("configuration reloaded")
    metrics = requests.get(f"{url}/metrics", timeout=30).text
    assert 'destinations_queue_deliveries{destination="gone"} 1.0' in metrics
    assert 'destinations_breaker_state{destination="gone"' not in metrics
    assert 'destinations_breaker_state{destination="kana",state="closed"} 1.0' in metrics
    zero = 'destinations_deliveries_total{action="track",destination="kana",outcome="dead"'
    assert f'{zero},stage="send"}} 0.0' in metrics
    assert _post(url, 1) == 200
    serving.until("events accepted")
