"""What happened within a time, from totals that are looked at again and again."""

from __future__ import annotations

import json
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import Tally
from destinations.telemetry.alerts import Window, Windows
from destinations.telemetry.alerts.windows import standing

DAY = 19_000
NOON = DAY * 86_400 + 43_200.0
KANA = Window("kana")


def _tally(
    status: Status, count: int, day: int = DAY, *, tenant: str = "", subscription: str = ""
) -> Tally:
    return Tally("kana", tenant, subscription, status, day, count)


def test_the_first_look_counts_nothing() -> None:
    """What ended before a server looked for the first time is old."""
    windows = Windows(900)
    windows.add([_tally(Outcome.DEAD, 50)], NOON)
    assert windows.count(KANA, Outcome.DEAD, 900, NOON) == 0


def test_what_happened_within_a_time() -> None:
    """It is counted until the time is over, and then no more."""
    windows = Windows(900)
    windows.add([_tally(Outcome.DEAD, 50)], NOON)
    windows.add([_tally(Outcome.DEAD, 53)], NOON + 60)
    windows.add([_tally(Outcome.DEAD, 55)], NOON + 600)
    assert windows.count(KANA, Outcome.DEAD, 900, NOON + 600) == 5
    assert windows.count(KANA, Outcome.DEAD, 300, NOON + 600) == 2
    windows.add([_tally(Outcome.DEAD, 55)], NOON + 1_000)
    assert windows.count(KANA, Outcome.DEAD, 900, NOON + 1_000) == 2
    windows.add([_tally(Outcome.DEAD, 55)], NOON + 3_000)
    assert windows.count(KANA, Outcome.DEAD, 900, NOON + 3_000) == 0


def test_what_is_replayed_is_no_less() -> None:
    """An operator who takes dead deliveries back does not take back that they died."""
    windows = Windows(900)
    windows.add([_tally(Outcome.DEAD, 0)], NOON)
    windows.add([_tally(Outcome.DEAD, 7)], NOON + 10)
    windows.add([_tally(Outcome.DEAD, 0), _tally(State.READY, 7, 0)], NOON + 20)
    windows.add([_tally(Outcome.DEAD, 2), _tally(State.READY, 5, 0)], NOON + 30)
    assert windows.count(KANA, Outcome.DEAD, 900, NOON + 30) == 9


def test_a_new_day() -> None:
    """Totals of the day before are not read any more, and that is no change."""
    windows = Windows(900)
    windows.add([_tally(Outcome.DEAD, 9, DAY - 1), _tally(Outcome.DEAD, 5)], NOON)
    at = (DAY + 1) * 86_400 + 5.0
    windows.add([_tally(Outcome.DEAD, 5), _tally(Outcome.DEAD, 2, DAY + 1)], at)
    assert windows.count(KANA, Outcome.DEAD, 900, at) == 2


def test_tenants_and_subscriptions() -> None:
    """Each counts by itself and in the sum."""
    windows = Windows(900)
    windows.add([], NOON)
    windows.add(
        [
            _tally(Outcome.REJECTED, 2, tenant="acme"),
            _tally(Outcome.REJECTED, 3, subscription="Counts"),
            _tally(Outcome.REJECTED, 4, tenant="acme", subscription="Counts"),
        ],
        NOON + 10,
    )

    def count(window: Window) -> int:
        return windows.count(window, Outcome.REJECTED, 900, NOON + 10)

    assert count(KANA) == 9
    assert count(Window("kana", "acme")) == 6
    assert count(Window("kana", "", "Counts")) == 7
    assert count(Window("kana", "acme", "Counts")) == 4
    assert count(Window("other")) == 0


def test_when_something_was_accepted() -> None:
    """What ends was counted before; only more of all together is something new."""
    windows = Windows(900)
    assert windows.accepted_at("kana", "", NOON) == NOON  # since the first question at least
    windows.add([_tally(State.READY, 5, 0)], NOON)
    windows.add([_tally(Outcome.DELIVERED, 5), _tally(State.READY, 0, 0)], NOON + 100)
    assert windows.accepted_at("kana", "", NOON + 100) == NOON
    windows.add([_tally(Outcome.DELIVERED, 5), _tally(Outcome.FILTERED, 1)], NOON + 200)
    assert windows.accepted_at("kana", "", NOON + 300) == NOON + 200
    # At midnight what was two days ago goes, and one event comes.
    windows.add([_tally(Outcome.DELIVERED, 1, DAY + 2)], NOON + 2 * 86_400)
    assert windows.accepted_at("kana", "", NOON + 3 * 86_400) == NOON + 2 * 86_400


def test_other_parts() -> None:
    """What is told apart from now on is not new, as it stood in a sum before."""
    windows = Windows(900)
    windows.add([_tally(Outcome.DEAD, 50)], NOON)
    of_counts = _tally(Outcome.DEAD, 30, subscription="Counts")
    parts = [_tally(Outcome.DEAD, 20), of_counts]
    windows.add(parts, NOON + 10, ["Counts"])
    assert windows.count(KANA, Outcome.DEAD, 900, NOON + 10) == 0
    again = Windows(900)
    again.read(json.loads(json.dumps(windows.to_json())))
    again.add([_tally(Outcome.DEAD, 22), of_counts], NOON + 20, ["Counts"])
    assert again.count(KANA, Outcome.DEAD, 900, NOON + 20) == 2
    again.add([_tally(Outcome.DEAD, 53)], NOON + 30)
    assert again.count(KANA, Outcome.DEAD, 900, NOON + 30) == 2


def test_a_restart() -> None:
    """Counts go on, and what ended meanwhile is counted with the first look."""
    before = Windows(900)
    before.add([_tally(Outcome.DEAD, 1)], NOON)
    before.add([_tally(Outcome.DEAD, 4)], NOON + 10)
    after = Windows(900)
    after.read(json.loads(json.dumps(before.to_json())))
    assert after.count(KANA, Outcome.DEAD, 900, NOON + 20) == 3
    after.add([_tally(Outcome.DEAD, 6)], NOON + 60)
    assert after.count(KANA, Outcome.DEAD, 900, NOON + 60) == 5
    after.read(None)
    assert after.count(KANA, Outcome.DEAD, 900, NOON + 60) == 5


def test_what_stands_now() -> None:
    """Held deliveries are counted as they are, of a tenant and a subscription if wanted."""
    tallies = [
        _tally(State.HELD, 2, 0, tenant="acme"),
        _tally(State.HELD, 3, 0, subscription="Counts"),
        _tally(State.READY, 9, 0),
        Tally("other", "", "", State.HELD, 0, 5),
    ]
    assert standing(tallies, KANA, State.HELD) == 5
    assert standing(tallies, Window("kana", "acme"), State.HELD) == 2
    assert standing(tallies, Window("kana", "", "Counts"), State.HELD) == 3


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), max_size=60), st.integers(60, 1800)
)
def test_counts_are_exact_to_a_bucket(steps: list[tuple[int, int]], within: int) -> None:
    """No count misses what is surely within the time, or has what is surely before it."""
    windows, now, total = Windows(within), NOON, 0
    windows.add([_tally(Outcome.DEAD, 0)], now)
    ends: deque[tuple[float, int]] = deque()
    bucket = max(5.0, within / 60)
    for seconds, more in steps:
        now += seconds
        total += more
        ends.append((now, more))
        windows.add([_tally(Outcome.DEAD, total)], now)
        count = windows.count(KANA, Outcome.DEAD, within, now)
        surely = sum(number for at, number in ends if at > now - within + bucket)
        possibly = sum(number for at, number in ends if at > now - within - bucket)
        assert surely <= count <= possibly
