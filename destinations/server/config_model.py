"""The configuration of ``destinations serve``, checked and typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from destinations.definition.connection import Connection
from destinations.definition.document import Document
from destinations.http.loopback import is_loopback
from destinations.operations import DEDUPE_DAYS, KEEP_DAYS, REFUSED_DAYS, Periods
from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.reconcile import LossOptions
from destinations.postgres import StoreAddress
from destinations.secrets import Secret
from destinations.server.body_reader import Limits
from destinations.server.connections import MOST_CONNECTIONS
from destinations.server.network_addresses import Address, Network
from destinations.server.refused_events import RefusedBounds
from destinations.store import RecentBounds, Sealer, SealingKey
from destinations.telemetry import Form, Level
from destinations.telemetry.alerts import AlertConfig

__all__ = [
    "AdminConfig",
    "ApiKeyConfig",
    "ConsoleConfig",
    "DeliveryConfig",
    "DestinationConfig",
    "HeaderSettingsConfig",
    "ListenConfig",
    "LogConfig",
    "ReceiverConfig",
    "RefusedConfig",
    "SealingConfig",
    "ServeConfig",
    "SourceConfig",
    "StoreConfig",
    "TenantsConfig",
]

_FORMER: Final = "reconcileAfterSeconds"
"""The former name of `settleAfterSeconds`."""

_LIMITS: Final = Limits()
_BOUNDS: Final = RefusedBounds()


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """The address for events; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8787
    max_body_bytes: int = _LIMITS.body_bytes
    body_seconds: float = _LIMITS.body_seconds
    max_connections: int = MOST_CONNECTIONS
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """A separate address for metrics and health."""

    listen: Address


