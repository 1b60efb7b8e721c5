"""``destinations serve`` in processes that are killed, and senders that go on regardless."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ForkedPopen

RECEIVER_KEY = "receiver-canary-0123456789-0123456789"
URL = re.compile(r"http://127\.0\.0\.1:(\d+)/v1/kana")
PATIENCE = 60.0
SOON = 0.005


class Serving:
    """The server of one configuration and store: one process after another."""

    def __init__(
        self, folder: Path, store: Path, settings: Mapping[str, str], names: Sequence[str]
    ) -> None:
        self._folder = folder
        self._config = folder / "serve.json"
        self._environment = {
            **os.environ,
            "KANA_KEY": settings["apiKey"],
            "RECEIVER_KEY": RECEIVER_KEY,
        }
        destination = {
            "destination": "kana",
            "account": "main",
            "settings": {"endpoint": settings["endpoint"], "apiKey": {"env": "KANA_KEY"}},
            "receiver": {"keys": [{"env": "RECEIVER_KEY"}]},
            # What a killed process has sent is with the partner, on this machine, long before.
            "delivery": {"settleAfterSeconds": 0.2},
        }
        config = {
            "listen": {"port": 0},
            "store": {"path": str(store)},
            "drainSeconds": 20,
            "destinations": [{"name": name, **destination} for name in names],
        }
        self._config.write_text(json.dumps(config), encoding="utf-8")
        self._processes: list[subprocess.Popen[bytes]] = []
        self.changed = threading.Condition()
        self.port: int | None = None

    def configure(
        self,
        *,
        settings: Mapping[str, Any],
        receiver: Mapping[str, Any],
        environment: Mapping[str, str],
        **more: Any,
    ) -> None:
        """Give its only destination other settings and senders; ``more`` are keys of the server."""
        config = json.loads(self._config.read_text("utf-8"))
        (destination,) = config["destinations"]
        destination |= {"settings": settings, "receiver": receiver}
        destination.pop("account", None)
        self._config.write_text(json.dumps({**config, **more}), encoding="utf-8")
        self._environment |= environment

    def add_source(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Let a source feed its destinations, each of which has the next settings, by a key."""
        config = json.loads(self._config.read_text("utf-8"))
        config["sources"] = [{"name": "web", "keys": [{"env": "RECEIVER_KEY"}]}]
        for each, own in zip(config["destinations"], settings, strict=True):
            each["settings"] = {**own, "apiKey": {"env": "KANA_KEY"}}
            each["from"] = ["web"]
            del each["account"]
        self._config.write_text(json.dumps(config), encoding="utf-8")

    @property
    def log(self) -> bytes:
        """What all of them wrote."""
        files = [self._log(number) for number in range(len(self._processes))]
        return b"".join(file.read_bytes() for file in files)

    @property
    def listens_at(self) -> int | None:
        """The port of the latest process; None if it does not listen, or not yet."""
        if not self._processes:
            return None
        found = URL.findall(self._log(len(self._processes) - 1).read_text("utf-8"))
        return int(found[0]) if found else None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts a process; it does not listen yet."""
        command = [sys.executable, "-P", "-m", "destinations", "serve"]
        command += ["--config", str(self._config)]
        with self._log(len(self._processes)).open("wb") as log:
            process = ForkedPopen[bytes](
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self._processes.append(process)
        return process

    def start(self) -> None:
        """Starts a process, and returns when it listens."""
        process = self.spawn()
        wait_until(lambda: self.listens_at or process.poll() is not None)
        assert self.listens_at, self.log.decode()
        self.use(self.listens_at)

    def kill(self) -> None:
        """Ends the process at once."""
        self._processes[-1].kill()
        assert self._processes[-1].wait(PATIENCE) == -signal.SIGKILL
        self.use(None)

    def stop(self) -> int:
        """Lets it end; its exit code."""
        self._processes[-1].terminate()
        code = self._processes[-1].wait(PATIENCE)
        self.use(None)
        return code

    def close(self) -> None:
        """Leaves no process behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _log(self, number: int) -> Path:
        return self._folder / f"serve-{number}.log"

    def use(self, port: int | None) -> None:
        """Lets senders send to this port from now on."""
        with self.changed:
            self.port = port
            self.changed.notify_all()


class Sender(threading.Thread):
    """Posts bodies in turn over a raw connection, each again until it is answered with 200.

    ``acknowledged`` are the message ids of those that were; some answers are not waited for.
    Bodies go to a destination, or as those of an SDK to a source.
    """

    def __init__(
        self,
        serving: Serving,
        bodies: Sequence[Sequence[Any]],
        chance: random.Random,
        *,
        is_sdk: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self._is_sdk = is_sdk
        self._serving = serving
        self._bodies = bodies
        self._chance = chance
        self._stopped = False
        self.acknowledged: list[str] = []
        self.again = 0
        self.faults: list[object] = []

    def run(self) -> None:
        """Until all are acknowledged, or one is refused for good."""
        for events in self._bodies:
            wrapped = {"batch": events} if self._chance.random() < 0.5 else events
            whole = events[0] if len(events) == 1 else wrapped
            path = "/v1/kana"
            if self._is_sdk:
                path = f"/v1/{events[0]['type']}" if len(events) == 1 else "/v1/batch"
                whole = events[0] if len(events) == 1 else {"batch": events}
            while not self._post(path, json.dumps(whole).encode(), len(events)):
                self.again += 1
                if self._stopped or self.faults:
                    return
                with self._serving.changed:
                    self._serving.changed.wait(SOON)
            self.acknowledged += [event["messageId"] for event in events]

    def stop(self) -> None:
        """Gives up what is left."""
        self._stopped = True
        with self._serving.changed:
            self._serving.changed.notify_all()
        self.join()

    def _post(self, path: str, body: bytes, events: int) -> bool:
        """Whether it was answered, and taken."""
        with self._serving.changed:
            self._serving.changed.wait_for(lambda: self._serving.port or self._stopped, PATIENCE)
            port = self._serving.port
        if port is None:
            return False
        authorization = base64.b64encode(f"{RECEIVER_KEY}:".encode()).decode()
        headers = {"Authorization": f"Basic {authorization}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            try:
                connection.request("POST", path, body, headers)
                if self._chance.random() < 0.05:
                    return False  # as if the answer had been lost on its way
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                return False
        if response.status in {200, 202}:
            told = json.loads(answer)
            good = {"success": True} if self._is_sdk else {"accepted": events}
            if told != good:
                self.faults.append(told)
            return True
        if response.status != 503:  # which says to come again
            self.faults.append((response.status, answer))
        return False


def wait_until(is_so: Callable[[], Any]) -> None:
    """Returns when it is so; fails when it is not in time."""
    give_up = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < give_up, "it did not become so"
        pause.wait(SOON)


@pytest.fixture
def serving(tmp_path: Path, ledger: Any) -> Iterator[Callable[..., Serving]]:
    """Makes a server that delivers with these settings, from the store of this test.

    It has a destination for each of the names, all of one account. ``link`` is another path of
    the store.
    """
    made: list[Serving] = []

    def make(settings: Mapping[str, str], *names: str, link: Path | None = None) -> Serving:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(Serving(folder, link or ledger.path, settings, names or ("kana",)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def senders() -> Iterator[Callable[..., list[Sender]]]:
    """Starts several senders of some events: those of one user stay with one, in their order."""
    started: list[Sender] = []

    def start(
        serving: Serving,
        events: Sequence[Mapping[str, Any]],
        chance: random.Random,
        count: int,
        *,
        is_sdk: bool = False,
    ) -> list[Sender]:
        users = sorted({event["userId"] for event in events})
        chance.shuffle(users)
        fresh: list[Sender] = []
        for number in range(count):
            own = [event for event in events if event["userId"] in users[number::count]]
            bodies = []
            while own:
                size = 1 if chance.random() < 0.6 else chance.randint(2, 12)
                bodies.append(own[:size])
                own = own[size:]
            own_chance = random.Random(chance.random())
            fresh.append(Sender(serving, bodies, own_chance, is_sdk=is_sdk))
        for sender in fresh:
            sender.start()
            started.append(sender)
        return fresh

    yield start
    for sender in started:
        sender.stop()


@pytest.fixture
def receiver_key() -> str:
    """What senders show."""
    return RECEIVER_KEY
