"""Whatever gets lost, whenever the process ends and the clock moves: nothing counts twice."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from destinations.operations import resolve
from destinations.outcome import Effect, Outcome, State
from destinations.runtime.destination import Destination
from destinations.store import SqliteStore
from tests.case_tables import each_value
from tests.destinations.pipeline.conftest import Bench
from tests.destinations.pipeline.metering import HOUR, KilledError, MeteringPartner, metered
from tests.example_counts import examples
from tests.memory import folder_in_memory

_ACTS = st.sampled_from(["done", "lost", "none", "die", "die first", "503", "429", "400", "422"])
_LOSSES = st.sampled_from(["lost", "none", "die", "die first"])
_WAITS = st.sampled_from([0.0, 1.0, 30.0, 600.0, HOUR, 7 * HOUR, 23 * HOUR, 30 * HOUR])


class _Machine(RuleBasedStateMachine):
    """A server, its partner, and what each event may have come to."""

    destination: Destination
    options: dict[str, Any]

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=folder_in_memory())
        self.path = Path(self.folder.name) / "store.sqlite3"
        self.bench = Bench(self.path, self.destination, deadline=4 * HOUR)
        self.partner = MeteringPartner(self.bench.clock, **self.options)
        self.events: dict[str, tuple[str, int]] = {}
        self.first: dict[str, float] = {}
        self.numbers = itertools.count()
        self._meet()

    def _meet(self) -> None:
        self.bench.partner = self.partner  # type: ignore[assignment] # another kind of partner
        self.bench.sender._transport = self.partner

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except KilledError:
            self.restart()

    @rule(user=st.sampled_from("abc"), by=st.integers(1, 3))
    def accept(self, user: str, by: int) -> None:
        key = f"m{next(self.numbers)}"
        self.events[key] = (user, by)
        self._guarded(lambda: self.bench.accept_raw(self.bench.event(user, by, key)))

    @rule(acts=st.lists(_ACTS, max_size=4))
    def disturb(self, acts: list[str]) -> None:
        self.partner.acts = acts

    @rule(user=st.sampled_from("abc"), by=st.integers(1, 3), act=_LOSSES, away=_WAITS)
    def lose(self, user: str, by: int, act: str, away: float) -> None:
        """Lose an answer, and be away."""
        self.partner.acts = [act]
        self.accept(user, by)
        self._guarded(self.bench.step)
        self.bench.clock.now += away

    @rule(seconds=_WAITS, number=st.integers(1, 6))
    def go_on(self, seconds: float, number: int) -> None:
        for _ in range(number):
            self._guarded(lambda: self.bench.step(min(seconds, 600.0)))
        self.bench.clock.now += seconds

    @rule()
    def restart(self) -> None:
        self.bench.restart()
        self._meet()

    @rule()
    def decide(self) -> None:
        """An operator looks at the partner, and says what it has."""
        with SqliteStore(self.path) as store:
            ledger = store.ledger()
            held = [one for one in self.bench.entries if one.status is State.HELD]
            for one in held:
                applied = self.partner.applied[one.message_id] > 0
                resolve(ledger, [one], applied=applied, now=self.bench.clock.time())

    @invariant()
    def nothing_counts_twice(self) -> None:
        assert all(number == 1 for number in self.partner.applied.values()), self.partner.applied

    @invariant()
    def nothing_is_lost(self) -> None:
        if not self.events:
            return
        entries = {one.message_id: one for one in self.bench.entries}
        assert entries.keys() == self.events.keys()
        for key, entry in entries.items():
            if entry.status is Outcome.DELIVERED:
                assert self.partner.applied[key] == 1
            elif isinstance(entry.status, Outcome):
                assert self.partner.applied[key] == 0, entry
            elif entry.status is State.HELD:
                assert entry.effect is Effect.MAYBE

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        try:
            self.partner.acts = []
            self.bench.step()
            for _ in range(400):
                if not self.bench.goes_on:
                    break
                self.bench.step(1800.0)
            assert not self.bench.goes_on
            assert all(
                isinstance(one.status, Outcome) or one.status is State.HELD
                for one in self.bench.entries
            )
            self.nothing_counts_twice()
            self.nothing_is_lost()
            assert self.bench.told.errors == []
            self.bench.close()
        finally:
            self.folder.cleanup()


@pytest.mark.fuzz
@each_value
@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize(
    "kind", ["in silence", "refused", "listed", "all or nothing", "one at a time"]
)
def test_nothing_counts_twice_and_nothing_is_lost(
    bind: Callable[..., Destination], kind: str, *, asks: bool
) -> None:
    """With a partner that takes repeats in silence, refuses them, or names them."""
    listed, atomic = kind in {"listed", "all or nothing"}, kind == "all or nothing"
    change = metered(
        asks=asks,
        failures=listed,
        all_or_nothing=atomic,
        batch=1 if kind == "one at a time" else 4,
        rule=kind != "in silence",
    )

    class Machine(_Machine):
        destination = bind(change)
        options = {"refuses": kind != "in silence", "atomic": atomic}  # noqa: RUF012 - read only

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(8),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
