"""Keep the refused events of known senders, apart from the ledger and without delaying others."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from destinations.errors import DestinationsError
from destinations.pipeline.queue import Scope
from destinations.server.shares import Shares
from destinations.statuses import FINAL_REFUSALS
from destinations.store import RefusedEvent, StoredRefused

__all__ = ["Refusal", "RefusedBounds", "RefusedKeeper", "Refusing"]

_LOG = logging.getLogger(__name__)

_MOST_WAITING: Final = 2_000
_MOST_WAITING_BYTES: Final = 8 * 1024 * 1024
_LARGEST_BODY: Final = 512 * 1024

# A transaction with this much takes some milliseconds, and deliveries have to wait for it.
_CHUNK: Final = 100
_CHUNK_BYTES: Final = 1024 * 1024

_LARGEST_OF_SHARE: Final = 4
"""One event takes at most this part of the bytes that its destination may have."""

_PAUSE_SECONDS: Final = 0.2
_LONGEST: Final = 2**53
"""Who announces a longer body announces nonsense, and SQLite could not hold it."""

_LONGEST_ID: Final = 1_000
_LONGEST_SECRET: Final = 4_096


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event that was refused, or a request whose events were not looked at one by one.

    ``raw`` is what came of it, of ``length`` bytes; ``events`` is how many it counts for.
    ``is_whole`` is false if ``raw`` was cut already, or is not as it came.
    """

    status: int
    code: str
    reason: str
    raw: bytes = b""
    length: int = 0
    events: int = 1
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class RefusedBounds:
    """The most that is kept of what was refused; all destinations have equal shares of it.

    ``max_event_bytes`` is the most of one event, but a quarter of the bytes of its destination at
    most: what is longer is cut.
    """

    max_events: int = 10_000
    max_bytes: int = 50_000_000
    max_event_bytes: int = 65_536


class Refusing:
    """A receiver's way to keep refusals; this one keeps none, as counting them is enough."""

    @property
    def most_event_bytes(self) -> int:
        """The most bytes of one event that are kept."""
        return 0

    def keep(self, scope: Scope, path: str, peer: str, refusals: Sequence[Refusal]) -> None:
        """Keep what a sender with valid credentials was refused."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A refusal that waits to be written, with when and where it happened."""

    at: float
    path: str
    peer: str
    refusal: Refusal

    @property
    def size(self) -> int:
        return len(self.refusal.raw) + len(self.refusal.reason)


