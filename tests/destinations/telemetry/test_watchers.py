from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.engine import NullWatcher, Watcher
from destinations.telemetry import Watchers

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("accepted", ("kana", 3, 1)),
    ("ended", ("kana", [])),
    ("refused", ("kana", 401)),
    ("reached", ("kana", "claimed", [])),
    ("stepped", ("kana", [])),
    ("breaker", ("kana", "open", "down")),
    ("drifted", ("kana", "key", 1, 2)),
    ("failed", ("kana", ValueError("x"))),
]


class Noting(NullWatcher):
    """Notes every call, and then raises if it is broken."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._broken = broken

    def __getattribute__(self, name: str) -> Any:
        if name not in {call for call, _ in CALLS}:
            return super().__getattribute__(name)

        def note(*arguments: Any) -> None:
            self.calls.append((name, arguments))
            if self._broken:
                raise LookupError(name)

        return note


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])
def test_all_are_told(name: str, arguments: tuple[Any, ...]) -> None:
    """Every watcher gets every call, also after one before it that raises; that is told."""
    first, broken, last = Noting(), Noting(broken=True), Noting()
    told: list[tuple[Watcher, str]] = []
    watchers = Watchers([first, broken, last], lambda who, error: told.append((who, str(error))))
    call: Callable[..., None] = getattr(watchers, name)
    call(*arguments)
    assert first.calls == broken.calls == last.calls == [(name, arguments)]
    assert [(who, name) for who, _ in told] == [(broken, name)]


def test_nobody_is_told_of_a_fault() -> None:
    """Without anybody who wants to know, a fault of a watcher still changes nothing."""
    Watchers([Noting(broken=True)]).accepted("kana", 1, 0)


def test_an_interrupt_goes_through() -> None:
    """What ends the program is no fault of a watcher."""

    class Interrupted(NullWatcher):
        def accepted(self, destination: str, events: int, duplicates: int) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Watchers([Interrupted()]).accepted("kana", 1, 0)
