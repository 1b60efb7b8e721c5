"""The right of a process to deliver, where several processes share a queue.

Each has the users of some lanes for itself, as long as its lease lasts. A queue that only one
process at a time may deliver from has no lease.
"""

from __future__ import annotations

import contextlib
import hashlib
import string
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

__all__ = [
    "LANES",
    "Lease",
    "LeaseHolder",
    "LeaseLostError",
    "LeaseTimes",
    "Session",
    "Worker",
    "escaped",
    "is_under",
    "lane_name",
    "lane_of",
    "under",
    "unescaped",
]

LANES: Final = 128
"""The number of lanes, and so the most processes that have something to do. It never changes."""


_SPACE: Final = " \t\n\r\f\v"
_LOWER: Final = {ord(one): one.lower() for one in string.ascii_uppercase}


_NUL: Final = "\0"
_ESCAPE: Final = "\U0010fffe"
"""A character that no text has, as Unicode gives it no meaning; for what no text may have there."""


def escaped(text: str) -> str:
    """Return a text as a database keeps it that cannot keep the character 0."""
    if _NUL in text or _ESCAPE in text:
        return text.replace(_ESCAPE, f"{_ESCAPE}1").replace(_NUL, f"{_ESCAPE}0")
    return text


def unescaped(text: str) -> str:
    """Return the text that `escaped` was given."""
    if _ESCAPE in text:
        return text.replace(f"{_ESCAPE}0", _NUL).replace(f"{_ESCAPE}1", _ESCAPE)
    return text


def lane_name(user: str) -> str:
    """Return by what the lane of a user is found: its name trimmed, in ASCII's lower case."""
    return user.strip(_SPACE).translate(_LOWER)


def lane_of(tenant: str, user: str) -> int:
    """Return the lane of a user, whose events keep their order: that of all destinations.

    A database does the same: see the function of this name in `destinations.postgres.schema`.
    """
    text = f"{tenant}\x1f{lane_name(escaped(user))}".encode("utf-8", "surrogatepass")
    digest = hashlib.md5(text, usedforsecurity=False).digest()
    return int.from_bytes(digest[:2], "big") % LANES


_of_thread = threading.local()


@contextlib.contextmanager
def under(token: int | None) -> Iterator[None]:
    """Do in this thread what was decided under the lease of a token."""
    former = vars(_of_thread).copy()
    _of_thread.token = token
    try:
        yield
    finally:
        vars(_of_thread).clear()
        vars(_of_thread).update(former)


def is_under(token: int | None) -> bool:
    """Return whether this thread does what was decided under a lease, or under none at all."""
    return getattr(_of_thread, "token", token) == token


class LeaseLostError(Exception):
    """Nothing was written: this process did not renew its lease, so others deliver what it had."""


class Lease(Protocol):
    """The right of one process to deliver; safe for threads."""

    @property
    def token(self) -> int | None:
        """What every write is fenced by; None while nothing may be delivered."""
        ...

    @property
    def lanes(self) -> Mapping[int, int]:
        """The lanes whose users it delivers for; each with a number that rises if it comes again.

        What waited in one before is not known any more: others may have delivered meanwhile.
        """
        ...

    def remaining(self) -> float:
        """Return for how many seconds requests may still begin; 0 or less if none may."""
        ...

    def renounce(self) -> None:
        """Give it up, as it is not known what was written under it: that is found out anew."""
        ...


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds: how long a lease lasts after a beat, between two beats, and what is left unused.

    With ``hard_stop`` the kernel ends the process if it is frozen beyond its lease.
    """

    lease: float = 15.0
    beat: float = 3.0
    margin: float = 2.0
    hard_stop: bool = True

    @property
    def statement(self) -> float:
        """How long a statement may take that the lease waits for: a beat comes after it in time."""
        return max(1.0, self.lease / 3)

    @classmethod
    def of(cls, seconds: float, *, hard_stop: bool = True) -> Self:
        """Return the times of a lease of so many seconds."""
        return cls(seconds, seconds / 5, seconds * 2 / 15, hard_stop)


@dataclass(frozen=True, slots=True)
class Worker:
    """A session, as others see it: host and process are its ``name``.

    Its ``state`` is ``alive`` until it leaves or is found ``dead``, and it has so many ``lanes``.
    """

    id: int
    name: str
    version: str
    state: str
    lanes: int
    is_run: bool


class LeaseHolder(Protocol):
    """A listener that is told of changes of a lease, in any thread."""

    def lanes_changed(self) -> None:
        """Deliver for the lanes that the lease has now, and begin nothing more for the others."""
        ...

    def is_clear_of(self, lanes: Collection[int]) -> bool:
        """Return whether nothing of the users of lanes is under way."""
        ...

    def lease_lost(self) -> None:
        """Forget all that is under way: others find out its outcome."""
        ...

    def lease_taken(self) -> None:
        """Begin to deliver."""
        ...


class Session(Lease, Protocol):
    """A process among those that deliver from a store: its lease, which it renews by itself.

    ``holder`` is told of changes. Before the bytes of a request leave, `begin` is called, and `end`
    when they have.
    """

    holder: LeaseHolder
    last_error: Exception | None

    def begin(self) -> None:
        """Note that bytes are about to leave; raises `TransportError` if the lease is over."""
        ...

    def end(self) -> None:
        """Note that they have left, or never will."""
        ...

    def start(self) -> None:
        """Take lanes, and renew the lease from now on."""
        ...

    def close(self) -> None:
        """Free all lanes; nothing may be under way. Safe to repeat."""
        ...
