"""An event that comes hundreds of times is sent once, whichever way it comes."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

REPEATS = 1_000 if "CHAOS_SEEDS" in os.environ else 400
SENDERS, DELTA = 8, 7
Events = Sequence[dict[str, Any]]


def _in_one_batch(running: Any, events: Events) -> None:
    running.accept(events, page=len(events))


def _in_many_batches(running: Any, events: Events) -> None:
    running.accept(events, page=3)


def _one_by_one(running: Any, events: Events) -> None:
    """All are offered before the first of them is durable."""
    offered = [running.accept_soon([event]) for event in events]
    running.step(0.0)
    for each in offered:
        each.result(0)


def _from_threads(running: Any, events: Events) -> None:
    """All begin at the same moment."""
    together = threading.Barrier(SENDERS)

    def send(own: Events) -> None:
        together.wait()
        for event in own:
            running.accept_soon([event]).result()

    senders = [
        threading.Thread(target=send, args=(events[number::SENDERS],)) for number in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        running.step(0.0)


def _while_it_is_delivered(running: Any, events: Events) -> None:
    """Some come before it is claimed, some while it is sent, some after it was settled."""
    running.accept(events[:1])
    _from_threads(running, events[1:])
    running.run()


@pytest.mark.parametrize(
    "accept",
    [_in_one_batch, _in_many_batches, _one_by_one, _from_threads, _while_it_is_delivered],
)
def test_hundreds_of_repeats_are_one_send(
    accept: Callable[[Any, Events], None],
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
) -> None:
    """The partner is sent one mutation and counts it once, also when all come again later.

    Later is: after it was delivered, and after a restart.
    """
    kana = partner(traffic(random.Random(0), events=0).seed)
    properties = {"featureId": "calls", "delta": DELTA}
    head = {"type": "track", "event": "E", "userId": "u1", "messageId": "the-same"}
    events = [{**head, "properties": properties}] * REPEATS
    running = runner(kana.settings)
    accept(running, events)
    running.run()
    accept(running, events)
    running.run()
    running = runner(kana.settings)
    accept(running, events)
    running.run()
    assert kana.sandbox.requests.count_of("recordUsage") == 1
    assert kana.added == {**dict.fromkeys(kana.before, 0), ("u1", "calls"): DELTA}
    assert ledger.accepted == ["the-same"]
    assert ledger.outcomes == {"delivered": 1}
