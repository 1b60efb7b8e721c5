"""Ends an HTTP exchange that takes too long as a whole, whatever the server keeps it busy with.

Time-outs of sockets begin anew with each byte that arrives, so a server that sends one now and then
could hold a request for ever, also within its headers.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any, Self

import urllib3
from requests.adapters import HTTPAdapter

__all__ = [
    "Deadline",
    "WatchedAdapter",
    "WatchedHTTPConnection",
    "WatchedHTTPSConnection",
    "pool_classes",
]

_current = threading.local()


class Deadline:
    """While entered, connections that this thread uses are cut off after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: urllib3.connection.HTTPConnection | None = None
        self.expired = False

    def watch(self, connection: urllib3.connection.HTTPConnection) -> None:
        """Names the connection that is in use now."""
        with self._lock:
            self._connection = connection

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            found = getattr(self._connection, "sock", None)
        if found is not None:
            # Closing alone would leave a read that is under way waiting.
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        _current.deadline = None


def _watch(connection: urllib3.connection.HTTPConnection) -> None:
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.watch(connection)


class WatchedHTTPConnection(urllib3.connection.HTTPConnection):
    """A connection that a `Deadline` can cut off."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        """See `http.client.HTTPConnection.request`."""
        _watch(self)
        super().request(*args, **kwargs)


class WatchedHTTPSConnection(urllib3.connection.HTTPSConnection):
    """A connection with TLS that a `Deadline` can cut off."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        """See `http.client.HTTPConnection.request`."""
        _watch(self)
        super().request(*args, **kwargs)


def pool_classes(
    http: type[WatchedHTTPConnection], https: type[WatchedHTTPSConnection]
) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """For each scheme, pools of such connections, as pool managers take them."""
    return {
        "http": type("HTTPPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("HTTPSPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": https}),
    }


class WatchedAdapter(HTTPAdapter):
    """An adapter of `requests` whose connections a `Deadline` can cut off."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Makes the pools of watched connections."""
        super().init_poolmanager(*args, **kwargs)
        classes = pool_classes(WatchedHTTPConnection, WatchedHTTPSConnection)
        self.poolmanager.pool_classes_by_scheme = classes
