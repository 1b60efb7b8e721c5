"""What a supervisor is told: the datagrams, and when there are none."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from destinations.server.notify import Notifier, Watchdog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")

Told = Callable[[], list[str]]


@pytest.fixture
def supervisor() -> Iterator[socket.socket]:
    """A socket that is not bound yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(0)
        yield listening


@pytest.fixture
def told(supervisor: socket.socket) -> Told:
    """What was told since the last time, a text for each datagram."""

    def read() -> list[str]:
        found = []
        while True:
            try:
                found.append(supervisor.recv(65536).decode())
            except BlockingIOError:
                return found

    return read


@pytest.fixture
def place(supervisor: socket.socket, tmp_path: Path) -> str:
    """Where the supervisor listens."""
    path = str(tmp_path / "n")
    supervisor.bind(path)
    return path


def test_each_notification(place: str, told: Told) -> None:
    """Each is one datagram of lines, in the words of sd_notify(3)."""
    notifier = Notifier({"NOTIFY_SOCKET": place})
    before = time.monotonic_ns() // 1000
    notifier.ready("receiving for\nkana")
    notifier.reloading()
    notifier.stopping()
    notifier.alive()
    ready, reloading, stopping, alive = told()
    assert ready == "READY=1\nSTATUS=receiving for kana"
    first, micros, status = reloading.split("\n")
    assert (first, status) == ("RELOADING=1", "STATUS=reading the configuration")
    assert micros.startswith("MONOTONIC_USEC=")
    assert before <= int(micros.partition("=")[2]) <= time.monotonic_ns() // 1000
    assert stopping == "STOPPING=1\nSTATUS=finishing what is under way"
    assert alive == "WATCHDOG=1"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket(supervisor: socket.socket, told: Told) -> None:
    """One has no file, and its name begins with @ in the variable."""
    name = f"notify-{uuid4()}"
    supervisor.bind(f"\0{name}")
    Notifier({"NOTIFY_SOCKET": f"@{name}"}).alive()
    assert told() == ["WATCHDOG=1"]


@pytest.mark.parametrize("named", [None, "", "vsock:2:1234", "relative", "/nobody/listens/here"])
def test_nobody_to_tell(named: str | None) -> None:
    """Without a socket, with one of another kind, or one that is gone, nothing happens."""
    environment = {} if named is None else {"NOTIFY_SOCKET": named}
    notifier = Notifier(environment | {"WATCHDOG_USEC": "4000000"})
    notifier.ready("ready")
    notifier.reloading()
    notifier.alive()
    notifier.stopping()
    is_there = named is not None and named.startswith("/")
    assert notifier.watchdog_seconds == (4.0 if is_there else None)


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_time_of_the_watchdog(variables: dict[str, str], seconds: float | None) -> None:
    """It is that of the variable, unless that is meant for another process or is no time."""
    notifier = Notifier({"NOTIFY_SOCKET": "/run/notify", **variables})
    assert notifier.watchdog_seconds == seconds


class Parts:
    """Two parts that make progress unless they are stuck, and a time that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counts = {"engine": 0, "receiver": 0}
        self.stuck: set[str] = set()
        self.looks = 0

    def __call__(self) -> dict[str, int]:
        self.looks += 1
        for name in self.counts.keys() - self.stuck:
            self.counts[name] += 1
        return self.counts


@pytest.fixture
def parts() -> Parts:
    """Parts of which none is stuck."""
    return Parts()


@pytest.fixture
def watchdog(place: str, parts: Parts) -> Watchdog:
    """One that has to be told of something every 180 seconds."""
    notifier = Notifier({"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "180000000"})
    return Watchdog(notifier, parts, monotonic=lambda: parts.now)


def test_all_goes_on(watchdog: Watchdog, parts: Parts, told: Told) -> None:
    """It is told four times in the time-out, however often somebody looks."""
    for _ in range(180):
        watchdog.look()
        parts.now += 1
    assert told() == ["WATCHDOG=1"] * 4
    assert parts.looks == 4


@pytest.mark.parametrize("stuck", [["engine"], ["receiver"], ["engine", "receiver"]])
def test_a_part_that_is_stuck(
    watchdog: Watchdog,
    parts: Parts,
    told: Told,
    caplog: pytest.LogCaptureFixture,
    stuck: list[str],
) -> None:
    """After half of the time-out nothing is told any more, and the log has one line."""
    watchdog.look()
    parts.stuck = set(stuck)
    parts.now += 45
    watchdog.look()
    assert told() == ["WATCHDOG=1"] * 2
    with caplog.at_level(logging.ERROR):
        for _ in range(8):
            parts.now += 45
            watchdog.look()
    assert told() == []
    names = ", ".join(stuck)
    assert caplog.messages == [f"no progress, watchdog not notified: {names}"]
    parts.stuck = set()
    parts.now += 45
    watchdog.look()
    assert told() == ["WATCHDOG=1"]


def test_how_long_to_wait(watchdog: Watchdog, parts: Parts, place: str) -> None:
    """Until the next look, and no longer than there is something else to do."""
    watchdog.look()
    assert (watchdog.wait(3600), watchdog.wait(5)) == (45, 5)
    parts.now += 44
    assert watchdog.wait(3600) == 1
    parts.now += 10
    assert watchdog.wait(3600) == 0
    unwatched = Watchdog(Notifier({"NOTIFY_SOCKET": place}), parts)
    unwatched.look()
    assert (unwatched.wait(3600), parts.looks) == (3600, 1)
