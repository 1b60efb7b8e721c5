"""The process that a company leaves running: receives, delivers, reloads, and stops in order."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from destinations.deliveries import prune
from destinations.engine.planning import plan
from destinations.engine.watcher import NullWatcher, Watcher
from destinations.errors import DestinationsError
from destinations.receiver import Entrance, HttpServer, Limits, Receiver, Route
from destinations.service.binding import Bound, bind
from destinations.service.lock import StoreLock
from destinations.service.model import ServeConfig
from destinations.service.worker import OpenWorker, Resources, Worker
from destinations.store import GroupWriter, Store

__all__ = ["Service"]

_LOG = logging.getLogger(__name__)
_PAGE: Final = 4096
_PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Running:
    bound: Bound
    worker: Worker
    entrance: Entrance


class Service:
    """Everything that one configuration describes; `start`, `reload` and `stop` in one thread.

    ``open_worker`` makes what delivers for a destination; ``metrics`` is the text for ``/metrics``.
    """

    def __init__(
        self,
        config: ServeConfig,
        open_worker: OpenWorker,
        *,
        metrics: Callable[[], bytes],
        watcher: Watcher | None = None,
    ) -> None:
        self.config = config
        self._open_worker = open_worker
        self._watcher = watcher or NullWatcher()
        self._running: dict[str, _Running] = {}
        self._closing = contextlib.ExitStack()
        self._starting = True
        self._left = 0
        self._probed: tuple[float, Sequence[str]] = (-math.inf, ())
        self._receiver = Receiver(
            metrics=metrics,
            unready=self.unready,
            limits=Limits(config.listen.max_body_bytes, config.listen.body_seconds),
            watcher=self._watcher,
        )

    @property
    def urls(self) -> Mapping[str, str]:
        """By the name of each destination, where its events go."""
        return {name: f"{self._server.url}/v1/{name}" for name in self._running}

    def start(self) -> None:
        """Returns when events are received.

        Raises `DefinitionError` for what does not fit together, and `UsageError` if the store or
        the port is taken.
        """
        with contextlib.ExitStack() as stack:
            lock = StoreLock(self.config.store.path)
            stack.callback(lock.release)
            self._store = Store(self.config.store.path)
            stack.callback(self._store.close)
            if self.config.store.max_bytes is not None:
                self._store.limit_size(self.config.store.max_bytes // _PAGE)
            bound = bind(self.config, self._store)
            self._writer = GroupWriter(self._store)
            stack.callback(self._writer.close)
            listen = self.config.listen
            self._server = HttpServer(self._receiver, listen.host, listen.port)
            stack.callback(self._server.close)
            # First of all the workers stop: what is under way still has to be written.
            stack.callback(self._drain)
            for each in bound:
                self._open(each)
            for running in self._running.values():
                running.worker.start()
            self._server.start()
            self._starting = False
            self._closing = stack.pop_all()

    def reload(self, config: ServeConfig) -> None:
        """Exchanges the destinations for those of ``config``; what was accepted stays in the store.

        Raises `DefinitionError` before anything was changed.
        """
        bound = bind(config, self._store)
        if config.listen != self.config.listen or config.store != self.config.store:
            _LOG.warning("listen and store of the configuration change with the next start only")
        self.config = replace(config, listen=self.config.listen, store=self.config.store)
        kept = {each.name for each in bound}
        for name in self._running.keys() - kept:
            _LOG.info("%s is no longer received; what waits for it stays in the store", name)
        entrances = {name: it.entrance for name, it in self._running.items() if name in kept}
        self._receiver.entrances = entrances
        former = self._running
        _stop(former.values(), config.drain_seconds)
        for running in former.values():
            # Events are taken all the while; only for the moment of the exchange they wait.
            self._server.call(running.entrance.close())
        self._running = {}
        for each in bound:
            before = former.get(each.name)
            self._open(each, before.entrance if before is not None else None)
        for running in self._running.values():
            running.worker.start()

    def stop(self) -> int:
        """Drains and closes everything; how many deliveries are left in the store.

        From the beginning of it on, senders get 503 with ``Retry-After``. Safe to repeat.
        """
        self._receiver.draining = True
        self._closing.close()
        return self._left

    def prune(self) -> None:
        """Lets go of what nothing needs any more; any thread may call it.

        Raises `UsageError` if the store cannot be written.
        """
        store = self.config.store
        prune(self._store, time.time(), store.keep_days, store.dedupe_days)

    def unready(self) -> Sequence[str]:
        """Why no events should be sent here now; empty if they may be."""
        if self._starting:
            return ("starting",)
        probed_at, reasons = self._probed
        if time.monotonic() - probed_at >= _PROBE_SECONDS:
            reasons = self._probe()
            self._probed = (time.monotonic(), reasons)
        return reasons

    def _probe(self) -> Sequence[str]:
        """Whether the store can be written: the version that it has is written once more."""
        try:
            (version,) = self._store.one("PRAGMA user_version") or (0,)
            write = f"PRAGMA user_version = {int(version)}"
            self._writer.submit(lambda connection: connection.execute(write)).result(timeout=5)
        except TimeoutError:
            return ("the store takes longer than 5 s to write",)
        except DestinationsError as error:
            return (f"the store cannot be written: {error}",)
        return ()

    def _open(self, bound: Bound, entrance: Entrance | None = None) -> None:
        """Opens a destination's queue, and lets events in."""
        resources = Resources(self._store, self._writer, self.config, self._watcher)
        worker = self._open_worker(bound, resources)
        route = Route(
            bound.name,
            bound.guard,
            functools.partial(plan, bound.destination),
            worker.inbox,
            bound.types,
        )
        if entrance is None:
            entrance = Entrance(route)
        else:
            self._server.call(_reopen(entrance, route))
        self._running[bound.name] = _Running(bound, worker, entrance)
        self._receiver.entrances = {**self._receiver.entrances, bound.name: entrance}

    def _drain(self) -> None:
        _stop(self._running.values(), self.config.drain_seconds)
        (self._left,) = self._store.all("SELECT count(*) FROM deliveries WHERE state <> 'done'")[0]


async def _reopen(entrance: Entrance, route: Route) -> None:
    entrance.reopen(route)


def _stop(stopped: Collection[_Running], seconds: float) -> None:
    """Stops workers side by side, so that they share the time that each may take."""
    if stopped:
        with ThreadPoolExecutor(len(stopped), "stop") as pool:
            list(pool.map(lambda running: running.worker.stop(seconds), stopped))