@dataclass(frozen=True, slots=True)
class ApiKeyConfig:
    """A key of a program that uses the API of the console, by a ``name`` for the audit log.

    ``exposed`` is as in `DestinationConfig`.
    """

    name: str
    role: Literal["read", "operate"]
    key: Secret
    exposed: Path | None = None


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """The address of the console and its API, who may use them, and where a login link is written.

    ``users`` is the file of operators; without it a login link lets in. ``behind_proxy`` says that
    a proxy with TLS is in front of it, and ``hosts`` are the names that it has there.
    """

    listen: Address
    users: Path | None = None
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    login_link: Path | None = None
    keys: tuple[ApiKeyConfig, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it, and no proxy passes others on to it."""
        return is_loopback(self.listen.host) and not self.behind_proxy


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The place of the store; ``max_bytes`` of None is as much as the disk has.

    ``exposed`` is as in `DestinationConfig`. A database in PostgreSQL has servers with a ``lease``,
    and if it ``is_replicated``, no event may be lost with one machine of it.
    """

    address: StoreAddress
    max_bytes: int | None = None
    keep_days: float = KEEP_DAYS
    dedupe_days: float = DEDUPE_DAYS
    keep_days_by_outcome: Mapping[Outcome, float] = field(default_factory=dict)
    exposed: Mapping[str, Path] = field(default_factory=dict)
    lease: LeaseTimes = field(default_factory=LeaseTimes)
    is_replicated: bool = True


@dataclass(frozen=True, slots=True)
class RefusedConfig:
    """The bounds of what is kept of refused events; for the first three see `RefusedBounds`."""

    max_events: int = _BOUNDS.max_events
    max_bytes: int = _BOUNDS.max_bytes
    max_event_bytes: int = _BOUNDS.max_event_bytes
    keep_days: float = REFUSED_DAYS


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The lowest level and the form of log lines."""

    level: Level = "info"
    form: Form = "auto"


@dataclass(frozen=True, slots=True)
class HeaderSettingsConfig:
    """The settings that customers send in a header, and those of them that may be URLs.

    Without a name in ``allow_urls``, none of them may be what an address or authentication is made
    of.
    """

    from_header: tuple[str, ...] = ()
    allow_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantsConfig:
    """Customers who post with keys of their own; ``key`` is the setting that holds such a key.

    ``settings`` are those that come with each request. A key that was good is refused once the
    partner has refused it for ``refuse_after_seconds``. ``document`` is the whole configuration,
    which issues name.
    """

    key: str
    refuse_after_seconds: float = 3600.0
    settings: HeaderSettingsConfig = HeaderSettingsConfig()
    document: Document = field(default=Document("receiver.tenants", {}, {}), compare=False)


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """The keys and signature secrets of those who may post to one destination, or its customers."""

    keys: tuple[Secret, ...] = ()
    signature_secrets: tuple[Secret, ...] = ()
    tenants: TenantsConfig | None = None

    @property
    def secrets(self) -> Sequence[Secret]:
        """All that its senders prove themselves by."""
        return [*self.keys, *self.signature_secrets]


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """The rules of delivery for one destination.

    A delivery that fails ``deadline_seconds`` after its first attempt is dead, and one that waits
    for another event of its user ``wait_for_seconds`` after it began to. None of that, and of
    ``concurrency``, means what the definition says. For the rest see `LossOptions`.
    """

    deadline_seconds: float = 4 * 3600.0
    settle_after_seconds: float | None = None
    sole_writer: bool = True
    lost_answers: Literal["hold", "resend"] | None = None
    concurrency: int | None = None
    allow_private: bool = False
    wait_for_seconds: float | None = None

    @property
    def losses(self) -> LossOptions:
        """The rule for lost answers."""
        return LossOptions(self.settle_after_seconds, self.sole_writer, self.lost_answers)


@dataclass(frozen=True, slots=True)
class DestinationConfig:
    """One destination: its name here, what it is (an installed name or a folder), its settings.

    ``settings`` are expanded, with the places where they stand, and not checked yet;
    ``in_text`` are the names of those whose whole value stands in the file. ``exposed`` are the
    files that every user of this machine can read, by the place of what they hold, as in
    ``/settings/apiKey``. ``account`` is a name for the account at the partner. Without a
    ``connection`` it has the presets of its definition. It takes the events of ``sources``.
    ``absent`` says by name why settings cannot be had, where they need not be there; ``settings``
    lacks them. ``spec`` is what the file says, with secrets only named.
    """

    name: str
    destination: str
    settings: Document = field(repr=False)
    in_text: frozenset[str] = frozenset()
    receiver: ReceiverConfig = ReceiverConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    exposed: Mapping[str, Path] = field(default_factory=dict)
    account: str | None = None
    connection: Connection | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    sources: tuple[str, ...] = ()
    has_receiver: bool = False

    @property
    def is_posted_to(self) -> bool:
        """Whether senders may post its events to its own path, as well as to a source."""
        return self.has_receiver or not self.sources


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A sender that speaks Segment's HTTP API, with any of the write ``keys``.

    ``cors`` are the origins of web pages that may send. With ``context_traits``, the traits in the
    context of identify calls are the user's. ``exposed`` is as in `DestinationConfig`.
    """

    name: str
    keys: tuple[Secret, ...] = ()
    cors: tuple[str, ...] = ()
    context_traits: bool = False
    exposed: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealingConfig:
    """The keys of the secrets in the store: the one that seals, and those that only open.

    ``exposed`` are the files that every user of this machine can read, by the place of their key.
    """

    key: Secret
    former_keys: tuple[Secret, ...] = ()
    exposed: Mapping[str, Path] = field(default_factory=dict)

    def sealer(self) -> Sealer:
        """Return a sealer with these keys; raises as `Sealer` does."""
        former = [SealingKey.parse(key) for key in self.former_keys]
        return Sealer(SealingKey.parse(self.key), former)


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """All of it.

    ``keep_recent`` bounds what stays of delivered events, None keeps none; ``keep_attempts`` says
    the same of requests with their answers. ``path`` is where it was read, None for one that is not
    in a file.
    """

    store: StoreConfig
    destinations: tuple[DestinationConfig, ...]
    listen: ListenConfig = ListenConfig()
    admin: AdminConfig | None = None
    console: ConsoleConfig | None = None
    refused: RefusedConfig = RefusedConfig()
    log: LogConfig = LogConfig()
    sealing: SealingConfig | None = None
    sources: tuple[SourceConfig, ...] = ()
    max_events: int = 1_000_000
    drain_seconds: float = 30.0
    keep_recent: RecentBounds | None = None
    keep_attempts: AttemptPolicy | None = field(default_factory=AttemptPolicy)
    alerts: AlertConfig = field(default_factory=AlertConfig)
    path: Path | None = field(default=None, compare=False)
    document: Document | None = field(default=None, compare=False, repr=False)
    """What it was read from, to say where something stands; None for one that is not in a file."""
    variables: frozenset[str] = field(default=frozenset(), compare=False)
    """The environment variables that it names: a running process cannot get other values."""

    @property
    def has_sealing(self) -> bool:
        """Whether secrets in the store can be sealed; the keys may not have been looked up."""
        is_named = self.document is not None and "sealing" in self.document.data
        return self.sealing is not None or is_named

    def at(self, pointer: str) -> str:
        """Return a place as issues show it: with file and line, as far as they are known."""
        return pointer if self.document is None else str(self.document.issue(pointer, ""))

    @property
    def warnings(self) -> Sequence[str]:
        """The problems that do not keep it from working; each destination has its own."""
        of_store = [
            f"{self.at(place)}: every user of this machine can read {path}; only its owner should "
            "be able to (chmod 600); then replace the password"
            for place, path in self.store.exposed.items()
        ]
        exposed = {} if self.sealing is None else self.sealing.exposed
        of_sealing = [
            f"{place}: every user of this machine can read {path}; only its owner should be able "
            "to (chmod 600); then seal with a new key"
            for place, path in exposed.items()
        ]
        of_sources = [
            f"{place}: every user of this machine can read {path}; only its owner should be able "
            "to (chmod 600); then replace the key"
            for source in self.sources
            for place, path in source.exposed.items()
        ]
        of_console = [
            f"the key {one.name} of api.keys: every user of this machine can read {one.exposed}; "
            "only its owner should be able to (chmod 600); then replace the key"
            for one in (() if self.console is None else self.console.keys)
            if one.exposed is not None
        ]
        of_alerts = [
            f"{self.at(place)}: every user of this machine can read {path}; only its owner should "
            "be able to (chmod 600); then replace the secret"
            for place, path in self.alerts.exposed.items()
        ]
        fed = {name for each in self.destinations for name in each.sources}
        of_files = [*of_store, *of_sealing, *of_sources, *of_console, *of_alerts]
        return [*of_files, *self._deprecated()] + [
            f"source {one.name} feeds no destination: its events are refused until one of them "
            f"has `from: [{one.name}]`"
            for one in self.sources
            if one.name not in fed
        ]

    def _deprecated(self) -> Iterator[str]:
        """Yield a warning for each key with a former name."""
        given = {} if self.document is None else self.document.data
        for number, each in enumerate(given.get("destinations", ())):
            if _FORMER in each.get("delivery", {}):
                place = f"/destinations/{number}/delivery/{_FORMER}"
                yield f"{self.at(place)}: deprecated; use settleAfterSeconds"

    @property
    def periods(self) -> Periods:
        """For how long things are kept."""
        return Periods(
            self.store.keep_days,
            self.store.dedupe_days,
            self.refused.keep_days,
            by_outcome=self.store.keep_days_by_outcome,
            recent=self.keep_recent,
            attempts=self.keep_attempts,
        )
