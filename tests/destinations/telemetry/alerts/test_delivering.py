"""Messages come to sinks, whatever these do; nobody waits for a sink."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.telemetry.alerts import Message, SinkError, SinkHealth, SinkWorker

MakeMessage = Callable[..., Message]


class Scripted:
    """A sink that does with each message what a test says: nothing, or raise an error."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.got: list[Message] = []

    def send(self, message: Message) -> None:
        """Take a message, or not."""
        self.got.append(message)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error

    def close(self) -> None:
        """Do nothing."""


class Bench:
    """A worker, its sink, and what waits for it."""

    def __init__(self, clock: StillClock) -> None:
        self.sink, self.waiting, self.told = Scripted(), list[Message](), list[str]()
        self.may_send = True
        self.worker = SinkWorker(
            "page",
            self.sink,
            next_message=lambda _: self.waiting[0] if self.waiting else None,
            sent=lambda _, message: self.waiting.remove(message),
            may_send=lambda: self.may_send,
            tell=lambda _, result: self.told.append(result),
            clock=clock,
        )


@pytest.fixture
def bench(clock: StillClock) -> Bench:
    """A worker that runs in the thread of the test."""
    return Bench(clock)


def test_one_after_another(bench: Bench, message: MakeMessage) -> None:
    """Each message is sent once, and then there is nothing to do for long."""
    bench.waiting += [message(id="msg_1"), message(id="msg_2")]
    assert bench.worker.turn() == 0
    assert bench.worker.turn() == 0
    assert bench.worker.turn() > 600
    assert [one.id for one in bench.sink.got] == ["msg_1", "msg_2"]
    assert bench.told == ["sent", "sent"]
    assert bench.worker.health.failing_since is None


def test_growing_waits(bench: Bench, clock: StillClock, message: MakeMessage) -> None:
    """What is not taken is tried again, after waits that grow to ten minutes."""
    bench.waiting.append(message(at=clock.time()))
    bench.sink.errors = [SinkError("HTTP 500")] * 9
    waits = []
    for _ in range(9):
        waits.append(bench.worker.turn())
        clock.now += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert bench.worker.health.failures == 9
    assert bench.worker.health.error == "HTTP 500"
    assert bench.worker.turn() == 0
    assert bench.worker.health == SinkHealth(clock.time())
    assert {one.id for one in bench.sink.got} == {"msg_1"}
    assert bench.told == ["failed"] * 9 + ["sent"]


@pytest.mark.parametrize(("asked", "wait"), [(77.0, 77), (1.0, 5), (999_999.0, 3_600)])
def test_when_to_ask_again(
    bench: Bench, clock: StillClock, message: MakeMessage, asked: float, wait: float
) -> None:
    """A sink may say so, within an hour, and no sooner than we would."""
    bench.waiting.append(message(at=clock.time()))
    bench.sink.errors = [SinkError("HTTP 429", asked)]
    assert bench.worker.turn() == wait
    clock.now += wait - 1
    assert bench.worker.turn() == 1  # nothing was sent
    assert len(bench.sink.got) == 1
    clock.now += 1
    assert bench.worker.turn() == 0
    assert bench.told == ["failed", "sent"]


def test_another_message_does_not_jump_the_wait(
    bench: Bench, clock: StillClock, message: MakeMessage
) -> None:
    """A sink that is away is not asked more often because more happens."""
    bench.waiting.append(message(at=clock.time()))
    bench.sink.errors = [SinkError("HTTP 500")]
    assert bench.worker.turn() == 5
    bench.waiting[0] = message(id="msg_2", at=clock.time())
    assert bench.worker.turn() == 5
    assert len(bench.sink.got) == 1


def test_a_day_is_enough(
    bench: Bench, clock: StillClock, message: MakeMessage, caplog: pytest.LogCaptureFixture
) -> None:
    """What no sink took for a day is given up, told, and the next message goes."""
    bench.waiting += [message(at=clock.time()), message(id="msg_2", at=clock.time() + 86_000)]
    bench.sink.errors = [SinkError("HTTP 500")] * 1_000
    while bench.waiting[0].id == "msg_1":
        clock.now += bench.worker.turn()
    assert 86_400 <= clock.now < 88_000
    assert bench.told[-1] == "given_up"
    assert "given up: sink page did not take it for a day: HTTP 500" in caplog.text
    bench.sink.errors = []
    while bench.waiting:
        clock.now += bench.worker.turn()
    assert bench.told[-1] == "sent"


def test_an_internal_error(
    bench: Bench, message: MakeMessage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a failure like others: the thread goes on."""
    bench.waiting.append(message())
    bench.sink.errors = [ZeroDivisionError()]
    assert bench.worker.turn() == 5
    assert bench.worker.health.error == "ZeroDivisionError"
    assert "internal error while sending to sink page" in caplog.text


def test_only_one_process_sends(bench: Bench, message: MakeMessage) -> None:
    """While another one tells people, nothing is sent from here."""
    bench.waiting.append(message())
    bench.may_send = False
    assert bench.worker.turn() > 600
    assert bench.sink.got == []


def test_the_log_is_not_flooded(
    bench: Bench, clock: StillClock, message: MakeMessage, caplog: pytest.LogCaptureFixture
) -> None:
    """The first failure is told, and the end of it."""
    caplog.set_level(logging.INFO)
    bench.waiting.append(message(at=clock.time()))
    bench.sink.errors = [SinkError("HTTP 500")] * 5
    while bench.waiting:
        clock.now += bench.worker.turn()
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "message about alert dead not sent: sink page: HTTP 500; it is tried again",
        "sink page takes messages about alerts again",
    ]
