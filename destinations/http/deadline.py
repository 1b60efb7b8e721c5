"""Connections for `requests` with a total time-out, which record whether anything was sent.

A socket's time-out restarts with each byte that arrives, so a server that sends a byte now and
then, even within its headers, could hold a request for ever. So one thread cuts off every exchange
that takes too long as a whole.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self

import urllib3
from requests.adapters import HTTPAdapter

__all__ = [
    "Exchange",
    "Permission",
    "Watchdog",
    "WatchedAdapter",
    "WatchedHTTPConnection",
    "WatchedHTTPSConnection",
    "pool_classes",
]

_current = threading.local()

_DISCARD: Final = struct.pack("ii", 1, 0)
"""Of SO_LINGER: what was not acknowledged yet is not sent after the socket is closed."""
_FINISH: Final = struct.pack("ii", 0, 0)
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


class Permission(Protocol):
    """Says whether the bytes of a request may leave now; safe for threads."""

    def begin(self) -> None:
        """Note that they are about to leave; raises `TransportError` if they must not."""
        ...

    def end(self) -> None:
        """Note that they have left, or never will."""
        ...


class Exchange:
    """One request and its answer; a context manager that watches the connections of this thread.

    ``sent`` says whether a byte of the request may have left, which needs a connection, its TLS
    handshake and the consent of a proxy. ``complete`` says that the whole request was written;
    before that the partner cannot act on it. ``connected`` says that a watched connection was
    used at all, ``expired`` that it was cut off. The ``permission`` is asked for, and ``check`` is
    called, after all that has to be waited for, right before the first byte leaves.

    A request that is given up, or whose process ends, must not arrive later, when the network lets
    it pass again: the partner has been asked by then, and what it did not have was sent again. So
    the system discards what is left of it, at the latest ``seconds`` after it was sent.
    """

    __slots__ = (
        *("_begun", "_connection", "_lock", "_permission", "_seconds", "_socket"),
        *("check", "complete", "connected", "done", "expired", "sent"),
    )

    def __init__(self, permission: Permission | None = None, seconds: float | None = None) -> None:
        self._permission = permission
        self.check: Callable[[], None] | None = None
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._begun = False
        self._lock = threading.Lock()
        self._connection: urllib3.connection.HTTPConnection | None = None
        self.connected = False
        self.sent = False
        self.complete = False
        self.expired = False
        self.done = False

    def use(self, connection: urllib3.connection.HTTPConnection) -> None:
        """Register the connection in use."""
        with self._lock:
            self._connection = connection
            self.connected = True
            expired = self.expired
        if expired:  # cut off while it was connecting
            self._shut_down(connection)

    def begin(self, through: socket.socket | None = None) -> None:
        """Note that bytes are about to leave; raises `TransportError` if they must not."""
        if self.sent:
            return
        if through is not None:
            self._bound(through)
        if self.check is not None:
            self.check()
        if self._permission is not None:
            self._permission.begin()
            self._begun = True

    def _bound(self, through: socket.socket) -> None:
        """Let the system send nothing more once the socket is closed, or the time is over."""
        self._socket = through
        with contextlib.suppress(OSError):
            through.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
            if _USER_TIMEOUT is not None and self._seconds is not None:
                milliseconds = max(1, round(self._seconds * 1000))
                through.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)

    def left(self) -> None:
        """Note that all bytes have left, or no more will."""
        if self._permission is not None and self._begun:
            self._begun = False
            self._permission.end()

    def expire(self) -> None:
        """Cut the connection off, unless the exchange is over."""
        with self._lock:
            if self.done:
                return
            self.expired = True
            connection = self._connection
        self._shut_down(connection)

    def close(self) -> None:
        """Close the connection, so that no further request uses it."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            connection.close()

    @staticmethod
    def _shut_down(connection: urllib3.connection.HTTPConnection | None) -> None:
        found = getattr(connection, "sock", None)
        if found is not None:
            # Only closing it would leave a pending read waiting.
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        _current.exchange = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left()
        with self._lock:
            self.done = True
            self._connection = None
        if self._socket is not None and error is None and not self.expired:
            # The answer is there: a connection that is closed later ends in the usual way.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FINISH)
        _current.exchange = None


class Watchdog:
    """The thread that cuts off expired exchanges; it starts with the first exchange."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Exchange]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._all_expired = False

    def watch(self, exchange: Exchange, seconds: float) -> None:
        """Cut ``exchange`` off after ``seconds``, unless it is over by then."""
        due = self._monotonic() + seconds
        with self._changed:
            heapq.heappush(self._due, (due, next(self._numbers), exchange))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._due[0][2] is exchange:
                self._changed.notify()
        if self._all_expired:
            exchange.expire()

    def expire_all(self) -> None:
        """Cut off all exchanges, and every later one as it begins."""
        self._all_expired = True
        with self._changed:
            exchanges = [exchange for _, _, exchange in self._due]
        for exchange in exchanges:
            exchange.expire()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (expired := self._next()) is not None:
            expired.expire()

    def _next(self) -> Exchange | None:
        """Wait for the next expired exchange; return None once the watchdog is closed."""
        with self._changed:
            while not self._closed:
                # Sleep until the first unfinished exchange expires.
                while self._due and self._due[0][2].done:
                    heapq.heappop(self._due)
                wait = self._due[0][0] - self._monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None


class _Watched(urllib3.connection.HTTPConnection):
    """A connection that its exchange can cut off."""

    _connecting = False

    def connect(self) -> None:
        """Connect; see `http.client.HTTPConnection.connect`."""
        self._connecting = True
        try:
            exchange = _exchange()
            if exchange is not None:
                exchange.use(self)
            super().connect()
        finally:
            self._connecting = False

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; see `http.client.HTTPConnection.request`."""
        exchange = _exchange()
        if exchange is not None:
            exchange.use(self)
        super().request(*args, **kwargs)
        if exchange is not None:
            exchange.complete = True
            exchange.left()

    def send(self, data: Any) -> None:
        """Send data; see `http.client.HTTPConnection.send`."""
        if not self._connecting:  # else these bytes are for the proxy
            if self.sock is None:
                self.connect()
            exchange = _exchange()
            if exchange is not None:
                if exchange.expired and not exchange.sent:
                    # It expired while connecting, when there was nothing to cut off yet.
                    raise urllib3.exceptions.ConnectTimeoutError(self, "connected too late")
                exchange.begin(self.sock)
                exchange.sent = True
        super().send(data)


class WatchedHTTPConnection(_Watched):
    """A connection that its exchange can cut off."""


class WatchedHTTPSConnection(_Watched, urllib3.connection.HTTPSConnection):
    """A connection with TLS that its exchange can cut off."""


def _exchange() -> Exchange | None:
    found: Exchange | None = getattr(_current, "exchange", None)
    return found


def pool_classes(
    http: type[WatchedHTTPConnection], https: type[WatchedHTTPSConnection]
) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Return the pool class of watched connections for each scheme, for a pool manager."""
    return {
        "http": type("HTTPPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("HTTPSPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": https}),
    }


_CLASSES: Final = pool_classes(WatchedHTTPConnection, WatchedHTTPSConnection)


class WatchedAdapter(HTTPAdapter):
    """An adapter of `requests` whose connections an `Exchange` can cut off."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of watched connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _CLASSES

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the proxy's pools, also of watched connections."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager
