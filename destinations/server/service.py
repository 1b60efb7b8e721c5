"""The process that a company leaves running: receives, delivers, reloads, and stops in order."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from destinations._version import __version__
from destinations.clock import SystemClock, WallClock
from destinations.definition.setting_uses import account_settings
from destinations.errors import DestinationsError, TemporaryError, UsageError
from destinations.http.transport import HttpTransport
from destinations.oauth2 import AccessTokens
from destinations.operations import (
    StoredPauses,
    ask_server,
    check_account,
    count_waiting,
    lock_account,
    note_server,
    note_start,
    prune,
    refused_credentials,
    resume_credentials,
    stopped_destinations,
)
from destinations.operations.tokens import stored_tokens
from destinations.pipeline.breaker import Breaker
from destinations.pipeline.engine import Engine
from destinations.pipeline.exclusion import PartnerAccount
from destinations.pipeline.fair_share import FairShare
from destinations.pipeline.intake import Intake
from destinations.pipeline.lease import Session
from destinations.pipeline.membership import Membership
from destinations.pipeline.observer import Observer, Observers
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import Scope
from destinations.pipeline.rate_limit import rate_limited
from destinations.pipeline.reconcile import longest_repeat, longest_settling, longest_way
from destinations.pipeline.retry import RetryPolicy
from destinations.pipeline.shared_limits import ClusterBreaker, SharedLimits
from destinations.runtime.plugins import plugin_code
from destinations.runtime.sender import Sender
from destinations.secrets import REPLACE_KEY
from destinations.server.alerting import Alerting, BreakerTimes
from destinations.server.app import Receiver
from destinations.server.auth import Authenticator
from destinations.server.binding import Bound, bind
from destinations.server.body_reader import Limits
from destinations.server.config_model import ServeConfig
from destinations.server.connections import most_connections
from destinations.server.durability import DurabilityWatch
from destinations.server.event_sources import EventSource, EventSources
from destinations.server.header_settings import HeaderSettings
from destinations.server.http_server import HttpServer
from destinations.server.ingest_route import IngestRoute
from destinations.server.keys import KeyRules
from destinations.server.postponed_intake import PostponedIntake
from destinations.server.refused_events import RefusedBounds, RefusedKeeper
from destinations.server.running import (
    CONFIGURATION,
    configuration_note,
    connections_noted,
)
from destinations.server.store_opening import open_to_serve, store_figures
from destinations.server.tenant_changes import TenantChanges
from destinations.server.tenant_pipelines import TenantPipelines
from destinations.server.tenants import ServedTenants
from destinations.store import (
    DocumentsVersion,
    SealedValues,
    Tenant,
    Tenants,
    TenantSecrets,
    TenantStore,
)
from destinations.telemetry import Observation, StoreFigures, TenantCounts

__all__ = ["Role", "Service"]

_LOG = logging.getLogger(__name__)
_PROBE_SECONDS: Final = 1.0
_REOPEN_SECONDS: Final = 0.2

_KEY_PAUSE: Final = 300.0
"""Seconds between two requests to a partner that refuses the credentials of a destination."""

Role = Literal["receive", "deliver", "both"]
"""What a server does: several may share a store in PostgreSQL, each with its own role."""

_OPERATORS: Final = 32
"""Connections of operators and their machines; their descriptors are in the reserve."""


@dataclass(frozen=True, slots=True)
class _Served:
    """A destination of the configuration, and what sends for it.

    ``fault`` says why nothing is delivered for it now; empty if something is. Where its senders are
    customers with keys of their own, these are its ``tenants``, who take turns in ``share``.
    """

    bound: Bound
    scope: Scope
    route: IngestRoute
    transport: HttpTransport
    policy: RetryPolicy
    stop: threading.Event
    pauses: StoredPauses
    fault: str = ""
    tenants: ServedTenants | None = None
    share: FairShare | None = None


class _Credentials(Observer):
    """Knows whose credentials the partners refuse now."""

    def __init__(self) -> None:
        self.unaccepted: Sequence[str] = ()

    def credentials(self, destination: str, state: str, reason: str = "") -> None:  # noqa: ARG002 - the note has it
        """See `Observer.credentials`."""
        others = [name for name in self.unaccepted if name != destination]
        self.unaccepted = [*others, destination] if state == "refused" else others


class Service:
    """Everything that one configuration describes; `start`, `reload` and `stop` in one thread.

    By its ``role`` it receives events, delivers them, or does both; see `Role`.
    """

    def __init__(
        self,
        config: ServeConfig,
        observation: Observation,
        *,
        clock: WallClock | None = None,
        role: Role = "both",
    ) -> None:
        if role != "both" and isinstance(config.store.address, Path):
            raise UsageError(
                f"a server that only {role}s needs a store in PostgreSQL: one that is a file, such "
                f"as {config.store.address}, has a single server"
            )
        self.config = config
        self.role: Final[Role] = role
        self._session: Session | None = None
        self._limits: SharedLimits | None = None
        self._tokens: AccessTokens | None = None
        # What changes the destinations: reloads, and a lease that was lost.
        self._changing = threading.RLock()
        self._observation = observation
        self._credentials = _Credentials()
        self._clock = clock or SystemClock()
        self._breakers = BreakerTimes(self._clock.time)
        self._observer = Observers([observation.observer, self._credentials, self._breakers])
        self._alerting: Alerting | None = None
        self._served: dict[str, _Served] = {}
        self._accounts: Mapping[str, PartnerAccount] = {}
        self._closing = contextlib.ExitStack()
        self._locks: dict[int, contextlib.ExitStack] = {}
        self._admin: HttpServer | None = None
        self._stopped: Mapping[str, float] = {}
        self._starting = True
        self._left = 0
        self._probed: tuple[float, Sequence[str]] = (-math.inf, ())
        self._receiver = Receiver(
            metrics=observation.metrics,
            unready=self.unready,
            remarks=self.remarks,
            limits=Limits(config.listen.max_body_bytes, config.listen.body_seconds),
            observer=self._observer,
            trusted=config.listen.trusted_proxies,
        )
        self._receiver.serves_pages = config.admin is None

    @property
    def pages_url(self) -> str:
        """Return where the pages for operators are: on an address of their own, or with events."""
        return (self._server if self._admin is None else self._admin).url

    @property
    def urls(self) -> Mapping[str, str]:
        """By the name of each destination that can be posted to, where its events go."""
        if not self.receives:
            return {}
        return {
            name: f"{self._server.url}/v1/{name}"
            for name, each in self._served.items()
            if each.bound.config.is_posted_to
        }

    @property
    def source_url(self) -> str | None:
        """The host that SDKs are configured with; None if there is no source."""
        return self._server.url if self.config.sources and self.receives else None

    @property
    def unconfigured(self) -> Mapping[str, int]:
        """The number of deliveries waiting for destinations outside the configuration, by name."""
        waiting = count_waiting(self._store, time.time())
        return {name: waiting[name] for name in sorted(waiting.keys() - self._served.keys())}

    def watch_queues(self) -> None:
        """Show the queues of the destinations that there are, and those that wait for others.

        Of sources, what they are refused.
        """
        for source in self.config.sources:
            self._observation.follow_source(source.name)
        self._observation.keep(self._served.keys(), self._ledger, self.unconfigured.keys())

    def progress(self) -> Mapping[str, int]:
        """Return a number for each part that has to go on, by name.

        See `destinations.server.notify.Watchdog`.
        """
        return {"engine": self._engine.rounds, "receiver": self._server.turns()}

    @property
    def needs_repair(self) -> bool:
        """Whether there is something to do for `repair`."""
        unwritten = bool(self._store.database.health.why)
        return unwritten or any(each.fault for each in self._served.values())

    def start(self) -> None:
        """Return when events are received and delivered.

        Raises `DefinitionError` for what does not fit together, `UsageError` if the store cannot
        be used, and `TemporaryError` if the store or the port is taken, or the store's folder is
        not there: it may be on a disk that is not mounted yet.
        """
        with contextlib.ExitStack() as stack:
            self._store = stack.enter_context(open_to_serve(self.config.store.address))
            stack.callback(self._unlock)
            self._store.database.health.tell = self._tell_of_store
            self._durability = DurabilityWatch(
                self._store.durability_issues, is_replicated=self.config.store.is_replicated
            )
            self._durability.refresh()
            note_start(self._store)
            self._ledger = self._store.ledger()
            self._keeper = RefusedKeeper(
                self._store.refused(),
                mask=self._observation.masked,
                unkept=self._observer.unkept,
                internal_error=self._observer.internal_error,
            )
            stack.callback(self._keeper.close)
            self._receiver.refusing = self._keeper
            self._admin = self._open_admin(stack)
            if self.config.store.max_bytes is not None:
                self._store.database.limit_size(self.config.store.max_bytes)
            self._sealed = self._opened_seals(self.config)
            if self._sealed is not None:
                self._tokens = stored_tokens(self._store, self._sealed, self._clock)
            bound = self._bind(self.config, starts=True)
            self._note(bound, runs=True)
            if self.delivers:
                self._join_others(stack)
            self._queue = self._store.queue(self._clock, lease=self._session)
            self._queue.keep_recent = self.config.keep_recent
            self._queue.attempts = self.config.keep_attempts
            self._engine = Engine(
                self._queue,
                clock=self._clock,
                observer=self._observer,
                max_open=self.config.max_events,
                lease=self._session,
            )
            self._changes = TenantChanges(
                self._store,
                self._queue,
                self._engine,
                self._tenants_of,
                clock=self._clock,
                flush=self._keeper.flush,
            )
            self._engine.changed = self._look_at_changes
            self._engine.looks_again = True  # what a server before did not get to
            self._engine.start()
            stack.callback(self._engine.close)
            listen = self.config.listen
            self._server = HttpServer(
                self._receiver,
                listen.host,
                listen.port,
                most=most_connections(listen.max_connections, _partner_connections(bound)),
                turned_away=self._observer.turned_away,
                refused=partial(self._observer.refused, ""),
            )
            stack.callback(self._server.close)
            # What others deliver next must not be under way here.
            stack.callback(self._leave_others)
            # First of all deliveries stop: what is under way still has to be written.
            stack.callback(self._drain)
            self._accounts = _accounts(bound)
            for each in bound:
                served = self._served[each.name] = self._prepared(each)
                self._open(served)
            self._take_lanes()
            self._receive()
            self._keeper.start()
            self._server.start()
            self._starting = False
            self._warn(bound)
            self._observe()
            self._watch_for_alerts(stack)
            self._closing = stack.pop_all()

    def _observe(self) -> None:
        self._observation.follow_store(self._store_figures)
        self._observation.follow_tenants(self._tenant_counts)
        self._observation.follow_ready(lambda: not self._receiver.draining and not self.unready())
        self._observation.loaded(successful=True)

    def _watch_for_alerts(self, stack: contextlib.ExitStack) -> None:
        """Let people know of what is wrong, if this process delivers."""
        if not self.delivers:
            return
        self._alerting = Alerting(
            self._store,
            self._observation,
            clock=self._clock,
            breakers=self._breakers,
            store_figures=self._store_figures,
            tenant_counts=self._tenant_counts,
            session=self._session,
            limits=self._limits,
        )
        self._alerting.configure(self.config)
        self._alerting.start()
        stack.callback(self._alerting.close)  # before the store closes

    def _open_admin(self, stack: contextlib.ExitStack) -> HttpServer | None:
        """Serve the pages for operators on their own address, from now until all is closed."""
        if self.config.admin is None:
            return None
        listen = self.config.admin.listen
        server = HttpServer(
            self._receiver.pages,
            listen.host,
            listen.port,
            setting="admin.listen",
            most=_OPERATORS,
        )
        stack.callback(server.close)
        server.start()
        return server

    def _join_others(self, stack: contextlib.ExitStack) -> None:
        """Join the processes that deliver from the store, if there may be several."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._session = self._store.session(name, __version__, self.config.store.lease)
        if self._session is not None:
            self._limits = self._store.limits(self._session)
            if self._limits is not None:
                stack.callback(self._limits.close)

    def _take_lanes(self) -> None:
        """Deliver, for the users of some lanes if others deliver as well."""
        if self._session is not None:
            self._session.holder = Membership(self._engine, self._session, self._reopen)
            self._session.start()
            for each in self._served.values():
                if each.tenants is None:  # who began to run meanwhile is seen here, or sees this
                    account = self._store.accounts().of_scope(each.scope)
                    check_account(
                        self._store, account.id, f"{each.bound.identity.slug} at {account.shown}"
                    )

    def _leave_others(self) -> None:
        if self._session is not None:
            self._session.close()

    @property
    def delivers(self) -> bool:
        """Whether it delivers events, those of other processes as well."""
        return self.role != "receive"

    @property
    def receives(self) -> bool:
        """Whether it takes events."""
        return self.role != "deliver"

    def _reopen(self) -> None:
        """Deliver again for all destinations, as a lease was lost and all was forgotten.

        In the thread of the lease, which must not wait for a server that stops.
        """
        while not self._changing.acquire(timeout=_REOPEN_SECONDS):
            if self._receiver.draining:
                return
        try:
            self._unlock()
            self._accounts = _accounts([each.bound for each in self._served.values()])
            for name, served in list(self._served.items()):
                self._try_open(name, served)
        finally:
            self._changing.release()

    def reload(self, config: ServeConfig) -> None:
        """Exchange the destinations for those of ``config``; events are taken all the while.

        Raises `DefinitionError` or `UsageError` before anything was changed. A destination for
        which nothing can be delivered after that is left to `repair`.
        """
        with self._changing:
            self._reload(config)

    def _reload(self, config: ServeConfig) -> None:
        bound = self._bind(config)
        now = self.config
        kept = replace(
            config, listen=now.listen, admin=now.admin, store=now.store, sealing=now.sealing
        )
        if kept != config:
            _LOG.warning("changes to listen, admin, store and sealing ignored until the next start")
        config = kept
        former = self._served
        fresh = {each.name: self._prepared(each) for each in bound}
        # Before anything ends: if this cannot be written, the former destinations continue.
        self._note([each.bound for each in (*former.values(), *fresh.values())])
        self._close(former.values())
        self.config, self._served, self._accounts = config, fresh, _accounts(bound)
        self._engine.max_open = config.max_events
        self._queue.keep_recent = config.keep_recent
        self._queue.attempts = config.keep_attempts
        try:
            self._note([each.bound for each in fresh.values()], runs=True)
        except UsageError as error:  # then the former ones stay, too
            _LOG.warning("removed destinations not noted in the store: %s", error)
        for name in former.keys() - fresh.keys():
            _LOG.info("destination %s removed; its deliveries stay in the store", name)
        self._receive()
        for name, served in fresh.items():
            self._try_open(name, served)
        self._warn(bound)
        if self._alerting is not None:
            self._alerting.configure(config)

    def repair(self) -> None:
        """Deliver for what could not be delivered for after a reload; safe to repeat.

        If the store cannot be written, it is tried: recovery is noticed even if no events arrive.
        """
        if self._store.database.health.why:
            self._probe()
        with self._changing:
            for name, served in list(self._served.items()):
                if served.fault:
                    self._try_open(name, served)

    def stop(self) -> int:
        """Drain and close everything; returns how many deliveries are left in the store.

        From the beginning of it on, senders get 503 with ``Retry-After``. Safe to repeat.
        """
        self._receiver.draining = True
        with self._changing:
            self._closing.close()
        return self._left

    def maintain(self) -> None:
        """Do what several processes leave to be done now and then; any thread may call it."""
        self._store.maintain()

    def prune(self) -> None:
        """Delete old data; any thread may call it.

        Raises `UsageError` if the store cannot be written.
        """
        prune(self._store, self._store.now, self.config.periods)

    def unready(self) -> Sequence[str]:
        """Return why no events should be sent here now; empty if they may be."""
        if self._starting:
            return ("starting",)
        probed_at, reasons = self._probed
        if time.monotonic() - probed_at >= _PROBE_SECONDS:
            reasons = self._probe()
            if not reasons:
                self._durability.refresh()
            reasons = (*reasons, *self._durability.reasons(), *self._unconnected())
            self._probed = (time.monotonic(), reasons)
        why = self._store.database.health.why
        unwritten = f"the store cannot be written: {why}"
        if why and unwritten not in reasons:
            reasons = (unwritten, *reasons)
        if not self.receives:
            reasons = (*reasons, *self._without_lease())
        closed = [(name, each.fault) for name, each in self._served.items() if each.fault]
        return (*reasons, *(f"{name} cannot be opened: {fault}" for name, fault in closed))

    def remarks(self) -> Sequence[str]:
        """Return whose credentials are refused, and what pauses.

        Events for them are accepted, and wait: others must not go without because of them.
        """
        unaccepted = self._credentials.unaccepted
        noted = refused_credentials(self._store) if unaccepted else {}
        refused = [
            f"{name}: the partner refuses the credentials, its events wait; "
            f"{noted[name].cure if name in noted else REPLACE_KEY}; "
            "destinations resume tries the same key again"
            for name in unaccepted
        ]
        stopped = [
            f"{name} is paused by an operator: its events wait; destinations resume continues"
            for name in self._stopped
            if name in self._served
        ]
        unfit = [
            f"{name}: its connection does not fit the definition, its events wait: "
            f"{each.bound.fault}"
            for name, each in self._served.items()
            if each.bound.fault
        ]
        losses = () if self._starting else self._durability.remarks()
        return [*refused, *stopped, *unfit, *losses, *self._without_lease()] + [
            f"{name}: {action} pauses, its events wait; destinations status says why"
            for name, each in self._served.items()
            for action in each.pauses.actions
        ]

    def _without_lease(self) -> Sequence[str]:
        """Return why this process delivers nothing now: others deliver what comes in."""
        session = self._session
        if self._starting or session is None or session.remaining() > 0:
            return ()
        why = "" if session.last_error is None else f": {session.last_error}"
        return (f"this process delivers nothing, as its lease is not renewed{why}",)

    def _unconnected(self) -> Sequence[str]:
        """Return why this process cannot connect to partners; what is accepted waits."""
        return [
            f"{name} cannot be delivered to: {issue}"
            for name, each in self._served.items()
            for issue in each.bound.destination.environment_issues()
        ]

    def _probe(self) -> Sequence[str]:
        """Look whether the store can be written: the version that it has is written once more."""
        try:
            self._engine.submit(self._store.database.probe).result(timeout=5)
        except TimeoutError:
            return ("the store takes longer than 5 s to write",)
        except DestinationsError as error:
            return (f"the store cannot be written: {error}",)
        return ()

    def _store_figures(self) -> StoreFigures:
        self._durability.refresh()
        is_durable = not self._durability.reasons()
        return store_figures(self._store, self.config.store.max_bytes, is_durable=is_durable)

    def _tenant_counts(self) -> TenantCounts:
        return {
            name: served.tenants.count_states()
            for name, served in self._served.items()
            if served.tenants is not None
        }

    def _tell_of_store(self, why: str) -> None:
        """Log once that the store cannot be written, and once that it can be again."""
        if why:
            _LOG.error("store not writable, events refused until it is: %s", why)
        else:
            _LOG.warning("store writable again")

    # -- what delivers -------------------------------------------------------------------------

    def _bind(self, config: ServeConfig, *, starts: bool = False) -> Sequence[Bound]:
        """Return the destinations of a configuration, and mask their secrets from now on.

        Nothing is changed if one does not fit. But when the server ``starts``, a connection that
        it had before keeps nothing else from being delivered: its definition is another one now.
        """
        if starts:
            bound = bind(config, self._store, has_fitted=connections_noted(self._store))
        else:
            bound = bind(config, self._store)
        for each in bound:
            if each.has_tokens and self._tokens is None:
                raise UsageError(
                    f"{each.name} gets access tokens, which the store keeps sealed: sealing is "
                    "read when the server starts, so start it again"
                )
            each.destination.keep_tokens(self._tokens)
            if each.config.receiver.tenants is None:
                self._store.accounts().find(each.identity)
        for source in config.sources:
            self._store.accounts().of_source(source.name)
        # All at once: what is not among the secrets any more is only masked for some time.
        self._observation.mask(
            [
                *(secret for each in bound for secret in each.secrets),
                *(key for source in config.sources for key in source.keys),
                *config.alerts.secrets,
            ]
        )
        return bound

    def _prepared(self, bound: Bound) -> _Served:
        """Return what delivers for a destination; nothing is delivered yet."""
        destination, delivery = bound.destination, bound.config.delivery
        definition = destination.definition.transport
        stop = threading.Event()
        http = HttpTransport(
            definition.timeouts, allow_private=delivery.allow_private, permission=self._session
        )
        policy = RetryPolicy.of(
            definition.retry,
            deadline=delivery.deadline_seconds,
            wait_for=delivery.wait_for_seconds,
            repeat_after=longest_repeat(bound.destination.definition),
            outage="dead",
        )
        pauses = StoredPauses(self._store, bound.name)
        if bound.config.receiver.tenants is not None:
            return self._prepared_for_tenants(bound, http, policy, stop, pauses)
        scope = self._store.accounts().served(bound.name, bound.identity)
        intake = Intake(destination, self._store.gap())
        if bound.fault:
            subscriptions = bound.config.spec.get("subscriptions")
            intake = PostponedIntake(destination, subscriptions, self._store.gap())
        route = IngestRoute(
            bound.name,
            bound.authenticator,
            destination,
            intake,
            scope,
            self._engine,
            bound.types,
        )
        return _Served(bound, scope, route, http, policy, stop, pauses)

    def _prepared_for_tenants(
        self,
        bound: Bound,
        http: HttpTransport,
        policy: RetryPolicy,
        stop: threading.Event,
        pauses: StoredPauses,
    ) -> _Served:
        config = bound.config.receiver.tenants
        assert config is not None  # noqa: S101 - that is why it is called
        assert self._sealed is not None  # noqa: S101 - the configuration demands it
        base, store = bound.destination, self._store
        version = DocumentsVersion(store.database)
        secrets = TenantSecrets(store.database, self._sealed)
        tenants = ServedTenants(
            bound.name,
            base,
            bound.config.settings,
            config.key,
            tenants=Tenants(store.database),
            secrets=secrets,
            engine=self._engine,
            transport=http,
            code=lambda tenant: plugin_code(bound.plugin, TenantStore(store, tenant, version)),
            clock=self._clock,
            stop=stop,
            gap=store.gap(),
            rules=KeyRules(refuse_after=config.refuse_after_seconds),
            join=self._join,
            header=_header(bound, secrets),
            postponed=bound.config.spec if bound.fault else None,
        )
        tenants.is_shared = not isinstance(self.config.store.address, Path)
        scope = Scope(0, bound.name)  # of none of them
        route = IngestRoute(
            bound.name,
            bound.authenticator,
            base,
            Intake(base, store.gap()),
            scope,
            self._engine,
            bound.types,
            tenants,
        )
        share = TenantPipelines(
            *(bound, tenants, store, self._queue, http, policy, self._clock, self._observer, stop),
            limits=self._limits,
        ).share()
        return _Served(
            *(bound, scope, route, http, policy, stop, pauses),
            tenants=tenants,
            share=share,
        )

    def _opened_seals(self, config: ServeConfig) -> SealedValues | None:
        """Return the sealed values of the store, all of which can be opened.

        Raises `UsageError` if a key of theirs is not in the configuration.
        """
        if config.sealing is None:
            SealedValues(self._store.database, None).check()
            return None
        sealed = SealedValues(self._store.database, config.sealing.sealer())
        sealed.check()
        sealed.reseal()
        return sealed

    def _look_at_changes(self) -> None:
        """Take in what operators have changed, and do what they ask; in the engine's thread."""
        self._look_at_pauses()
        self._changes.look()

    def _tenants_of(self, name: str) -> ServedTenants | None:
        served = self._served.get(name)
        return None if served is None else served.tenants

    def _join(self, gone: Tenant, kept: Tenant) -> None:
        """Let a tenant become a part of another one, which is the same account."""
        with contextlib.suppress(TemporaryError):  # an operator wants something else of it
            ask_server(self._store, gone, kept.id, self._clock.time())
        self._changes.look()

    def _look_at_pauses(self) -> None:
        """Take in which destinations and tenants an operator has paused; in the engine's thread."""
        stopped = self._stopped = stopped_destinations(self._store)
        for name, served in self._served.items():
            is_stopped = name in stopped
            if served.tenants is not None:
                is_stopped = is_stopped or bool(served.bound.fault)
                was_stopped = served.tenants.is_stopped
                served.tenants.refresh(is_stopped=is_stopped)
            else:
                was_stopped = self._engine.is_paused(served.scope)
            if was_stopped is not is_stopped:
                if served.tenants is None:
                    change = self._engine.pause if is_stopped else self._engine.unpause
                    change([served.scope])
                self._observation.stopped(name, is_stopped=is_stopped)
                _LOG.info("destination %s paused" if is_stopped else "destination %s resumed", name)

    def _open(self, served: _Served) -> None:
        """Deliver for a destination from now on, unless others do that."""
        bound, scope = served.bound, served.scope
        if not self.delivers:
            self._observation.follow(bound.name, self._ledger)
            return
        self._lock(bound)
        if bound.fault:
            _LOG.error(
                "connection of destination %s does not fit, its events wait: %s",
                *(bound.name, bound.fault),
            )
        if bound.fault and served.tenants is None:
            self._observation.follow(bound.name, self._ledger)
            return
        self._credentials.credentials(bound.name, "accepted")  # as far as is known
        self._breakers.breaker(bound.name, "closed", "")  # it gets a new one
        self._resume_all(served)
        if served.tenants is not None and served.share is not None:
            self._open_for_tenants(served, served.tenants, served.share)
            return

        def make() -> Pipeline:
            losses = bound.config.delivery.losses
            definition = bound.destination.definition
            longest, way = longest_settling(definition, losses), longest_way(definition)
            self._queue.recover([scope], longest, served.policy.longest_wait, way)
            return Pipeline(
                scope,
                bound.destination,
                self._sender(served),
                self._queue,
                policy=served.policy,
                options=PipelineOptions(
                    bound.destination.definition.transport.concurrency,
                    losses=losses,
                    pauses=served.pauses,
                    key_pause=_KEY_PAUSE,
                ),
                clock=self._clock,
                observer=self._observer,
                source=self._queue.source(scope),
                breaker=self._breaker(served),
                account=self._accounts[bound.name],
            )

        if self._note_stopped(bound.name):
            self._engine.pause([scope])
        self._engine.open(make)
        actions = bound.destination.definition.actions
        self._observation.follow(bound.name, self._ledger, actions)

    def _resume_all(self, served: _Served) -> None:
        """Try all again, with a start, or other credentials or another definition."""
        served.pauses.write({})
        name = served.bound.name
        if resume_credentials(self._store, name) is not None and self._limits is not None:
            self._limits.gate(name).closed()  # its pause was for the credentials

    def _sender(self, served: _Served) -> Sender:
        bound, stop = served.bound, served.stop
        rate_limit = bound.destination.definition.transport.rate_limit
        return Sender(
            bound.destination,
            rate_limited(
                *(served.transport, rate_limit, self._clock, stop),
                *(self._limits, served.scope.full_name),
            ),
            stop=stop,
            answers=self._store.answers(bound.identity.partner),
            clock=self._clock,
        )

    def _breaker(self, served: _Served) -> Breaker | None:
        """Return the breaker that all processes share; None for one of this process alone."""
        if self._limits is None:
            return None
        name = served.bound.name
        return ClusterBreaker(
            served.policy.draw,
            lambda state, why: self._observer.breaker(name, state, why),
            self._limits.gate(name),
        )

    def _note_stopped(self, name: str) -> bool:
        """Return whether an operator has paused a destination that is opened, and show it."""
        self._stopped = stopped_destinations(self._store)
        is_stopped = name in self._stopped
        self._observation.stopped(name, is_stopped=is_stopped)
        if is_stopped:
            _LOG.warning("destination %s is paused by an operator: its events wait", name)
        return is_stopped

    def _open_for_tenants(self, served: _Served, tenants: ServedTenants, share: FairShare) -> None:
        name = served.bound.name
        # Where the connection of all does not fit, what comes waits for one that does.
        tenants.is_stopped = self._note_stopped(name) or bool(served.bound.fault)
        # Before anything may be claimed for them.
        self._engine.call(tenants.load)
        self._engine.pause(tenants.paused())
        self._engine.open_share(share, Tenants(self._store.database).waiting(name))
        tenants.start()
        actions = served.bound.destination.definition.actions
        self._observation.follow(name, self._ledger, actions)

    def _try_open(self, name: str, served: _Served) -> None:
        try:
            self._open(served)
        except Exception as error:  # noqa: BLE001 - the others have to go on
            fault = str(error) or type(error).__name__
            if fault != served.fault:
                _LOG.error("destination %s not opened: %s", name, fault)
                if not isinstance(error, DestinationsError):
                    self._observer.internal_error(name)
            self._served[name] = replace(served, fault=fault)
        else:
            if served.fault:
                _LOG.info("destination %s opened", name)
            self._served[name] = replace(served, fault="")

    def _close(self, served: Collection[_Served]) -> None:
        """Stop delivering: return when nothing is under way."""
        scopes = [each.scope for each in served]
        shares = [each.share for each in served if each.share is not None]
        self._engine.drain(scopes, self.config.drain_seconds, shares)
        for each in served:
            each.stop.set()
            if each.tenants is not None:
                self._engine.call(each.tenants.close)
        self._engine.remove(scopes)
        for share in shares:
            self._engine.close_share(share)
        for each in served:
            if each.tenants is not None:  # what takes their place pauses those that it has to
                self._engine.unpause(each.tenants.paused())
            each.transport.close()
        self._unlock()

    def _lock(self, bound: Bound) -> None:
        """Let no command deliver to an account from now on; raises `TemporaryError` if one does."""
        if bound.config.receiver.tenants is not None:
            return  # each of its tenants has an account of its own
        known = self._store.accounts().find(bound.identity)
        if known is None or known.id in self._locks:  # some destinations share one
            return
        shown = f"{bound.identity.slug} at {known.shown}"
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock_account(self._store, known.id, shown, by_server=True))
            self._locks[known.id] = stack.pop_all()

    def _unlock(self) -> None:
        for stack in self._locks.values():
            stack.close()
        self._locks.clear()

    def _drain(self) -> None:
        """Let requests under way end in time; the answers to the others count as lost."""
        served = list(self._served.values())
        scopes = [each.scope for each in served]
        shares = [each.share for each in served if each.share is not None]
        self._engine.drain(scopes, self.config.drain_seconds, shares)
        for each in served:
            each.stop.set()
            if each.tenants is not None:
                self._engine.call(each.tenants.close)
        self._left = sum(count_waiting(self._store, time.time()).values())
        if served:
            with ThreadPoolExecutor(len(served), "close") as pool:
                list(pool.map(lambda each: each.transport.close(), served))

    def _receive(self) -> None:
        refused, most = self.config.refused, self.config.store.max_bytes
        # What is refused must not take the room of what is accepted.
        most_bytes = refused.max_bytes if most is None else min(refused.max_bytes, most // 10)
        self._keeper.bounds = RefusedBounds(refused.max_events, most_bytes, refused.max_event_bytes)
        self._keeper.names = (*self._served, *(one.name for one in self.config.sources))
        posted_to = self._served.items() if self.receives else ()
        self._receiver.routes = {
            name: each.route for name, each in posted_to if each.bound.config.is_posted_to
        }
        self._receiver.sources = EventSources(self._sources() if self.receives else ())

    def _sources(self) -> Sequence[EventSource]:
        """Return the sources of the configuration, each with the routes that it feeds."""
        accounts = self._store.accounts()
        return [
            EventSource(
                source.name,
                Authenticator(source.keys),
                accounts.of_source(source.name),
                [
                    each.route
                    for each in self._served.values()
                    if source.name in each.bound.config.sources
                ],
                frozenset(source.cors),
                source.context_traits,
            )
            for source in self.config.sources
        ]

    def _warn(self, bound: Sequence[Bound]) -> None:
        """Log warnings about a configuration that works."""
        for each in bound:
            for warning in each.warnings:
                _LOG.warning("%s", warning)
        for issue in self._unconnected():
            _LOG.warning("%s", issue)
        for name, count in self.unconfigured.items():
            _LOG.warning(
                "deliveries left of %r, which is not in the configuration: %s; add it again "
                "under this name, or drop them with destinations deliveries drop",
                name,
                f"{count:,}",
            )

    def _note(self, bound: Collection[Bound], *, runs: bool = False) -> None:
        """Let others know whose deliveries they must not touch, and what they may ask for.

        What ``runs`` is noted as well, so that a new configuration can be compared with it.
        """
        more = {CONFIGURATION: configuration_note(self.config, bound, time.time())} if runs else {}
        actions = {
            each.name: [one.action for one in each.destination.operator_subscriptions]
            for each in bound
        }
        names, actions = list(actions), {name: each for name, each in actions.items() if each}
        note_server(self._store, names, self.config.periods, actions, more)


def _header(bound: Bound, secrets: TenantSecrets) -> HeaderSettings:
    """Return what takes settings from requests."""
    config = bound.config.receiver.tenants
    assert config is not None  # noqa: S101 - that is why it is called
    of_account = account_settings(bound.destination.definition) - {config.key}
    is_read = bool(config.settings.from_header)
    return HeaderSettings(bound.header_settings, of_account, secrets.of_events, is_read=is_read)


def _partner_connections(bound: Sequence[Bound]) -> int:
    """Return how many connections to partners may be open: also those that are to be closed."""
    return sum(2 * each.destination.definition.transport.concurrency for each in bound)


def _accounts(bound: Sequence[Bound]) -> Mapping[str, PartnerAccount]:
    """Return the account of each destination by its name; some share one."""
    members: dict[object, list[str]] = {}
    for each in bound:
        name = each.identity.name
        # Without a name it is only that destination's: see `destinations.server.binding`.
        key = (each.identity.slug, name) if name is not None else each.name
        members.setdefault(key, []).append(each.name)
    shared = {key: PartnerAccount(len(names)) for key, names in members.items()}
    return {name: shared[key] for key, names in members.items() for name in names}
