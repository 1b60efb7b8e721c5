"""Tell whose key a request has, where each customer of a partner sends with a key of their own.

A key that was never seen is checked against the schema, and then with the partner, by the
definition's authentication test. Strangers must not make us ask without end: a key is asked about
once at a time, all unknown ones share a budget, and what was refused is remembered. Where the
partner cannot be asked, events of an unproven key are kept, within bounds of their own, and are not
delivered; a key that proves wrong takes them along. A key that was good once stays so until the
partner has refused it for some time: its sender does not repeat what is answered 401.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any, Final, Literal, NamedTuple, get_args

from destinations.clock import WallClock
from destinations.definition.document import Document
from destinations.errors import UsageError
from destinations.http import Failure
from destinations.http.transport import Transport
from destinations.oauth2 import RULE as OF_TOKENS
from destinations.operations import TenantState, TenantStatus
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import EventSettings, Scope
from destinations.pipeline.restored import Gap
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Code, Destination
from destinations.runtime.sender import Sender
from destinations.server.header_settings import HeaderError, HeaderSettings, SentSettings
from destinations.server.keys import KeyRefusedError, KeyRules, key_text
from destinations.server.tenant_destinations import TenantDestinations
from destinations.store import Tenant, TenantNumbers, Tenants, TenantSecrets

__all__ = ["Admission", "ServedTenant", "ServedTenants"]

_LOG = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0
_ASKING: Final = 4
"""Threads that ask the partner about keys that never were good."""

_ASKING_KNOWN: Final = 2
"""Threads that ask about keys that were good: they must not wait for strangers' keys."""

_WAITING: Final = 2 * _ASKING
"""Questions about unknown keys that are under way or wait for a thread; the others are put off."""

_OF_CONTENT: Final = frozenset({400, 422})
"""What the partner answers to a key of another form than its own."""

_WRONG: Final = 10_000
"""Wrong keys that are remembered, for `KeyRules.wrong_seconds` each."""

Answer = Literal["good", "wrong", "malformed", "forbidden", "away", "unsendable"]
"""``malformed`` is a key that the partner cannot read, ``unsendable`` what no request can carry."""

_OF_FORM: Final = frozenset({"malformed", "unsendable"})
"""Answers that a key may get before anybody has looked whose it is."""


class Verdict(NamedTuple):
    """The partner's answer about a key; ``account`` is its ID of the account, if it names one.

    ``why`` no question can be sent with the settings.
    """

    answer: Answer
    account: str | None = None
    why: str = ""


_NO_BOUNDS: Final = contextlib.nullcontext()


