"""The sandbox as an object: one account or several, served on a port of this machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from destinations.errors import UsageError
from destinations.sandbox.server import RunningServer
from kana_destination.sandbox.accounts import GRAPHQL_PATH, Accounts, key_digest
from kana_destination.sandbox.errors import KanaError
from kana_destination.sandbox.exchange import KanaAccount
from kana_destination.sandbox.execution import Account
from kana_destination.sandbox.graphql_schema import Api
from kana_destination.sandbox.keys import Keys
from kana_destination.sandbox.seed import AccountSeed, Seed, apply_seed, load_seed
from kana_destination.sandbox.state import State
from kana_destination.sandbox.storage import Store

__all__ = ["Sandbox", "utc_now"]


def utc_now() -> datetime:
    """Return the time now, aware, in UTC."""
    return datetime.now(UTC)


class Sandbox:
    """A Kana account of your own, served over real HTTP on 127.0.0.1.

    ``seed`` is a YAML file, or its content as a mapping; by default it is the example account.
    ``port`` 0 picks a free one. With ``db`` the account is kept in that file, and a mutation is on
    disk before its answer; the seed is used only if the file is empty. For ``api`` see
    :data:`~kana_destination.sandbox.graphql_schema.Api`. ``clock`` returns the time, aware.

    With ``accounts`` in the seed there is an account for each key: :meth:`account` returns one.
    ``faults``, ``requests``, ``api_key``, :meth:`snapshot` and :meth:`arrive` are then those of the
    first. In the file, each account that is not there yet starts from the seed.

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
        self._port = port
        self._store = None if db is None else Store(db)
        self._accounts = _accounts(loaded, self._store, api, clock)
        self._first = self._accounts.first
        self.faults = self._first.faults
        self.requests = self._first.requests
        self._server: RunningServer | None = None
        self._closed = False

    def start(self) -> Self:
        """Listen and serve in a thread; the server is ready when this returns."""
        if self._closed:
            raise UsageError("the sandbox has been stopped: make a new one")
        if self._server is None:
            try:
                self._server = RunningServer(self._accounts, self._port)
            except UsageError:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop serving, end every connection and close the database file; safe to repeat."""
        self._closed = True
        if self._server is not None:
            self._server.stop()
            self._server = None
        for served in self._accounts:
            served.account.close()
        if self._store is not None:
            self._store.close()

    @property
    def url(self) -> str:
        """The full URL of the GraphQL endpoint. Raises ``UsageError`` before the start."""
        if self._server is None:
            raise UsageError("the sandbox is not started, so it has no URL")
        return self._server.origin + GRAPHQL_PATH

    @property
    def api_key(self) -> str:
        """A key that is accepted: the seed's first, or the sandbox's own."""
        return self._first.keys.shown

    def account(self, api_key: str) -> KanaAccount:
        """Return the account of a key; raises ``UsageError`` for a key that is not accepted."""
        try:
            return self._accounts.opened(api_key)
        except KanaError as error:
            raise UsageError(str(error)) from None

    def snapshot(self) -> dict[str, Any]:
        """Return all that the account holds, like `kana_destination.sandbox.snapshot`."""
        return self._first.snapshot()

    def arrive(self) -> int:
        """Run the late and repeated requests that fault rules still hold back; return how many."""
        return self._first.arrive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _accounts(seed: Seed, store: Store | None, api: Api, clock: Callable[[], datetime]) -> Accounts:
    def serve(one: AccountSeed, name: str) -> KanaAccount:
        account = Account(_open_state(store, name), api, clock)
        if account.state.is_empty:
            apply_seed(one, account.state, account.now())
            account.state.commit()
        return KanaAccount(account=account, keys=Keys(one.api_keys))

    if not seed.has_keys:
        return Accounts(serve(seed.accounts[0], ""))
    keyed = [(key, one) for one in seed.accounts for key in one.api_keys]
    refusing = KanaAccount(
        account=Account(State(), api, clock), keys=Keys([key for key, _ in keyed])
    )
    return Accounts(refusing, [(key, serve(one, key_digest(key))) for key, one in keyed])


def _open_state(store: Store | None, name: str) -> State:
    if store is None:
        return State()
    try:
        return State(store, name)
    except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
        store.close()
        raise UsageError(f"{store.path}: is damaged, or of another version: {error!r}") from None
