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

from destinations.engine.planning import plan
from destinations.engine.watcher import NullWatcher, Watcher
from destinations.errors import DestinationsError
from destinations.operations import Periods, count_waiting, note_server, prune
from destinations.server.app import Limits, Receiver
from destinations.server.binding import Bound, bind
from destinations.server.http_server import HttpServer
from destinations.server.ingest import Entrance, Route
from destinations.server.lock import StoreLock
from destinations.server.model import ServeConfig
from destinations.server.worker import OpenWorker, Resources, Worker
from destinations.store import GroupWriter, Store

__all__ = ["Service"]

_LOG = logging.getLogger(__name__)
_PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Opened:
    """A destination and where its events come in.

    ``worker`` is None while it cannot be opened; ``fault`` says why.
    """

    bound: Bound
    entrance: Entrance
    worker: Worker | None
    fault: str = ""


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
        self._opened: dict[str, _Opened] = {}
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
        return {name: f"{self._server.url}/v1/{name}" for name in self._opened}

    @property
    def strays(self) -> Mapping[str, int]:
        """How many deliveries wait for destinations that are not in the configuration, by name."""
        waiting = count_waiting(self._store)
        return {name: waiting[name] for name in sorted(waiting.keys() - self._opened.keys())}

    @property
    def needs_mending(self) -> bool:
        """Whether there is something to do for `mend`."""
        return any(each.worker is None for each in self._opened.values())

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
                self._store.limit_size(self.config.store.max_bytes)
            bound = bind(self.config, self._store)
            self._note(self.config)
            self._writer = GroupWriter(self._store)
            stack.callback(self._writer.close)
            listen = self.config.listen
            self._server = HttpServer(self._receiver, listen.host, listen.port)
            stack.callback(self._server.close)
            # First of all the workers stop: what is under way still has to be written.
            stack.callback(self._drain)
            self._let_in(bound, self._open(bound, self.config), {})
            self._server.start()
            self._starting = False
            self._warn(bound)
            self._closing = stack.pop_all()

    def reload(self, config: ServeConfig) -> None:
        """Exchanges the destinations for those of ``config``; what was accepted stays in the store.

        Raises `DefinitionError` before anything was changed. Whatever goes wrong later is raised
        once the destinations from before are open again; one that cannot be is left to `mend`.
        """
        bound = bind(config, self._store)
        if config.listen != self.config.listen or config.store != self.config.store:
            _LOG.warning("listen and store of the configuration change with the next start only")
        config = replace(config, listen=self.config.listen, store=self.config.store)
        former = self._opened
        _stop(_workers(former), config.drain_seconds)
        for each in former.values():
            # Events are taken all the while; only for the moment of the exchange they wait.
            self._server.call(each.entrance.close())
        try:
            # Now that nobody delivers: neither what was there before, nor what will be.
            self._note(config)
            workers = self._open(bound, config)
        except Exception:
            _LOG.warning("a reload failed, so the destinations from before are opened again")
            closed = (replace(each, worker=None, fault="") for each in former.values())
            self._opened = {each.bound.name: each for each in closed}
            with contextlib.suppress(DestinationsError):
                self._note(self.config)
            self.mend()
            raise
        self.config = config
        for name in former.keys() - workers.keys():
            _LOG.info("%s is no longer received; what waits for it stays in the store", name)
        self._let_in(bound, workers, {name: each.entrance for name, each in former.items()})
        self._warn(bound)

    def mend(self) -> None:
        """Opens what could not be opened when a reload failed; safe to repeat.

        What cannot be opened now either goes on to answer 503, and `unready` names it.
        """
        for name, each in self._opened.items():
            if each.worker is not None:
                continue
            try:
                workers = self._open([each.bound], self.config)
            except Exception as error:  # noqa: BLE001 - the others have to go on
                if str(error) != each.fault:
                    _LOG.error("%s cannot be opened: %s", name, error)
                self._opened = {**self._opened, name: replace(each, fault=str(error))}
            else:
                self._let_in([each.bound], workers, {name: each.entrance}, beside=self._opened)
                _LOG.info("%s is open", name)

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
        closed = [each for each in self._opened.values() if each.worker is None]
        return (*reasons, *(f"{each.bound.name} cannot be opened: {each.fault}" for each in closed))

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

    def _open(self, bound: Sequence[Bound], config: ServeConfig) -> Mapping[str, Worker]:
        """Workers that deliver from now on, by name; after a fault there is none of them."""
        resources = Resources(self._store, self._writer, config, self._watcher)
        workers: dict[str, Worker] = {}
        try:
            for each in bound:
                workers[each.name] = self._open_worker(each, resources)
            for worker in workers.values():
                worker.start()
        except BaseException:
            _stop(workers.values(), config.drain_seconds)
            raise
        return workers

    def _let_in(
        self,
        bound: Sequence[Bound],
        workers: Mapping[str, Worker],
        entrances: Mapping[str, Entrance],
        *,
        beside: Mapping[str, _Opened] | None = None,
    ) -> None:
        """Lets events in to these workers, through the entrances that there are."""
        opened = dict(beside or {})
        for each in bound:
            worker = workers[each.name]
            planned = functools.partial(plan, each.destination)
            route = Route(each.name, each.guard, planned, worker.inbox, each.types)
            entrance = entrances.get(each.name)
            if entrance is None:
                entrance = Entrance(route)
            else:
                self._server.call(_reopen(entrance, route))
            opened[each.name] = _Opened(each, entrance, worker)
        self._opened = opened
        self._receiver.entrances = {name: each.entrance for name, each in opened.items()}

    def _warn(self, bound: Sequence[Bound]) -> None:
        """Says what works and is not as it should be."""
        for each in bound:
            for warning in each.warnings:
                _LOG.warning("%s", warning)
        for name, count in self.strays.items():
            _LOG.warning(
                "%r is not in the configuration, and deliveries wait for it: %s; give it back "
                "under this name, or drop them with destinations deliveries drop",
                name,
                f"{count:,}",
            )

    def _note(self, config: ServeConfig) -> None:
        """Lets others know whose deliveries they must leave alone."""
        names = [each.name for each in config.destinations]
        store = self.config.store
        note_server(self._store, names, Periods(store.keep_days, store.dedupe_days))

    def _drain(self) -> None:
        _stop(_workers(self._opened), self.config.drain_seconds)
        self._left = sum(count_waiting(self._store).values())


async def _reopen(entrance: Entrance, route: Route) -> None:
    entrance.reopen(route)


def _workers(opened: Mapping[str, _Opened]) -> Collection[Worker]:
    return [each.worker for each in opened.values() if each.worker is not None]


def _stop(workers: Collection[Worker], seconds: float) -> None:
    """Stops workers side by side, so that they share the time that each may take."""

    def stop(worker: Worker) -> None:
        try:
            worker.stop(seconds)
        except Exception:  # noqa: BLE001 - the others have to be stopped all the same
            _LOG.exception("a destination could not be stopped in order")

    if workers:
        with ThreadPoolExecutor(len(workers), "stop") as pool:
            list(pool.map(stop, workers))
