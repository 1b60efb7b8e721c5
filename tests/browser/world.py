"""A store with deliveries of every status, a configuration, and a console that serves its pages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn

from destinations.clock import SystemClock
from destinations.console.app import make_app
from destinations.console.gate import Gate, GateOptions
from destinations.console.keys import ApiKeys
from destinations.console.operators import Role
from destinations.console.stores import Stores
from destinations.console.verbs import Verbs
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.attempts import Content, KeptAttempt, KeptExchange
from destinations.pipeline.queue import (
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.plan import plan
from destinations.server import ServeConfig, bind_to_show, read_config
from destinations.store import (
    RecentBounds,
    RefusedEvent,
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    make_sealing_key,
)
from destinations.store.attempts import write_exchanges
from destinations.store.recent import DeliveredEvent, keep_recent
from destinations.store.tenants import TenantSecrets

__all__ = ["SECRET", "Console", "World", "make_world", "running"]

SECRET: Final = "kana_live_51Hx9mPq7RtVwZ3cYbN8"
"""The key of the configuration, which must be on no page."""

UNMAPPED: Final = "The event names no feature, and no mapping rule does; set properties.featureId."

_CONFIG: Final = """
listen: {{host: 127.0.0.1, port: 8787}}
store: {{path: {store}, maxBytes: 20000000000, keepDays: 30}}
console: {{listen: 127.0.0.1:8788}}
sealing: {{key: {{file: {sealing}}}}}
keepRecent: {{events: 1000}}
destinations:
  - name: kana
    destination: kana
    settings: {{apiKey: {{file: {key}}}, endpoint: "http://127.0.0.1:9/graphql"}}
  - name: crm-webhook
    destination: webhook
    settings: {{url: "https://crm.example/hooks/in?token={secret}"}}
  - name: partner
    destination: kana
    settings: {{endpoint: "http://127.0.0.1:9/partner"}}
    receiver: {{tenants: {{key: apiKey}}}}
"""


@dataclass
class World:
    """A configuration with its store, and the ids of deliveries by the names given to them."""

    config: ServeConfig
    store: Path
    now: float
    ids: dict[str, int] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)


class _At(SystemClock):
    """A clock that stands still."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now

    def time(self) -> float:
        return self._now