class ServedTenant:
    """A tenant of a server, with what is known of its key.

    ``asked_at`` is when the partner was asked last, and ``unanswered`` how often it did not answer
    since; ``refused_from`` and ``refused_at`` are the first and the last time that it refused a key
    that was good, the last one None until it was asked by this process. All are in seconds of the
    monotonic clock: no change of the time of day must refuse anybody, or keep us from asking.
    ``held`` counts the bytes of events that were kept while the key is unproven, ``reserved``
    events that are about to be. ``key`` is the digest of the key that it delivers with, once that
    was needed. While it ``is_changing``, it is about to be merged or erased: nothing more is
    claimed.
    """

    __slots__ = (
        "asked_at",
        "held",
        "is_asking",
        "is_changing",
        "key",
        "refused_at",
        "refused_from",
        "reserved",
        "tenant",
        "unanswered",
    )

    def __init__(self, tenant: Tenant, asked_at: float, refused_from: float = -math.inf) -> None:
        self.key: bytes | None = None
        self.reserved = 0
        self.tenant = tenant
        self.asked_at = asked_at
        self.refused_from = refused_from
        self.refused_at: float | None = None
        self.unanswered = 0
        self.held = 0
        self.is_asking = False
        self.is_changing = False

    @property
    def is_proven(self) -> bool:
        """Whether the partner ever took its key."""
        return self.tenant.proven_at is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether the partner never took its key, or refuses it now."""
        return not self.is_proven or self.tenant.refused_since is not None

    @property
    def is_paused(self) -> bool:
        """Whether nothing is delivered for it."""
        is_stopped = self.tenant.paused_at is not None or bool(self.tenant.connection_fault)
        return self.is_doubtful or self.is_changing or is_stopped

    def is_refused_for(self, seconds: float) -> bool:
        """Return whether the partner has refused its key for so long, and still does.

        That nobody asked for an hour does not count: the key may be good again.
        """
        if self.tenant.refused_since is None or self.refused_at is None:
            return False
        return self.refused_at - self.refused_from >= seconds


class Admission(NamedTuple):
    """A sender whose key was accepted: the tenant, and what plans its events."""

    served: ServedTenant
    destination: Destination
    intake: Intake


class ServedTenants:
    """The tenants of one destination of a server. `admit` and `tick` may be called by any thread.

    ``base`` is the destination with the settings of the configuration; the setting ``key`` of each
    tenant is its own, and so is what ``header`` takes from requests. ``code`` gives the plugin's
    code with the rules of a tenant. The partner is asked by ``transport``, in the threads of
    ``pool``. ``join`` lets a tenant become a part of another one of the same account, in the
    engine's thread. For ``postponed`` see `TenantDestinations`; nothing may be delivered then.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        name: str,
        base: Destination,
        given: Document,
        key: str,
        *,
        tenants: Tenants,
        secrets: TenantSecrets,
        engine: Engine,
        transport: Transport,
        code: Callable[[str], Code],
        clock: WallClock,
        stop: threading.Event,
        gap: Gap | None = None,
        rules: KeyRules | None = None,
        pool: Executor | None = None,
        join: Callable[[Tenant, Tenant], None] | None = None,
        header: HeaderSettings | None = None,
        postponed: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.is_stopped = False
        """Whether an operator has paused the whole destination."""
        self.rules = rules or KeyRules()
        self._destinations = TenantDestinations(
            *(base, given, key),
            secrets=secrets,
            code=code,
            gap=gap,
            header=header,
            connection=tenants.connection,
            postponed=postponed,
        )
        self._authentication = base.definition.authentication
        self._key = key
        self._header = header
        self._tenants = tenants
        self._secrets = secrets
        self._engine = engine
        self._transport = transport
        self._clock = clock
        self._ticks = False
        self.is_shared = False
        """Whether other processes add tenants to the store as well."""
        self._stop = stop
        self._join = join
        self._lock = threading.RLock()
        self._tokens, self._filled_at = self.rules.burst, clock.monotonic()
        self._asking: dict[bytes, Future[ServedTenant]] = {}
        # When keys that are not the current ones of their tenants were used first.
        self._former: dict[bytes, float] = {}
        self._measured_at = -math.inf
        self._wrong: OrderedDict[bytes, tuple[float, int, str]] = OrderedDict()
        self._pool = pool or ThreadPoolExecutor(_ASKING, f"{name}-keys")
        self._known_pool = pool or ThreadPoolExecutor(_ASKING_KNOWN, f"{name}-known")
        # Questions about unknown keys that are under way or wait; those that are repeated.
        self._first_questions = self._repeated_questions = 0
        # Of its own: what is kept must not wait for a partner that does not answer.
        self._keeping = pool or ThreadPoolExecutor(1, f"{name}-kept")
        self._is_closed = False
        self._by_key: dict[bytes, ServedTenant] = {}
        self._by_scope: dict[int, ServedTenant] = {}
        # Tenants whose keys are unproven or refused.
        self._doubtful: dict[int, ServedTenant] = {}
        # Merged tenants whose account at the partner is not known yet, by their ids.
        self._without_account: Collection[str] = ()

    def load(self) -> None:
        """Read which tenants there are; in the engine's thread, after former ones were closed."""
        tenants, secrets, name = self._tenants, self._secrets, self.name
        by_scope = {one.scope.id: self._loaded(one) for one in tenants.all(name)}
        self._by_key = {
            digest: by_scope[scope]
            for digest, scope in secrets.keys(name).items()
            if scope in by_scope
        }
        self._by_scope = by_scope
        self._doubtful = {scope: one for scope, one in by_scope.items() if one.is_doubtful}
        for served in self._unproven():
            served.held = tenants.held_bytes(served.tenant)
        for served in by_scope.values():
            if served.tenant.connection is not None:
                self._check_connection(served, is_start=True)
        self._look_for_accounts()

    def scope_of(self, number: int) -> Scope | None:
        """Return the scope of a tenant by its number; None if there is none."""
        served = self._by_scope.get(number)
        return None if served is None else served.tenant.scope

    def _look_for_accounts(self) -> None:
        """Note whose account at the partner is still to be asked for."""
        authentication = self._authentication
        if authentication is not None and authentication.account is not None:
            self._without_account = self._tenants.without_account(self.name)

    def _check_connection(self, served: ServedTenant, *, is_start: bool = False) -> None:
        """Look whether the connection of a tenant fits; if not, its events wait.

        In the engine's thread. What is wrong is told once, and with each start.
        """
        tenant = served.tenant
        fault, before = self._destinations.fault(tenant), tenant.connection_fault
        if fault != before:
            self._tenants.note_fault(tenant, fault)
        if fault and (is_start or fault != before):
            _LOG.error(
                "connection of tenant %s of %s does not fit, its events wait: %s",
                *(tenant.shown, self.name, fault),
            )

    def _loaded(self, tenant: Tenant) -> ServedTenant:
        """Return a tenant of the store."""
        return ServedTenant(tenant, self._at(tenant.proven_at), self._at(tenant.refused_since))

    def _at(self, unix_time: float | None) -> float:
        """Return a time of the store on the monotonic clock; long ago for one that never was."""
        if unix_time is None:
            return -math.inf
        return self._clock.monotonic() - max(0.0, self._clock.time() - unix_time)

    def _unproven(self) -> list[ServedTenant]:
        return [one for one in list(self._doubtful.values()) if not one.is_proven]

    def _look_at(self, served: ServedTenant) -> None:
        """Note whether a tenant is one whose key is asked about again and again."""
        if served.is_doubtful:
            self._doubtful[served.tenant.scope.id] = served
        else:
            self._doubtful.pop(served.tenant.scope.id, None)
        self._pause_or_not(served)

    # -- who may send --------------------------------------------------------------------------

    def admit(
        self, presented: bytes | None, header: bytes | None = None
    ) -> Admission | Future[Admission]:
        """Return who sends with a key; of one that was never seen, once the partner was asked.

        ``header`` are the settings that came with the request, as they came. Raises
        `KeyRefusedError`, as the future does, for a key that is missing, malformed, not that of any
        customer, or of which nothing can be kept now, and for settings that cannot be used.
        """
        key = key_text(presented)
        sent = self._sent(key, header)
        digest = self._digest_of(key, "" if sent is None else sent.account)
        served = self._by_key.get(digest)
        if served is not None and not self._is_former(served, digest):
            return self._admitted(served, sent)
        found: Future[Admission] = Future()
        asking = self._ask_first(digest, key, sent)
        asking.add_done_callback(lambda done: self._answer(done, found, sent))
        return found

    def _sent(self, key: str, header: bytes | None) -> SentSettings | None:
        """Return the settings that came with a request; None where none are taken."""
        if self._header is None or not self._header.is_read:
            return None
        try:
            return self._header.read(header)
        except HeaderError as error:
            served = self._by_key.get(self._digest_of(key, ""))
            raise KeyRefusedError(400, error.message, scope=_proven(served)) from None

    def _digest_of(self, key: str, account: str) -> bytes:
        """Return the digest of a key, together with the settings that belong to its account."""
        return self._secrets.digest(_with_part(key, account))

    def keeping(
        self, served: ServedTenant, events: int, size: int
    ) -> contextlib.AbstractContextManager[None]:
        """Make room for events of a tenant while they are accepted.

        Raises `KeyRefusedError` if the key is unproven, and there is none for so many.
        """
        return _NO_BOUNDS if served.is_proven else self._keeping_unproven(served, events, size)

    @contextlib.contextmanager
    def _keeping_unproven(self, served: ServedTenant, events: int, size: int) -> Iterator[None]:
        with self._lock:
            self._check_bounds(served, events, size)
            served.reserved += events
            served.held += size
        try:
            yield
        finally:
            served.reserved -= events

    def bound(self, scope: Scope) -> Destination:
        """Return the destination with the settings of a tenant; raises `KeyError` if it is gone."""
        return self._destinations.of(self._by_scope[scope.id].tenant).destination

    def bound_with(self, scope: Scope, settings: str) -> Destination:
        """Return the destination of a tenant with settings that came with an event, by their name.

        Raises `UsageError` if they cannot be used any more.
        """
        served = self._by_scope.get(scope.id)
        if served is None:
            raise UsageError("the tenant was erased")
        try:
            values = self._secrets.of_event(settings)
            return self._destinations.of_events(
                served.tenant, EventSettings(settings, ""), values
            ).destination
        except KeyRefusedError as error:
            message = f"the settings that came with the event: {error.message}"
            raise UsageError(message) from None

    def paused(self) -> list[Scope]:
        """Return the scopes of tenants for whom nothing is delivered."""
        return [one.tenant.scope for one in self._by_scope.values() if self._is_paused(one)]

    def _is_paused(self, served: ServedTenant) -> bool:
        return self.is_stopped or served.is_paused

    def _pause_or_not(self, served: ServedTenant) -> None:
        """Let the engine deliver for a tenant, or not, by what is known of it now."""
        scope, is_paused = served.tenant.scope, self._is_paused(served)
        if is_paused is not self._engine.is_paused(scope):
            change = self._engine.pause if is_paused else self._engine.unpause
            change([scope])

    def count_states(self) -> Mapping[str, int]:
        """Return how many tenants are in each state; any thread may call it."""
        counts: dict[str, int] = dict.fromkeys(get_args(TenantState), 0)
        for served in list(self._by_scope.values()):
            counts[TenantStatus(served.tenant, TenantNumbers()).state] += 1
        return counts

    def of_scope(self, scope: Scope) -> ServedTenant | None:
        """Return the tenant of a scope; None if it is gone."""
        return self._by_scope.get(scope.id)

    def shown(self, scope: Scope) -> str:
        """Return the name of a tenant for operators, or else its id."""
        served = self._by_scope.get(scope.id)
        return scope.tenant if served is None else served.tenant.shown

    # -- what an operator changes --------------------------------------------------------------

    def hold(self, scopes: Collection[Scope], *, is_changing: bool) -> None:
        """Claim nothing more of tenants that are about to be merged or erased, or go on."""
        for scope in scopes:
            served = self._by_scope.get(scope.id)
            if served is not None:
                served.is_changing = is_changing
                self._pause_or_not(served)

    def merge(self, gone: Tenant, kept: Tenant, write: Callable[[], Scope]) -> None:
        """Make two tenants one, of whom nothing is under way; in the engine's thread.

        ``write`` does it in the store. From then on all keys of both lead to that one.
        """
        self._engine.merge(gone.scope, kept.scope, write)
        tenant = self._tenants.get(self.name, kept.id)
        assert tenant is not None  # noqa: S101 - it was written
        with self._lock:
            out = self._by_scope.pop(gone.scope.id, None)
            served = self._by_scope.pop(kept.scope.id, None) or out
            for one in (gone, kept):
                self._doubtful.pop(one.scope.id, None)
                self._destinations.forget(one.scope)
            if served is None:  # they are not loaded yet
                self._engine.unpause([tenant.scope])
                return
            if out is not None and out is not served:
                served.held += out.held
                out.tenant = tenant  # for requests that are under way
                for digest, former in list(self._by_key.items()):
                    if former is out:
                        self._by_key[digest] = served
            # What the partner says of the settings before is not said of these.
            served.tenant, served.key, served.is_changing = tenant, None, False
            served.refused_from, served.refused_at = self._at(tenant.refused_since), None
            self._by_scope[tenant.scope.id] = served
        if tenant.connection is not None:
            self._check_connection(served)
        self._look_at(served)
        self._look_for_accounts()

    def forget(self, tenant: Tenant, erase: Callable[[], object]) -> None:
        """Erase a tenant of whom nothing is under way, by ``erase``; in the engine's thread.

        Its keys are as if they had never been seen.
        """
        with self._lock:
            served = self._by_scope.get(tenant.scope.id)
            if served is not None:
                self._leave_out(served)
        self._engine.forget(tenant.scope, erase)

    def _leave_out(self, served: ServedTenant) -> Sequence[bytes]:
        """Forget a tenant, and return the digests of its keys; with the lock."""
        digests = [digest for digest, one in list(self._by_key.items()) if one is served]
        for digest in digests:
            del self._by_key[digest]
            self._former.pop(digest, None)
        scope = served.tenant.scope
        self._by_scope.pop(scope.id, None)
        self._doubtful.pop(scope.id, None)
        self._destinations.forget(scope)
        return digests

    # -- whose keys are asked about ------------------------------------------------------------

    def doubt(self, scope: Scope) -> None:
        """Ask about the key of a tenant whose delivery was refused."""
        served = self._by_scope.get(scope.id)
        if served is not None:
            self._ask_again(served)

    def tick(self) -> None:
        """Ask again about keys that are unproven or refused, as far as the budget goes."""
        now, has_budget = self._clock.monotonic(), True
        doubtful = list(self._doubtful.values())
        # First those that were never asked about: who gets no answer must not keep others waiting.
        doubtful.sort(key=lambda one: (one.unanswered, one.asked_at))
        for served in doubtful:
            if now - served.asked_at >= self.rules.again:
                has_budget = has_budget and (served.is_proven or self._may_repeat())
                if served.is_proven or has_budget:
                    self._ask_again(served)
        for served in self._to_be_named():
            if now - served.asked_at >= self.rules.again:
                self._ask_again(served)

    def _to_be_named(self) -> list[ServedTenant]:
        """Return the merged tenants of which the partner is still to name the account."""
        if not self._without_account:
            return []
        return [
            one for one in list(self._by_scope.values()) if one.tenant.id in self._without_account
        ]

    def start(self) -> None:
        """Call `tick` every second, in a thread of its own, until the server stops.

        Safe to repeat.
        """
        if self._ticks:
            return
        self._ticks = True

        def run() -> None:
            while not self._stop.wait(_TICK_SECONDS):
                try:
                    self.tick()
                except Exception:  # noqa: BLE001 - the next second may be better
                    _LOG.exception("keys of %s not looked at", self.name)

        threading.Thread(target=run, name=f"{self.name}-tick", daemon=True).start()

    def refresh(self, *, is_stopped: bool) -> None:
        """Take in what an operator has changed of tenants; in the engine's thread.

        While the destination ``is_stopped``, nothing is delivered for any of them.
        """
        self.is_stopped = is_stopped
        found = self._tenants.all(self.name)
        if self.is_shared:
            self._take_others(found)
        for tenant in found:
            served = self._by_scope.get(tenant.scope.id)
            if served is None:
                continue
            if served.tenant.paused_at != tenant.paused_at:
                is_resumed = tenant.paused_at is None
                _LOG.info(
                    "tenant %s of %s resumed" if is_resumed else "tenant %s of %s paused",
                    tenant.shown,
                    self.name,
                )
            served.tenant.name, served.tenant.paused_at = tenant.name, tenant.paused_at
            if served.tenant.connection != tenant.connection:
                self._take_connection(served, tenant)
            self._pause_or_not(served)

    def _take_others(self, found: Sequence[Tenant]) -> None:
        """Take in what other processes have found out: new tenants, and what partners say of keys.

        Those that others have erased or merged are forgotten.
        """
        self._take_changed({(tenant.scope.id, tenant.id) for tenant in found})
        there = {tenant.scope.id: tenant for tenant in found}
        new = [tenant for number, tenant in there.items() if number not in self._by_scope]
        keys = self._secrets.keys(self.name) if new else {}
        with self._lock:
            for tenant in new:
                served = self._by_scope.setdefault(tenant.scope.id, self._loaded(tenant))
                for digest, scope in keys.items():
                    if scope == tenant.scope.id:
                        self._by_key.setdefault(digest, served)
                self._look_at(served)
                self._engine.take_in(tenant.scope)
            for number, served in list(self._by_scope.items()):
                said, known = there.get(number), served.tenant
                if said is None:  # it came since
                    continue
                if (said.proven_at, said.refused_since) != (known.proven_at, known.refused_since):
                    known.proven_at, known.refused_since = said.proven_at, said.refused_since
                    served.asked_at = self._at(said.proven_at)
                    served.refused_from = self._at(said.refused_since)
                    self._look_at(served)

    def _take_changed(self, there: Collection[tuple[int, str]]) -> None:
        """Do in memory what another process has done: merge and erase the tenants that are gone.

        ``there`` are the numbers and ids of those that are left. One that was erased and has come
        again has its former id, and another number.
        """

        def gone() -> list[Tenant]:
            all_ = [one.tenant for one in self._by_scope.values()]
            return [one for one in all_ if (one.scope.id, one.id) not in there]

        merged = self._tenants.merged(self.name) if gone() else {}
        for tenant in gone():
            into = merged.get(tenant.id)
            if into is not None:
                self._take_merged(tenant, into)
        for tenant in gone():
            self.forget(tenant, lambda: None)
            _LOG.info("tenant %s of %s erased", tenant.id, self.name)

    def _take_merged(self, gone: Tenant, into: Tenant) -> None:
        kept = [one.tenant for one in self._by_scope.values() if one.tenant.id == into.id]
        self.merge(gone, kept[0] if kept else into, lambda: into.scope)
        _LOG.info("tenant %s of %s merged into %s", gone.shown, self.name, into.shown)

    def _take_connection(self, served: ServedTenant, now: Tenant) -> None:
        """Plan by another connection from now on, also what waits; in the engine's thread."""
        served.tenant.connection = now.connection
        served.tenant.connection_fault = now.connection_fault
        self._destinations.forget(now.scope)
        self._check_connection(served)
        self._engine.renew(now.scope)
        _LOG.info(
            "tenant %s of %s has the default connection"
            if now.connection is None
            else "tenant %s of %s has another connection",
            *(now.shown, self.name),
        )

    def close(self) -> None:
        """Ask nothing more, and add no tenant; in the engine's thread. Safe to repeat."""
        self._is_closed = True
        for pool in (self._pool, self._known_pool, self._keeping):
            pool.shutdown(wait=False, cancel_futures=True)

    # -- a known key ---------------------------------------------------------------------------

    def _admitted(self, served: ServedTenant, sent: SentSettings | None) -> Admission:
        if served.tenant.refused_since is not None:
            self._ask_when_due(served, self.rules.again)
            if served.is_refused_for(self.rules.refuse_after):
                raise KeyRefusedError(401, "this key is not valid any more")
        elif served.is_proven:
            self._ask_when_due(served, self.rules.good)
        else:
            self._check_bounds(served, 1)
        if sent is None:
            bound = self._destinations.of(served.tenant)
        else:
            try:
                bound = self._destinations.of_events(served.tenant, sent.kept, sent.of_events)
            except KeyRefusedError as refused:
                refused.scope = _proven(served)
                raise
        return Admission(served, bound.destination, bound.intake)

    def _ask_when_due(self, served: ServedTenant, after: float) -> None:
        if self._clock.monotonic() - served.asked_at >= after:
            self._ask_again(served)

    def _is_former(self, served: ServedTenant, digest: bytes) -> bool:
        """Return whether a key is to be asked about again, as its tenant has another one now.

        Its events are taken a while longer, and delivered with the other one: the sender may not
        know it yet. Not where that one is refused, as this one may be good.
        """
        if served.key is None:
            own = self._secrets.settings(served.tenant)
            part = self._destinations.in_account(own)
            served.key = self._digest_of(str(own.get(self._key, "")), part)
        if served.key == digest:
            return False
        if served.tenant.refused_since is not None:
            return True
        now = self._clock.monotonic()
        return now - self._former.setdefault(digest, now) >= self.rules.refuse_after

    def _check_bounds(self, served: ServedTenant | None, events: int, size: int = 0) -> None:
        """Raise `KeyRefusedError` where no such events are kept for unproven keys any more."""
        rules = self.rules
        unproven = self._unproven()
        counts = {
            one.tenant.scope.id: self._engine.length(one.tenant.scope) + one.reserved
            for one in unproven
        }
        own = 0 if served is None else counts.get(served.tenant.scope.id, 0)
        held = sum(one.held for one in unproven)
        if held + size > rules.all_bytes and self._clock.monotonic() >= self._measured_at + 1:
            # What came again was counted each time.
            self._measured_at = self._clock.monotonic()
            for one in unproven:
                one.held = self._tenants.held_bytes(one.tenant)
            held = sum(one.held for one in unproven)
        is_full = (
            own + events > rules.events
            or sum(counts.values()) + events > rules.all_events
            or held + size > rules.all_bytes
            or (served is None and len(unproven) >= rules.keys)
        )
        if is_full:
            message = "the key cannot be checked now, and no more events of unchecked keys are kept"
            raise KeyRefusedError(503, message, rules.again)

    # -- asking --------------------------------------------------------------------------------

    def _ask_first(
        self, digest: bytes, key: str, sent: SentSettings | None
    ) -> Future[ServedTenant]:
        """Return the tenant of a key that is not known yet, once the partner was asked."""
        now = self._clock.monotonic()
        with self._lock:
            known = self._wrong.get(digest)
            if known is not None and now - known[0] < self.rules.wrong:
                raise KeyRefusedError(known[1], known[2])
            asking = self._asking.get(digest)
            if asking is not None:
                return asking
            own = {**(sent.values if sent is not None else {}), self._key: key}
            destination = self._destinations.make(own)
            # Not in this thread: the engine, which has to write it, may wait for the lock.
            try:
                if self._first_questions < _WAITING and self._take_token():
                    asking = self._pool.submit(self._first, digest, own, destination)
                    self._first_questions += 1
                    asking.add_done_callback(self._end_first)
                else:
                    self._check_bounds(None, 1)
                    asking = self._keeping.submit(self._add, digest, own, destination, None)
            except RuntimeError:  # it was closed
                raise _reloading() from None
            self._asking[digest] = asking
        asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return asking

    def _end_first(self, _: object) -> None:
        with self._lock:
            self._first_questions -= 1

    def _first(
        self, digest: bytes, own: Mapping[str, Any], destination: Destination
    ) -> ServedTenant:
        verdict = self._verdict(destination, self._destinations.in_account(own))
        return self._add(digest, own, destination, verdict)

    def _add(
        self, digest: bytes, own: Mapping[str, Any], destination: Destination, found: Verdict | None
    ) -> ServedTenant:
        """Return the tenant of a key by what the partner says, None if it was not asked.

        ``own`` are the key and the settings that came with it. Raises `KeyRefusedError`.
        """
        verdict = found or Verdict("away")
        former = self._by_key.get(digest)  # the tenant of which this was a key before
        chosen = self._destinations.chosen(own)
        if chosen and former is None and verdict.answer in {"away", "unsendable"}:
            # The same for each reason: else it would tell strangers which hosts there are.
            words = f"{', '.join(chosen)}: no answer from this address to whether the key is valid"
            raise KeyRefusedError(503, words, self.rules.again)
        if verdict.answer == "unsendable":
            raise KeyRefusedError(400, verdict.why)
        if verdict.answer in {"away", "malformed"} and former is not None:
            return former  # which keeps the key that it has
        if verdict.answer in {"wrong", "malformed", "forbidden"}:
            raise self._refused(digest, verdict.answer)
        if verdict.answer == "away":
            self._check_bounds(None, 1)
        identity = identity_of(destination)
        is_proven = verdict.answer == "good"
        account = verdict.account
        if account is not None:
            self._name_accounts(account)
        key = str(own[self._key])
        named = _with_part(key, self._destinations.in_account(own))

        def add() -> tuple[ServedTenant, bool]:
            # All of it in the engine's thread, in which tenants are merged and erased.
            if self._is_closed:  # those that follow have read which tenants there are
                raise _reloading()
            tenant_id = self._id_of(named, account, self._by_key.get(digest))
            tenant = self._secrets.add(
                self.name,
                tenant_id,
                key,
                identity,
                self._destinations.kept(own),
                now=self._clock.time(),
                is_proven=is_proven,
            )
            with self._lock:
                served = self._by_scope.get(tenant.scope.id)
                is_new = served is None
                if served is None:
                    served = ServedTenant(tenant, self._clock.monotonic())
                    served.unanswered = 0 if found is None or is_proven else 1
                served.tenant = tenant
                served.key = digest
                self._former.pop(digest, None)
                self._by_scope[tenant.scope.id] = self._by_key[digest] = served
            self._destinations.forget(tenant.scope)
            self._look_at(served)
            self._engine.renew(tenant.scope)
            return served, is_new

        served, is_new = self._engine.call(add)
        self._note_account(served, account)
        _LOG.info(
            "new tenant %s of %s, key %s" if is_new else "new key of tenant %s of %s, %s",
            served.tenant.shown,
            self.name,
            "accepted" if is_proven else "unchecked",
        )
        return served

    def _name_accounts(self, account: str) -> None:
        """Ask of which account merged tenants are, as an unknown one may be theirs.

        Raises `KeyRefusedError` if the partner cannot say so now.
        """
        if self._secrets.account_digest(account) in self._by_key:
            return
        for served in self._to_be_named():
            self._again(served)
            is_named = served.tenant.id not in self._without_account
            if not is_named and served.tenant.refused_since is None:
                message = "it cannot be checked now whose key this is"
                raise KeyRefusedError(503, message, self.rules.again)

    def _refused(self, digest: bytes, answer: Answer) -> KeyRefusedError:
        """Return why a key is refused; if it was one of a tenant before, it is no more."""
        if self._by_key.pop(digest, None) is not None:
            self._engine.call(lambda: self._secrets.remove_key(self.name, digest))
        return self._refusal(digest, answer)

    def _id_of(self, key: str, account: str | None, former: ServedTenant | None) -> str:
        """Return the id of the tenant with a key: of its account, if the partner names one."""
        # Keys and accounts must not be taken for one another.
        named, known = f"key {key}", former
        if account is not None:
            named = f"account {account}"
            known = self._by_key.get(self._secrets.account_digest(account))
        return self._secrets.id_of(named) if known is None else known.tenant.id

    def _add_account(self, served: ServedTenant, account: str) -> None:
        """Write down which account a tenant is; in the engine's thread."""
        if not self._is_current(served):
            return
        self._secrets.add_account(served.tenant, account)
        self._by_key[self._secrets.account_digest(account)] = served
        self._look_for_accounts()

    def _is_current(self, served: ServedTenant) -> bool:
        """Return whether a tenant was neither merged nor erased since."""
        return self._by_scope.get(served.tenant.scope.id) is served

    def _note_account(
        self, served: ServedTenant, account: str | None, *, was_proven: bool = True
    ) -> None:
        """Note which account of the partner a tenant is, so that its next key is known by it.

        One that kept its events until now, and turns out to be another one, becomes a part of it.
        """
        if account is None:
            return
        digest = self._secrets.account_digest(account)
        known = self._by_key.get(digest)
        if known is None or (known is served and served.tenant.id in self._without_account):
            self._engine.call(lambda: self._add_account(served, account))
        elif known is not served and self._join is not None and not was_proven:
            join, tenant = self._join, served.tenant
            self._engine.call(lambda: join(tenant, known.tenant))
            _LOG.info(
                "tenants %s and %s of %s are one account, and become one",
                known.tenant.shown,
                tenant.shown,
                self.name,
            )
        elif known is not served:
            _LOG.warning(
                "tenants %s and %s of %s are one account: use destinations tenants merge",
                known.tenant.shown,
                served.tenant.shown,
                self.name,
            )

    def _refusal(self, digest: bytes, answer: Answer) -> KeyRefusedError:
        status, words = (401, "this key is not valid")
        if answer == "forbidden":
            status, words = (403, "this key lacks the permission to send events")
        with self._lock:
            self._wrong[digest] = (self._clock.monotonic(), status, words)
            self._wrong.move_to_end(digest)
            while len(self._wrong) > _WRONG:
                self._wrong.popitem(last=False)
        return KeyRefusedError(status, words)

    def _ask_again(self, served: ServedTenant) -> None:
        """Ask about the key of a known tenant, unless that is under way."""
        with self._lock:
            if served.is_asking:
                return
            served.is_asking = True
            served.asked_at = self._clock.monotonic()
        try:
            if served.is_proven:
                self._known_pool.submit(self._again, served)
            else:
                asking = self._pool.submit(self._again, served)
                self._count_repeated(1)
                asking.add_done_callback(lambda _: self._count_repeated(-1))
        except RuntimeError:  # the server stops
            served.is_asking = False

    def _count_repeated(self, change: int) -> None:
        with self._lock:
            self._repeated_questions += change

    def _again(self, served: ServedTenant) -> None:
        tenant = served.tenant
        try:
            part = self._destinations.account_of(tenant)
            verdict = self._verdict(self._destinations.of(tenant).destination, part)
            # It may have other settings by now, or be part of another one.
            if served.tenant is tenant and self._is_current(served):
                self._judge(served, verdict)
        except Exception:  # noqa: BLE001 - it is asked again
            _LOG.exception("key of tenant %s of %s not checked", served.tenant.id, self.name)
        finally:
            served.is_asking = False

    def _judge(self, served: ServedTenant, verdict: Verdict) -> None:
        """Take the partner's answer about the key of a known tenant."""
        tenant, now = served.tenant, self._clock.time()
        if verdict.answer == "good":
            was_paused, was_proven = served.is_paused, served.is_proven
            served.refused_at, served.unanswered = None, 0
            self._engine.call(lambda: self._tenants.prove(tenant, now))
            self._note_account(served, verdict.account, was_proven=was_proven)
            self._look_at(served)
            if was_paused and not served.is_paused:
                _LOG.info("key of tenant %s of %s accepted", tenant.shown, self.name)
        elif verdict.answer == "away" or (served.is_proven and verdict.answer in _OF_FORM):
            served.unanswered += 1  # a key that was good has the form of one
        elif not served.is_proven:
            self._erase(served, verdict.answer)
        elif tenant.refused_since is None:
            served.refused_from = served.refused_at = self._clock.monotonic()
            self._engine.call(lambda: self._tenants.refuse(tenant, now))
            self._look_at(served)
            _LOG.warning(
                "the partner refuses the key of tenant %s of %s; its events wait",
                tenant.shown,
                self.name,
            )
        else:
            served.refused_at = self._clock.monotonic()

    def _erase(self, served: ServedTenant, answer: Answer) -> None:
        """Forget a tenant whose key proved wrong, with all that was kept of it."""
        tenant = served.tenant
        with self._lock:
            for digest in self._leave_out(served):
                self._refusal(digest, answer)
        events = self._engine.forget(tenant.scope, lambda: self._secrets.erase(tenant))
        _LOG.warning(
            "key of tenant %s of %s proved wrong; its events are erased: %s",
            tenant.id,
            self.name,
            f"{events:,}",
        )

    def _verdict(self, destination: Destination, part: str) -> Verdict:
        """Ask the partner about the settings of a destination.

        ``part`` are those that belong to the account: the partner names one for each of them.
        """
        sender = Sender(destination, self._transport, stop=self._stop, clock=self._clock)
        found = sender.account_of_credentials()
        if not isinstance(found, Failure):
            return Verdict("good", None if found is None else _with_part(found, part))
        if found.error_class == "invalid" and not found.made:
            return Verdict("unsendable", why=found.message)
        if self._is_of_others(found):
            return Verdict("away")
        return Verdict(_of_failure(found))

    def _is_of_others(self, failure: Failure) -> bool:
        """Return whether a token (OAuth2) is refused for what is not a customer's key.

        That is the operator's to mend: no customer is to blame.
        """
        if not failure.rule.startswith(OF_TOKENS):
            return False
        oauth2 = None if self._authentication is None else self._authentication.oauth2
        blamed = failure.rule.rpartition(".")[2]
        names = (
            {}
            if oauth2 is None
            else {
                "refreshToken": oauth2.refresh_token,
                "clientSecret": oauth2.client_secret,
            }
        )
        return names.get(blamed) != self._key

    def _may_repeat(self) -> bool:
        """Return whether one more unproven key may be asked about again now.

        Half of the threads are left to keys that were never asked about.
        """
        return self._repeated_questions < _ASKING // 2 and self._take_token()

    def _take_token(self) -> bool:
        """Return whether one more unknown key may be asked about now."""
        rules, now = self.rules, self._clock.monotonic()
        with self._lock:
            filled = self._tokens + (now - self._filled_at) * rules.per_second
            self._tokens, self._filled_at = min(rules.burst, filled), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def _answer(
        self, done: Future[ServedTenant], found: Future[Admission], sent: SentSettings | None
    ) -> None:
        self._finish(found, lambda: self._admitted(done.result(), sent))

    @staticmethod
    def _finish(future: Future[Any], make: Callable[[], Any]) -> None:
        try:
            result = make()
        except CancelledError:
            if not future.done():
                future.set_exception(_reloading())
            return
        except BaseException as error:  # noqa: BLE001 - its caller gets it
            if not future.done():
                future.set_exception(error)
            return
        if not future.done():
            future.set_result(result)


def _proven(served: ServedTenant | None) -> Scope | None:
    """Return the scope of a tenant whose key was good; None for strangers."""
    return served.tenant.scope if served is not None and served.is_proven else None


def _with_part(text: str, part: str) -> str:
    """Return a key, or the partner's ID of an account, with the settings that belong to it."""
    return f"{text}\0{part}" if part else text


def _reloading() -> KeyRefusedError:
    return KeyRefusedError(503, "the server loads another configuration", 1.0)


def _of_failure(failure: Failure) -> Answer:
    if failure.status == 403:
        return "forbidden"
    if failure.error_class == "authentication" or failure.status == 401:
        return "wrong"
    # The question has nothing of an event: what is wrong with its content is the key.
    is_of_key = failure.status in _OF_CONTENT and failure.concerns == "event"
    return "malformed" if is_of_key and not failure.retryable else "away"
