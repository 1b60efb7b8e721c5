"""The HTTP server in a thread of its own: uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import uvicorn

from destinations.errors import TemporaryError, UsageError
from destinations.server.connections import MOST_CONNECTIONS, Acceptor
from destinations.server.network_addresses import Address
from destinations.server.replies import Application
from destinations.server.uvicorn_protocol import Protocol

__all__ = ["HttpServer"]

T = TypeVar("T")

_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 1024
_TICK_SECONDS: Final = 0.1
_PASSING: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN})
"""Errors that may pass by themselves: a port in use, and a network that is not up yet."""


class _Server(uvicorn.Server):
    """Says when it accepts connections, of which it has a bound, and in which loop it runs."""

    def __init__(
        self,
        config: uvicorn.Config,
        most: int,
        turned_away: Callable[[int], None],
        refused: Callable[[int, str], None],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._most = most
        self._turned_away = turned_away
        self._refused = refused
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._acceptors: list[Acceptor] = []
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        if sys.platform == "win32":  # its loop cannot wait for a listener, and has no such limit
            await super().startup(sockets)
            self.ready.set()
            return
        await super().startup([])
        self._acceptors = [
            Acceptor(each, self._protocol, self._most, self._count, self._turned_away)
            for each in sockets or ()
        ]
        self.ready.set()

    async def main_loop(self) -> None:
        """Do what uvicorn does every 0.1 s, until it should exit; then at once."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_SECONDS)

    def end(self) -> None:
        """Let the loop end; any thread may call it, also when it has ended."""
        self.should_exit = True
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self.loop.call_soon_threadsafe(self._ending.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self._acceptors:
            each.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # idle ones are closed now
        if self.servers or state.connections or state.tasks:
            await super().shutdown(sockets)  # which waits for them

    def _count(self) -> int:
        return len(self.server_state.connections)

    def _protocol(self) -> Protocol:
        protocol = Protocol(self.config, self.server_state, self.lifespan.state, self.loop)
        protocol.tell_refused = self._refused
        protocol.more_headers = self._headers
        return protocol


class HttpServer:
    """Serves an application at ``host`` and ``port`` (0 takes a free one) until it is closed.

    At most ``most`` connections are open; ``turned_away`` is called for further ones, which are
    closed, and ``refused`` of what is not HTTP, with the status and the peer; the answer to that
    has these ``headers`` as well. ``setting`` names
    the address in an error. Raises `UsageError` if it cannot listen there, `TemporaryError` if
    that may pass by itself.
    """

    def __init__(  # noqa: PLR0913 - the settings of one listener
        self,
        application: Application,
        host: str,
        port: int,
        *,
        setting: str = "listen",
        most: int = MOST_CONNECTIONS,
        turned_away: Callable[[int], None] = lambda _: None,
        refused: Callable[[int, str], None] = lambda _status, _peer: None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            # What Python adds to the reason repeats the address.
            is_named = isinstance(error, socket.gaierror) or error.errno is None
            why = (error.strerror or error) if is_named else os.strerror(error.errno or 0)
            kind = TemporaryError if error.errno in _PASSING else UsageError
            if error.errno == errno.EADDRINUSE:
                setting = "listen.port" if setting == "listen" else setting
                why = f"{why}; end the process that has it, or choose another port"
            raise kind(f"{setting}: cannot listen on {host} port {port}: {why}") from None
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            application,
            http=Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,
        )
        self._server = _Server(config, most, turned_away, refused, headers or {})
        self._turns = 0
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="receiver"
        )

    @property
    def url(self) -> str:
        """The URL it listens at, without a path."""
        return f"http://{Address(self.host, self.port)}"

    def start(self) -> None:
        """Wait until connections are accepted."""
        self._thread.start()
        while not self._server.ready.wait(0.1):
            if not self._thread.is_alive():
                msg = f"the server on {self.url} ended before it began"
                raise UsageError(msg)

    def turns(self) -> int:
        """Return how often its loop did what was asked of it here, and ask it once more."""
        if self._server.loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._server.loop.call_soon_threadsafe(self._turn)
        return self._turns

    def _turn(self) -> None:
        self._turns += 1

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where the receiver runs, and return its result."""
        assert self._server.loop is not None  # noqa: S101 - it was started
        return asyncio.run_coroutine_threadsafe(coroutine, self._server.loop).result()

    def close(self) -> None:
        """Stop: open requests have five seconds. Safe to repeat."""
        self._server.end()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