class Filler:
    """Puts deliveries into a store, as a process that delivers would."""

    def __init__(self, world: World, store: SqliteStore) -> None:
        self.world = world
        self.store = store
        self._number = 0
        self._bound = {one.name: bind_to_show(one, store) for one in world.config.destinations}

    def scope(self, destination: str) -> Scope:
        """Return the scope of a destination of the server."""
        slug = self._bound[destination].definition.slug
        identity = AccountIdentity(slug, f"https://{destination}.example", "", "key", None)
        return self.store.accounts().served(destination, identity)

    def refuse(self, raw: bytes, code: str, reason: str, *, age: float = 800.0) -> None:
        """Keep an event that the receiver refused."""
        scope, at = self.scope("kana").id, self.world.now - age
        event = RefusedEvent(
            *(scope, at, 400, code, reason, "/v1/kana", "192.0.2.7", raw, len(raw)),
            message_id="evt-refused",
        )
        self.store.refused().add([event], 100, 1_000_000)

    def put(
        self,
        raw: Mapping[str, Any],
        status: Status = Outcome.DELIVERED,
        *,
        destination: str = "kana",
        age: float = 60.0,
        reason: str = "",
        code: str | None = None,
        http_status: int | None = None,
        attempts: int = 1,
        increment: Increment | None = None,
        evidence: Mapping[str, Any] | None = None,
        scope: Scope | None = None,
        name: str = "",
        recent: bool = False,
    ) -> int:
        """Add a delivery that was accepted so many seconds ago; returns its id."""
        self._number += 1
        of = scope or self.scope(destination)
        at = self.world.now - age
        event = {"messageId": f"evt-{self._number:04}", **raw}
        data = json.dumps(event).encode()
        planned = plan(self._bound[destination], data, received_at=at).deliveries[0]
        user = str(event.get("userId") or "")
        queued = QueuedEvent(event["messageId"], str(raw["type"]), user, at, data, self._number)
        payload = json.dumps(planned.payload or {}).encode()
        delivery = QueuedDelivery(queued, planned.key, 0, payload, "plan", increment)
        queue = self.store.queue(_At(at + min(age, 2.0)))
        queue.commit(Round(waiting=[(of, delivery)]))
        if status is State.READY and not reason:
            return self._named(name, delivery.id)
        batch = ClaimedBatch(of, [delivery], at=at)
        queue.commit(Round(batches=[batch]))
        delivery.state = State.SENDING
        if status is not State.SENDING:
            usual: dict[Status, Effect] = {
                Outcome.DELIVERED: Effect.APPLIED,
                State.HELD: Effect.MAYBE,
                State.UNKNOWN: Effect.MAYBE,
            }
            result = Result(status, reason, code, http_status, attempts=attempts)
            transition = Transition(
                *(delivery, result, "send", attempts),
                effect=usual.get(status, Effect.NONE),
                evidence=evidence or {},
            )
            if recent:
                with self.store.database.transaction() as connection:
                    kept = DeliveredEvent(
                        *(queued.id, of.id, queued.message_id, queued.fingerprint, user)
                    )
                    keep_recent(connection, [kept], RecentBounds(), round(at * 1000))
            queue.commit(Round(transitions=[(of, transition)], returned=[batch]))
        return self._named(name, delivery.id)

    def _named(self, name: str, identity: int) -> int:
        if name:
            self.world.ids[name] = identity
        return identity

    def attempt(
        self, delivery: int, status: int | None, answer: bytes, error: str = "", age: float = 60.0
    ) -> None:
        """Add an attempt to a delivery, masked as the process that delivers leaves it.

        One without an answer is the last.
        """
        entry = self.store.ledger().get(delivery)
        request = b'{"query":"mutation RecordUsage { recorded }"}'
        head = ["https://api.kana.example/graphql", {"Authorization": "***"}, None]
        failed = entry.status is not Outcome.DELIVERED
        kept = KeptExchange(
            at=self.world.now - age,
            seconds=0.25,
            kind="send",
            request="recordUsage",
            method="POST",
            status=status,
            error=error,
            failed=failed,
            carried=1,
            users=[entry.user],
            head=_content(json.dumps(head).encode()),
            request_body=_content(request),
            request_bytes=len(request),
            is_request_cut=False,
            answer_head=zlib.compress(b'{"content-type": "application/json"}'),
            answer_body=_content(answer) if answer else None,
            answer_bytes=len(answer),
            is_answer_cut=False,
            attempts=[
                KeptAttempt(
                    place=0,
                    error_class="server" if failed else None,
                    rule="errorRules[2]",
                    outcome=entry.status if error else State.READY,
                )
            ],
        )
        with self.store.database.transaction() as connection:
            write_exchanges(connection, [(entry.scope, [delivery], kept)])


def _content(text: bytes) -> Content:
    return Content(hashlib.blake2b(text, digest_size=16).digest(), zlib.compress(text))


def track(feature: str | None = "exports", user: str = "ada", **properties: Any) -> dict[str, Any]:
    """Return a usage event."""
    named = {} if feature is None else {"featureId": feature}
    return {
        "type": "track",
        "event": "Report Exported",
        "userId": user,
        "timestamp": "2026-05-04T10:00:00.000Z",
        "properties": {**named, "delta": 1, **properties},
    }


def make_world(folder: Path, now: float, *, empty: bool = False) -> World:
    """Make a configuration and its store; an ``empty`` one has no deliveries."""
    (folder / "key").write_text(SECRET)
    sealing = make_sealing_key()
    (folder / "sealing").write_text(sealing)
    for name in ("key", "sealing"):
        (folder / name).chmod(0o600)
    path = folder / "serve.yaml"
    store = folder / "store.sqlite3"
    path.write_text(
        _CONFIG.format(
            store=store, key=folder / "key", sealing=folder / "sealing", secret=SECRET[5:]
        )
    )
    config = read_config(path, {}, to_show=True)
    world = World(config, store, now)
    with SqliteStore(store) as opened:
        if not empty:
            _fill(
                Filler(world, opened),
                SealedValues(opened.database, Sealer(SealingKey.parse(sealing))),
            )
    return world


