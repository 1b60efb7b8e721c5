"""The sandbox as an object: an account, served on a port of this machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from destinations.errors import UsageError
from kana_destination.sandbox.arrivals import Arrivals
from kana_destination.sandbox.exchange import Site
from kana_destination.sandbox.execution import Account
from kana_destination.sandbox.faults import Faults
from kana_destination.sandbox.graphql_schema import Api
from kana_destination.sandbox.keys import Keys
from kana_destination.sandbox.log import RequestLog
from kana_destination.sandbox.seed import apply_seed, load_seed
from kana_destination.sandbox.server import GRAPHQL_PATH, SandboxServer
from kana_destination.sandbox.snapshot import take_snapshot
from kana_destination.sandbox.state import State
from kana_destination.sandbox.storage import Store

__all__ = ["Sandbox", "utc_now"]

# How often the server looks whether it is to stop.
_POLL_SECONDS = 0.02


def utc_now() -> datetime:
    """Return the time now, aware, in UTC."""
    return datetime.now(UTC)


class Sandbox:
    """A Kana account of your own, served over real HTTP on 127.0.0.1.

    ``seed`` is a YAML file, or its content as a mapping; by default it is the example account.
    ``port`` 0 picks a free one. With ``db`` the account is kept in that file, and a mutation is on
    disk before its answer; the seed is used only if the file is empty. For ``api`` see
    :data:`~kana_destination.sandbox.graphql_schema.Api`. ``clock`` returns the time, aware.

    Raises :class:`~destinations.errors.DefinitionError` with every issue in the seed, and
    :class:`~destinations.errors.UsageError` if the file or the port cannot be used. A context
    manager: it starts the sandbox, and stops it at the end.
    """

    def __init__(
        self,
        seed: Path | Mapping[str, Any] | None = None,
        *,
        port: int = 0,
        db: Path | None = None,
        api: Api = "current",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        loaded = load_seed(seed)
        self.faults = Faults()
        self.requests = RequestLog()
        self._arrivals = Arrivals()
        self._port = port
        self._keys = Keys(loaded.api_keys)
        state = State() if db is None else _open_state(db)
        self._account = Account(state, api, clock)
        if state.is_empty:
            apply_seed(loaded, state, self._account.now())
            state.commit()
        self._server: SandboxServer | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> Self:
        """Listen and serve in a thread; the server is ready when this returns."""
        if self._closed:
            raise UsageError("the sandbox has been stopped: make a new one")
        if self._server is None:
            site = Site(
                self._account,
                self._keys,
                self.faults,
                self.requests,
                self.snapshot,
                self._arrivals,
            )
            try:
                self._server = SandboxServer(site, self._port)
            except (OSError, OverflowError) as error:
                self.stop()
                raise UsageError(f"cannot use the port {self._port}: {error}") from None
            self._thread = threading.Thread(
                target=self._server.serve_forever,
                kwargs={"poll_interval": _POLL_SECONDS},
                name="kana-sandbox",
                daemon=True,
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, end every connection and close the database file; safe to repeat."""
        self._closed = True
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None
        self._account.close()

    @property
    def url(self) -> str:
        """The full URL of the GraphQL endpoint. Raises ``UsageError`` before the start."""
        if self._server is None:
            raise UsageError("the sandbox is not started, so it has no URL")
        return f"http://127.0.0.1:{self._server.server_port}{GRAPHQL_PATH}"

    @property
    def api_key(self) -> str:
        """A key that is accepted: the seed's first, or the sandbox's own."""
        return self._keys.shown

    def snapshot(self) -> dict[str, Any]:
        """Return all that the account holds, like `kana_destination.sandbox.snapshot`."""
        with self._account.lock:
            return take_snapshot(self._account.state, self._account.now().toordinal())

    def arrive(self) -> int:
        """Run the late and repeated requests that fault rules still hold back; return how many."""
        late = self._arrivals.take()
        for request in late:
            self._account.run(request)
        return len(late)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _open_state(db: Path) -> State:
    store = Store(db)
    try:
        return State(store)
    except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
        store.close()
        raise UsageError(f"{db}: is damaged, or of another version: {error!r}") from None
