"""Accept connections, as many as this process has file descriptors for and no more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

from destinations.statuses import CODES, PHRASES

__all__ = ["MOST_CONNECTIONS", "Acceptor", "most_connections"]

MOST_CONNECTIONS: Final = 4096
"""The bound where nothing is configured and there are descriptors for as many."""

_RESERVE: Final = 96
"""Descriptors for the store with its journal, backups, other listeners, libraries and files."""

_AT_ONCE: Final = 100
_PAUSE_SECONDS: Final = 0.5
_STATUS: Final = 503


def most_connections(configured: int, partner_connections: int) -> int:
    """Return how many connections may be open.

    At most ``configured``, and so few that under the soft limit of descriptors as it is now some
    are left for ``partner_connections`` and the store: a sender must not keep us from delivering.
    """
    limit = _descriptors()
    if limit is None:
        return configured
    # Where there are hardly any, half of them are for senders.
    left = max(limit - _RESERVE - partner_connections, limit // 2)
    return max(1, min(configured, left))


def _descriptors() -> int | None:
    """Return the soft limit of open files; None if there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


class Acceptor:
    """Accepts connections on one socket in the loop that runs, at most ``most`` at once.

    Further ones get 503 and are closed at once. asyncio itself, where no descriptor is left, logs
    that thousands of times a second; here it is the same as too many.

    ``make_protocol`` gives what handles one, ``count`` says how many there are, and
    ``turned_away`` is called with ``most`` for each that is closed.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        most: int,
        count: Callable[[], int],
        turned_away: Callable[[int], None],
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._most = most
        self._count = count
        self._turned_away = turned_away
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        # Given up for a moment where no other descriptor is left: see `_turn_away_one`.
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        listener.setblocking(False)  # noqa: FBT003 - the library's signature
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more; safe to repeat."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _accept(self) -> None:
        """Take what has come, and leave the loop to others after a while."""
        for _ in range(_AT_ONCE):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptors or no memory is left
                if not self._turn_away_one():
                    self._wait()
                    return
                continue
            if self._count() + len(self._opening) >= self._most:
                self._turn_away(connection)
            else:
                self._open(connection)

    def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the library's signature
        task = self._loop.create_task(self._connect(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # it was gone before it began
            connection.close()

    def _turn_away_one(self) -> bool:
        """Close one connection with the descriptor that is kept for it."""
        if self._spare is None:
            return False
        os.close(self._spare)
        self._spare = None
        try:
            with contextlib.suppress(OSError):
                connection, _address = self._listener.accept()
                self._turn_away(connection)
                return True
        finally:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)
        return False

    def _turn_away(self, connection: socket.socket) -> None:
        self._turned_away(self._most)
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)  # noqa: FBT003 - the library's signature
            connection.send(_ANSWER)
            connection.shutdown(socket.SHUT_WR)
            # What was sent and not read would take the answer back.
            connection.recv(65536)

    def _wait(self) -> None:
        """Accept nothing for a moment: what cannot be accepted would be tried again for ever."""
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)
        self._loop.add_reader(self._listener, self._accept)


def _answer() -> bytes:
    body = json.dumps({"message": "too many connections are open", "code": CODES[_STATUS]})
    return (
        f"HTTP/1.1 {_STATUS} {PHRASES[_STATUS]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}"
    ).encode()


_ANSWER: Final = _answer()
