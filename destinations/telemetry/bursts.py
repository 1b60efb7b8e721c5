"""Report frequent events in a few lines whose counts add up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Burst", "Bursts", "Timer"]

K = TypeVar("K", bound=Hashable)

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 5.0


class Timer(Protocol):
    """Calls a function later, unless it is cancelled; see `threading.Timer`."""

    def cancel(self) -> None:
        """Call it no more."""


@dataclass(frozen=True, slots=True)
class Burst:
    """A message: ``number`` of events since the last one, ``total`` since the burst began.

    ``last`` is what was given with the last of them. ``has_ended`` says that the burst is over,
    and ``is_cut`` that this is not known, as logging stops.
    """

    number: int
    total: int
    last: str
    has_ended: bool = False
    is_cut: bool = False

    @property
    def begins(self) -> bool:
        """Whether it is the first message of its burst."""
        return self.number == self.total and not self.is_last

    @property
    def is_last(self) -> bool:
        """Whether it is the last message of its burst."""
        return self.has_ended or self.is_cut


@dataclass(slots=True)
class _Going:
    told_at: float
    last_at: float
    pause: float = _FIRST_SECONDS
    total: int = 1
    untold: int = 0
    is_single: bool = True
    singles: int = 0
    last: str = ""


class Bursts(Generic[K]):
    """Reports the first of a kind at once, the next ones together, and when they have ended.

    The first ``at_once`` of each second are reported one by one, and what came between
    counts with the next one. Else the pause between two times grows from one second to a minute;
    five seconds without any are the end, which is reported if something came after the first. The
    numbers that are reported of a kind add up to all that happened. Safe for threads.
    """

    def __init__(
        self,
        tell: Callable[[K, Burst], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        start_timer: Callable[[float, Callable[[], None]], Timer] | None = None,
        at_once: int = 1,
    ) -> None:
        self._at_once = at_once
        self._tell = tell
        self._monotonic = monotonic
        self._start_timer = start_timer or _start_timer
        self._lock = threading.Lock()
        self._going: dict[K, _Going] = {}
        self._timer: Timer | None = None

    def add(self, kind: K, last: str = "", number: int = 1) -> None:
        """Note that something has happened ``number`` times; ``last`` says more of the last."""
        now = self._monotonic()
        with self._lock:
            going = self._going.get(kind)
            if going is None:
                self._going[kind] = _Going(now, now, total=number, last=last)
                found = Burst(number, number, last)
            else:
                going.last_at, going.last = now, last
                going.total += number
                going.untold += number
                going.is_single = False
                if now - going.told_at >= going.pause:
                    going.told_at, going.singles = now, 0
                    if self._at_once == 1:
                        going.pause = min(2 * going.pause, _LONGEST_SECONDS)
                elif going.singles + 1 >= self._at_once:
                    return
                else:
                    going.singles += 1
                found = _told(going)
            if self._timer is None:
                self._timer = self._start_timer(_QUIET_SECONDS, self._look)
        self._tell(kind, found)

    def close(self) -> None:
        """Tell all remaining counts, of bursts that are cut by this; safe to repeat."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            cut, self._going = self._going, {}
        self._end(cut, is_cut=True)

    def _look(self) -> None:
        """Tell which bursts have ended, and come again while others continue."""
        now = self._monotonic()
        with self._lock:
            ended = {
                kind: going
                for kind, going in self._going.items()
                if now - going.last_at >= _QUIET_SECONDS
            }
            for kind in ended:
                del self._going[kind]
            self._timer = None
            if self._going:
                since = min(going.last_at for going in self._going.values())
                pause = max(_FIRST_SECONDS, since + _QUIET_SECONDS - now)
                self._timer = self._start_timer(pause, self._look)
        self._end(ended)

    def _end(self, ended: dict[K, _Going], *, is_cut: bool = False) -> None:
        for kind, going in ended.items():
            if not going.is_single:
                self._tell(kind, _told(going, has_ended=not is_cut, is_cut=is_cut))


def _told(going: _Going, *, has_ended: bool = False, is_cut: bool = False) -> Burst:
    number, going.untold = going.untold, 0
    return Burst(number, going.total, going.last, has_ended, is_cut)


def _start_timer(seconds: float, call: Callable[[], None]) -> Timer:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.name = "bursts"
    timer.start()
    return timer