def _fill(filler: Filler, sealed: SealedValues) -> None:
    users = ("ada", "grace", "linus", "margaret")
    for number in range(60):
        filler.put(track(user=users[number % 4]), age=3_500 - 55 * number, recent=number % 6 == 0)
    for day in range(1, 13):
        for number in range(3 + day % 4):
            filler.put(track(user=users[number % 4]), age=86_400 * day + 60 * number)
    for number in range(8):
        page = {"type": "page", "name": "Pricing", "userId": users[number % 4]}
        filler.put(
            page,
            Outcome.FILTERED,
            age=3_000 - 300 * number,
            reason="no subscription takes page events",
        )
    for number, event in enumerate(("Seat Added", "Seat Added", "Seat Added", "File Uploaded")):
        raw = {**track(None, plan="pro"), "event": event}
        filler.put(
            raw,
            Outcome.UNMAPPED,
            age=1_900 - number,
            name="unmapped",
            reason=UNMAPPED,
        )
    filler.put(
        {**track(), "properties": {"featureId": 7, "delta": "many"}},
        Outcome.INVALID,
        age=1_500,
        code="PAYLOAD_VALIDATION_FAILED",
        http_status=400,
        name="invalid",
        reason="/delta must be a whole number",
    )
    filler.refuse(b'{"event": "Seat Added"}', "NO_USER_ANON_ID", "needs a userId or an anonymousId")
    filler.refuse(
        f'{{"key": "{SECRET}", "name": "<b>&'.encode(), "NOT_JSON", f"it ends early, after {SECRET}"
    )
    filler.put(
        track("teleport"),
        Outcome.REJECTED,
        age=1_400,
        code="NOT_FOUND",
        http_status=404,
        reason="Kana has no feature 'teleport'",
        name="rejected",
    )
    for number in range(3):
        filler.put(
            track(user=users[number]),
            Outcome.DEAD,
            age=1_200 - number * 60,
            attempts=9,
            code="SERVICE_UNAVAILABLE",
            http_status=503,
            name="dead",
            reason="the partner did not answer for four hours",
        )
    dead = filler.world.ids["dead"]
    filler.attempt(dead, 503, b'{"message":"Service unavailable"}', age=1_075)
    filler.attempt(dead, 503, b'{"message":"Service unavailable"}', age=1_070)
    filler.attempt(dead, None, b"", "no answer within 10 s", age=1_040)
    held: dict[str, dict[str, Any]] = {
        "held": {"found": 17, "proposed": "applied"},
        "held-unknown": {"found": None, "why": "the balance cannot be read"},
    }
    for number, (name, more) in enumerate(held.items()):
        filler.put(
            track(user=users[number], delta=5),
            State.HELD,
            age=900 + number,
            increment=Increment(f"{users[number]} exports", 5),
            name=name,
            evidence={"before": 12, "expected": 17, **more},
            reason="the answer was lost, and somebody else writes to the balance",
        )
    filler.put(track(user="margaret"), State.READY, age=300, name="ready")
    filler.put(track(user="margaret"), State.READY, age=200)
    filler.put(
        {"type": "identify", "userId": "ada", "traits": {"email": "ada@example.com"}},
        destination="crm-webhook",
        age=700,
        recent=True,
    )
    filler.put(
        {"type": "identify", "userId": "grace", "traits": {"email": "grace@example.com"}},
        Outcome.REJECTED,
        destination="crm-webhook",
        age=650,
        code="GONE",
        http_status=410,
        reason="the receiver is gone for good",
    )
    secrets = TenantSecrets(filler.store.database, sealed)
    identity = AccountIdentity("kana", "https://partner.example", "", "tenant", None)
    for name in ("acme", "globex"):
        tenant = secrets.add(
            "partner",
            secrets.id_of(name),
            f"key-of-{name}",
            identity,
            {},
            now=filler.world.now - 86_400,
            is_proven=name == "acme",
        )
        filler.world.tenants[name] = tenant.id
        filler.put(track(), destination="partner", scope=tenant.scope, age=400)


@dataclass(frozen=True)
class Console:
    """A console that runs: its address, and the cookies of operators."""

    url: str
    world: World
    gate: Gate

    def cookie(self, role: Role = "operate", name: str = "ada") -> Mapping[str, str]:
        """Return the cookie of an operator who has signed in, for a browser or a client."""
        return {
            "name": self.gate.cookie,
            "value": self.gate.sessions.begin(name, role),
            "url": self.url,
        }


@contextlib.contextmanager
def running(world: World, now: float | None = None) -> Iterator[Console]:
    """Serve a console on this machine until the block ends; with ``now``, it stays that moment."""
    # With its protocol named, answers are sent at once: asyncio looks at that.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    gate = Gate(GateOptions(port), clock=SystemClock(), keys=ApiKeys(()))
    clock = None if now is None else _At(now)
    verbs = Verbs(Stores(world.store), world.config, clock=clock)
    config = uvicorn.Config(
        make_app(verbs, gate), log_level="warning", timeout_graceful_shutdown=1, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield Console(f"http://127.0.0.1:{port}", world, gate)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