class _Waiting:
    """The entries of one destination in order, with how many and how large those of a code are."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.numbers: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()

    def add(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self._count(entry, 1)

    def make_room(self, amounts: Counter[str], code: str, amount: int) -> _Entry | None:
        """Remove the oldest entry of the code that has most of something.

        Returns None, and removes none, unless that code has more than ``code`` with ``amount``.
        """
        if not amounts:
            return None
        (most, taken), *_ = amounts.most_common(1)
        if taken <= amounts[code] + amount:
            return None
        at = next(at for at, one in enumerate(self.entries) if one.refusal.code == most)
        entry = self.entries.pop(at)
        self._count(entry, -1)
        return entry

    def _count(self, entry: _Entry, sign: int) -> None:
        self.numbers[entry.refusal.code] += sign
        self.sizes[entry.refusal.code] += sign * entry.size


class RefusedKeeper(Refusing):
    """Writes refused events into a store, from a buffer, in a thread of its own.

    `keep` never waits and never raises. What the buffer has no room for, the store cannot take, or
    later ones displace is passed to ``unkept``: the name of the destination, and how many. ``mask``
    masks secrets; texts are cut after that. ``names`` are the destinations, which share the buffer
    and the bounds. Within the share of one, the code that has most gives way to the others.
    """

    def __init__(
        self,
        refused: StoredRefused,
        *,
        mask: Callable[[str], str],
        unkept: Callable[[str, int], None],
        internal_error: Callable[[str], None] = lambda _name: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.bounds = RefusedBounds()
        self.names: Sequence[str] = ()
        self._refused = refused
        self._mask = mask
        self._unkept = unkept
        self._internal_error = internal_error
        self._now = now
        self._lock = threading.Lock()
        self._waiting: dict[Scope, _Waiting] = {}
        self._numbers = Shares(_MOST_WAITING)
        self._bytes = Shares(_MOST_WAITING_BYTES, _LARGEST_BODY)
        self._filled = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refused", daemon=True)

    @property
    def most_event_bytes(self) -> int:
        """See `Refusing.most_event_bytes`."""
        return self.bounds.max_event_bytes if self.bounds.max_events else 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end; safe to repeat."""
        self._stop.set()
        self._filled.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def keep(self, scope: Scope, path: str, peer: str, refusals: Sequence[Refusal]) -> None:
        """See `Refusing.keep`."""
        wanted = [one for one in refusals if one.status in FINAL_REFUSALS]
        if not wanted or not self.bounds.max_events:
            return
        at = self._now()
        with self._lock:
            waiting = self._waiting.setdefault(scope, _Waiting())
            left = sum(
                self._put(scope.name, waiting, _Entry(at, path, peer, one)) for one in wanted
            )
        self._filled.set()
        if left:
            self._unkept(scope.name, left)

    def _put(self, name: str, waiting: _Waiting, entry: _Entry) -> int:
        """Let an entry wait; returns how many events are left out for it, its own if it cannot."""
        left, code = 0, entry.refusal.code
        while True:
            if not self._numbers.take(name, 1, self.names):
                amounts, amount = waiting.numbers, 1
            elif not self._bytes.take(name, entry.size, self.names):
                self._numbers.give_back(name, 1)
                amounts, amount = waiting.sizes, entry.size
            else:
                waiting.add(entry)
                return left
            other = waiting.make_room(amounts, code, amount)
            if other is None:
                return left + entry.refusal.events
            left += other.refusal.events
            self._give_back(name, [other])

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._filled.clear()
        for scope, found in waiting.items():
            while found.entries:
                self._write(scope, _next_chunk(found.entries))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._filled.wait()
            self._stop.wait(_PAUSE_SECONDS)  # several requests share a commit
            self.flush()

    def _write(self, scope: Scope, chunk: Sequence[_Entry]) -> None:
        displaced: int | None = None
        shares = max(1, len(self.names))
        bounds = self.bounds
        most_bytes = bounds.max_bytes // shares
        # One large event must not displace all others.
        longest = min(bounds.max_event_bytes, most_bytes // _LARGEST_OF_SHARE)
        try:
            events = [self._event(scope, longest, entry) for entry in chunk]
            displaced = self._refused.add(events, bounds.max_events // shares, most_bytes)
        except DestinationsError:
            pass  # the service that watches the store reports why
        except Exception:  # noqa: BLE001 - nothing of this may end what receives
            _LOG.exception("refused events not written because of an internal error")
            self._internal_error(scope.name)
        finally:
            with self._lock:
                self._give_back(scope.name, chunk)
        unkept = sum(one.refusal.events for one in chunk) if displaced is None else displaced
        if unkept:
            self._unkept(scope.name, unkept)

    def _give_back(self, name: str, entries: Sequence[_Entry]) -> None:
        self._numbers.give_back(name, len(entries))
        self._bytes.give_back(name, sum(one.size for one in entries))

    def _event(self, scope: Scope, longest: int, entry: _Entry) -> RefusedEvent:
        one = entry.refusal
        # A little more than is kept, so that a secret at the end of that is found as a whole.
        kept = self._masked(one.raw[: longest + _LONGEST_SECRET])[:longest]
        message_id, user = (each and self._mask(each) for each in _ids(one.raw))
        return RefusedEvent(
            scope.id,
            entry.at,
            one.status,
            one.code,
            self._mask(one.reason),
            entry.path,
            entry.peer,
            kept,
            min(max(one.length, len(one.raw)), _LONGEST),
            is_whole=one.is_whole and bool(one.raw) and kept == one.raw,
            message_id=message_id,
            user=user,
        )

    def _masked(self, raw: bytes) -> bytes:
        text = raw.decode("utf-8", "surrogateescape")
        masked = self._mask(text)
        return raw if masked == text else masked.encode("utf-8", "surrogateescape")


def _next_chunk(entries: list[_Entry]) -> Sequence[_Entry]:
    """Take as many of the first entries as go into one transaction, at least one."""
    size = number = 0
    for one in entries[:_CHUNK]:
        size += one.size
        if number and size > _CHUNK_BYTES:
            break
        number += 1
    chunk = entries[:number]
    del entries[:number]
    return chunk


class _Ids(msgspec.Struct):
    messageId: Any = None  # noqa: N815 - as events have it
    userId: Any = None  # noqa: N815 - as events have it
    anonymousId: Any = None  # noqa: N815 - as events have it


_decode_ids: Final = msgspec.json.Decoder(_Ids).decode


def _ids(raw: bytes) -> tuple[str | None, str | None]:
    """Return the messageId and the user of an event, as far as they can be read."""
    try:
        found = _decode_ids(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    user = _id(found.userId)
    return _id(found.messageId), _id(found.anonymousId) if user is None else user


def _id(value: object) -> str | None:
    """Return an id as text that SQLite can hold; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    text = str(value)
    return text if len(text) <= _LONGEST_ID else None
