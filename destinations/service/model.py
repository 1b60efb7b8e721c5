"""The configuration of ``destinations serve``, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from destinations.definition.document import Document
from destinations.secrets import Secret

__all__ = [
    "DeliveryConfig",
    "DestinationConfig",
    "ListenConfig",
    "ReceiverConfig",
    "ServeConfig",
    "StoreConfig",
]


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """Where events are received; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8787
    max_body_bytes: int = 512_000
    body_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The SQLite file; ``max_bytes`` of None is as much as the disk has."""

    path: Path
    max_bytes: int | None = None
    keep_days: float = 30.0
    dedupe_days: float = 7.0


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """Who may post events to one destination."""

    keys: tuple[Secret, ...] = ()
    signature_secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """How one destination delivers; ``concurrency`` of None is that of the definition."""

    deadline_seconds: float = 14_400.0
    settle_after_seconds: float = 30.0
    concurrency: int | None = None
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class DestinationConfig:
    """One destination: its name here, what it is (an installed name or a folder), its settings.

    ``settings`` are expanded, with the places where they stand, and not checked yet;
    ``in_text`` are the names of those whose whole value stands in the file.
    """

    name: str
    destination: str
    settings: Document = field(repr=False)
    in_text: frozenset[str] = frozenset()
    receiver: ReceiverConfig = ReceiverConfig()
    delivery: DeliveryConfig = DeliveryConfig()


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """All of it."""

    store: StoreConfig
    destinations: tuple[DestinationConfig, ...]
    listen: ListenConfig = ListenConfig()
    max_events: int = 1_000_000
    drain_seconds: float = 30.0
