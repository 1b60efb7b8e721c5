"""Tell the process that started this one how it is: the protocol of systemd's ``sd_notify(3)``.

A datagram of lines to the socket that ``NOTIFY_SOCKET`` names; without it, nothing is sent. The
words are those of the manual page. Container runtimes and other supervisors know them as well.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["Notifier", "Watchdog"]

_LOG = logging.getLogger(__name__)
_SEND_SECONDS: Final = 1.0
_PER_TIMEOUT: Final = 4
"""Checks in each period of the supervisor's watchdog."""


class Notifier:
    """Sends notifications, if ``environment`` names a socket for them.

    One that cannot be sent is lost: its reader is gone, and the server continues.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL with which the name of an abstract socket begins (only on Linux).
        self._address = "\0" + named[1:] if named.startswith("@") else named
        is_known = self._address[:1] in {"/", "\0"} and hasattr(socket, "AF_UNIX")
        self._address = self._address if is_known else ""
        self.watchdog_seconds = _watchdog_seconds(environment) if is_known else None
        """The seconds without `alive` until this process is ended; None without a watchdog."""

    def ready(self, status: str) -> None:
        """Tell that the start, or a reload, has ended; ``status`` is a line for operators."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that the configuration is being read again; `ready` ends that."""
        # Such as it is for CLOCK_MONOTONIC: so the answer belongs to this reload, and no other.
        micros = time.monotonic_ns() // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={micros}", "STATUS=reading the configuration")

    def stopping(self) -> None:
        """Tell that the server ends."""
        self._send("STOPPING=1", "STATUS=finishing what is under way")

    def alive(self) -> None:
        """Tell that all goes on."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_SECONDS)  # a reader that sleeps must not stop anything
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            _LOG.debug("supervisor not notified: %s", error.strerror or error)


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Return the time-out of the watchdog, if it is meant for this process."""
    micros = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(micros) / 1_000_000 if micros.isdigit() and int(micros) else None


class Watchdog:
    """Notifies a supervisor that this process goes on, for as long as each of its parts does.

    ``progress`` gives a number for each part by its name. A part hangs if its number has not risen
    for half of the supervisor's time-out. The caller of `look` is a part as well. ``monotonic`` is
    in seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        progress: Callable[[], Mapping[str, int]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._progress = progress
        self._monotonic = monotonic
        # By part: its number, and since when that is so.
        self._seen: dict[str, tuple[int, float]] = {}
        self._stuck: list[str] = []
        self._timeout = notifier.watchdog_seconds
        self._next_at = 0.0

    def wait(self, seconds: float) -> float:
        """Return how long to wait, at most ``seconds``, until the next look."""
        if self._timeout is None:
            return seconds
        return max(0.0, min(seconds, self._next_at - self._monotonic()))

    def look(self) -> None:
        """Tell that all goes on, unless some part does not; too early a look does nothing."""
        now = self._monotonic()
        if self._timeout is None or now < self._next_at:
            return
        self._next_at = now + self._timeout / _PER_TIMEOUT
        for name, count in self._progress().items():
            if name not in self._seen or self._seen[name][0] != count:
                self._seen[name] = (count, now)
        hung_since = now - self._timeout / 2
        stuck = [name for name, (_, since) in self._seen.items() if since <= hung_since]
        if stuck and stuck != self._stuck:
            _LOG.error("no progress, watchdog not notified: %s", ", ".join(stuck))
        self._stuck = stuck
        if not stuck:
            self._notifier.alive()
