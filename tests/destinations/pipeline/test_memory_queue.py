"""The memory queue is bounded, and recognises messages however many there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.memory_queue import MemoryQueue, SeenMessages
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent, Round, Transition
from destinations.runtime.subscription_key import SubscriptionKey

KEYS = [SubscriptionKey("Counts", "count"), SubscriptionKey("Pages", "save")]


@pytest.fixture(params=[0, 2, 1000])
def seen(request: pytest.FixtureRequest) -> Iterator[SeenMessages]:
    """Nothing seen so far; as many are kept in memory."""
    messages = SeenMessages(in_memory=request.param)
    yield messages
    messages.close()


def test_an_id_is_known_as_it_is(seen: SeenMessages) -> None:
    """Other ids are not, down to case and white space; what is said of one last holds."""
    seen.add("m1", 7, correctable=True)
    assert seen.get("m1") == (7, True)
    for other in ("M1", "m1 ", "m", "m1\0", "ž", ""):
        assert seen.get(other) is None
        seen.add(other, 1)
    seen.add("m1", 2**48 - 1)
    assert seen.get("m1") == (2**48 - 1, False)
    assert seen.get("ž") == (1, False)


@given(
    steps=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=3),
            st.integers(0, 2**48 - 1),
            st.booleans(),
        )
    ),
    in_memory=st.integers(0, 5),
)
def test_it_is_a_dictionary(steps: list[tuple[str, int, bool]], in_memory: int) -> None:
    """It knows what a dictionary would, wherever it keeps it."""
    messages = SeenMessages(in_memory=in_memory)
    known: dict[str, tuple[int, bool]] = {}
    try:
        for message_id, fingerprint, correctable in steps:
            assert messages.get(message_id) == known.get(message_id)
            known[message_id] = (fingerprint, correctable)
            messages.add(message_id, fingerprint, correctable=correctable)
        assert all(messages.get(one) == value for one, value in known.items())
    finally:
        messages.close()


def _deliver(queue: MemoryQueue, number: int, outcome: Outcome = Outcome.DELIVERED) -> None:
    event = QueuedEvent(f"m{number}", "track", "u", 0.0, b"{}", number)
    delivery = QueuedDelivery(event, KEYS[0])
    queue.commit(Round(waiting=[(queue.scope, delivery)]))
    effect = Effect.APPLIED if outcome is Outcome.DELIVERED else Effect.NONE
    transition = Transition(delivery, Result(outcome), effect=effect)
    queue.commit(Round(transitions=[(queue.scope, transition)]))


def test_finished_events_are_not_kept() -> None:
    """However many there were, only their ids are, and beyond some on disk."""
    queue = MemoryQueue("sample", KEYS, in_memory=10)
    for number in range(1, 200):
        _deliver(queue, number)
    assert queue.waiting(queue.scope) == 0
    assert len(queue._open) == 0
    assert len(queue._seen._recent) <= 10
    known = queue.history(queue.scope, [f"m{number}" for number in range(300)])
    assert len(known) == 199
    assert set(known["m7"].deliveries) == {None, *KEYS}
    queue.close()


@pytest.mark.parametrize(
    ("outcome", "effect"), [(Outcome.DELIVERED, Effect.APPLIED), (Outcome.INVALID, Effect.NONE)]
)
def test_what_may_be_corrected(outcome: Outcome, effect: Effect) -> None:
    """It is known of a finished event whether another content may take its place."""
    queue = MemoryQueue("sample", KEYS)
    _deliver(queue, 1, outcome)
    history = queue.history(queue.scope, ["m1"])["m1"]
    assert {past.effect for past in history.deliveries.values()} == {effect}
    assert {past.state for past in history.deliveries.values()} == {State.DONE}
    queue.close()
