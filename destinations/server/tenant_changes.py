"""Merge and erase customers of a partner while a server delivers for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from destinations.clock import WallClock
from destinations.errors import TemporaryError, UsageError
from destinations.operations import (
    AskedOfServer,
    asked_of_server,
    carry_out,
    delete_old_answers,
    refuse_change,
    tenants_of,
)
from destinations.pipeline.engine import Engine
from destinations.pipeline.queue import Scope
from destinations.server.tenants import ServedTenants
from destinations.store import (
    OpenStore,
    StoredQueue,
    Tenant,
    TenantChangedError,
    UnderWayError,
)

__all__ = ["TenantChanges"]

_LOG = logging.getLogger(__name__)

_LATEST: Final = 86_400.0
"""Seconds: lost answers are asked about by then; the pipeline that is made next says when."""


class TenantChanges:
    """Does what commands ask of a server, see `destinations.operations.tenant_changes`.

    All of it happens in the engine's thread. ``tenants`` gives those of a destination by its name,
    None if it has none now. ``flush`` writes the refused events that wait.
    """

    def __init__(
        self,
        store: OpenStore,
        queue: StoredQueue,
        engine: Engine,
        tenants: Callable[[str], ServedTenants | None],
        *,
        clock: WallClock,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._engine = engine
        self._tenants = tenants
        self._clock = clock
        self._flush = flush
        # By the id of what was asked: of which destination which scopes are held.
        self._held: dict[str, tuple[str, list[Scope]]] = {}
        self._fault = ""

    def look(self) -> None:
        """Do what was asked, where nothing of the tenants is under way; the rest is tried again."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - the next second may be better
            if str(error) != self._fault:
                _LOG.exception("tenants not merged or erased")
            self._fault = str(error)
            self._engine.looks_again = True
        else:
            self._fault = ""

    def _look(self) -> None:
        asked = asked_of_server(self._store)
        before, self._held = self._held, {}
        for one in asked:
            self._try(one)
        if asked or before:
            delete_old_answers(self._store, self._clock.time())
        for identity, (name, scopes) in before.items():
            if identity not in self._held:
                self._hold(name, scopes, is_changing=False)
        for name, scopes in self._held.values():
            self._hold(name, scopes, is_changing=True)
        self._engine.looks_again = bool(self._held)

    def _try(self, asked: AskedOfServer) -> None:
        found = tenants_of(self._store, asked)
        if isinstance(found, str):
            refuse_change(self._store, asked, found, self._clock.time())
            return
        gone, kept = found
        scopes = [gone.scope] if kept is None else [gone.scope, kept.scope]
        self._hold(asked.destination, scopes, is_changing=True)
        self._held[asked.id] = (asked.destination, scopes)
        if self._engine.is_settled(scopes):
            try:
                self._carry_out(asked, gone, kept)
            except UnderWayError:  # in another process
                return
            except TenantChangedError:
                pass  # another process was faster, and has answered
            except TemporaryError:
                raise
            except UsageError as error:  # such as a file of erasures that cannot be read
                refuse_change(self._store, asked, str(error), self._clock.time())
                self._hold(asked.destination, scopes, is_changing=False)
            del self._held[asked.id]

    def _hold(self, name: str, scopes: list[Scope], *, is_changing: bool) -> None:
        tenants = self._tenants(name)
        if tenants is not None:
            tenants.hold(scopes, is_changing=is_changing)

    def _carry_out(self, asked: AskedOfServer, gone: Tenant, kept: Tenant | None) -> None:
        tenants, store, now = self._tenants(asked.destination), self._store, self._clock.time()
        self._flush()
        # Of a process before, as no pipeline of theirs may have been made yet.
        self._queue.recover([one.scope for one in (gone, kept) if one is not None], _LATEST)
        if kept is None:
            self._erase(asked, gone, tenants)
            return

        def write() -> Scope:
            done = carry_out(store, asked, gone, kept, now)
            assert done is not None  # noqa: S101 - it is a merge
            return done.scope

        if tenants is None:
            write()
        else:
            tenants.merge(gone, kept, write)
        _LOG.info("tenant %s of %s merged into %s", gone.shown, asked.destination, kept.shown)

    def _erase(self, asked: AskedOfServer, gone: Tenant, tenants: ServedTenants | None) -> None:
        def erase() -> None:
            carry_out(self._store, asked, gone, None, self._clock.time())

        if tenants is None:
            erase()
        else:
            tenants.forget(gone, erase)
        self._queue.forget_names()
        _LOG.info("tenant %s of %s erased", gone.id, asked.destination)
