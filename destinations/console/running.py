"""Run the console: the process that serves it until it is stopped."""

from __future__ import annotations

import logging
from typing import Any, Final, TextIO

from destinations.clock import SystemClock
from destinations.console.app import make_app
from destinations.console.gate import Gate, GateOptions
from destinations.console.guard import HEADERS
from destinations.console.keys import ApiKeys
from destinations.console.login_link import LoginLink, login_link_path
from destinations.console.stores import Stores
from destinations.console.users import Users
from destinations.console.verbs import Verbs
from destinations.errors import UsageError
from destinations.server import ConsoleConfig, HttpServer, ServeConfig

__all__ = ["Console", "console_of"]

_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS: Final = 256


def console_of(config: ServeConfig) -> ConsoleConfig:
    """Return the part of the console in a configuration; raises `UsageError` if it has none."""
    if config.console is None:
        msg = (
            f"{config.path} has no console: add `console: {{listen: 127.0.0.1:8788}}` to the "
            "configuration"
        )
        raise UsageError(msg)
    return config.console


class Console:
    """Serves the console of a configuration from `start` to `close`.

    Raises `UsageError` if it cannot: if its address is taken, or a file cannot be used.
    ``terminal`` is where a login link may be printed.
    """

    def __init__(self, config: ServeConfig, terminal: TextIO | None = None) -> None:
        self.config = config
        self._console = console_of(config)
        self._terminal = terminal
        self._stores = Stores(config.store.address)
        users = None if self._console.users is None else Users(self._console.users)
        is_secure = self._console.behind_proxy
        # It has to be known before there is an address, which may be a free one.
        self._http = HttpServer(
            self._call,
            self._console.listen.host,
            self._console.listen.port,
            setting="console.listen",
            most=_MOST_CONNECTIONS,
            headers=HEADERS,
        )
        self._link = None
        if users is None:
            self._link = LoginLink(login_link_path(config), self._http.url, terminal)
        self._gate = Gate(
            GateOptions(self._http.port, is_secure, self._console.behind_proxy),
            clock=SystemClock(),
            keys=ApiKeys(self._console.keys),
            users=users,
            link=self._link,
        )
        self._app = self._made(config)

    def _made(self, config: ServeConfig) -> Any:
        hosts = frozenset(self._console.hosts) or None
        return make_app(
            Verbs(self._stores, config),
            self._gate,
            hosts=hosts,
            is_local=self._console.is_local,
        )

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._http.url

    def start(self) -> None:
        """Accept requests from now on, and tell how to sign in."""
        self._http.start()
        if self._link is not None:
            self._link.tell()

    def reload(self, config: ServeConfig) -> bool:
        """Take another configuration over; False if only another process can.

        Sessions stay, as they are of the same users.
        """
        console = console_of(config)
        of_process = (console.listen, console.users, console.behind_proxy, console.hosts)
        now = self._console
        if of_process != (now.listen, now.users, now.behind_proxy, now.hosts):
            return False
        if config.store.address != self.config.store.address:
            return False
        self.config, self._console = config, console
        self._gate.exchange_keys(ApiKeys(console.keys))
        self._app = self._made(config)
        if self._link is not None and not self._link.is_written:  # as the disk was full
            self._link.tell()
        return True

    def close(self) -> None:
        """Stop: open requests have some seconds. Safe to repeat."""
        self._http.close()
        self._stores.close()
        if self._link is not None:
            self._link.close()
