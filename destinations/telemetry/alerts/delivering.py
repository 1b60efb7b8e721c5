"""Bring messages to sinks: a thread for each, so that a slow one holds nothing up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from destinations.clock import WallClock
from destinations.telemetry.alert_figures import MessageResult
from destinations.telemetry.alerts.book import Message
from destinations.telemetry.alerts.sending import SinkError

__all__ = ["Sender", "SinkHealth", "SinkWorker"]

_LOG = logging.getLogger(__name__)

_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 600.0
_LONGEST_ASKED: Final = 3600.0
"""Seconds; a sink that asks for more than an hour is tried again after one."""

_GIVE_UP: Final = 86_400.0
"""A message that is a day old says nothing that a later one does not."""

_IDLE_SECONDS: Final = 3600.0


class Sender(Protocol):
    """Sends a message to one sink; see `destinations.telemetry.alerts.sending.SinkSender`."""

    def send(self, message: Message) -> None:
        """Send a message; raises `SinkError` if it was not taken."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


@dataclass(slots=True)
class SinkHealth:
    """The health of a sink; times are in seconds since 1970.

    ``failing_since`` is None if the last message was taken, or none was sent yet. ``failures``
    counts the failures in a row, and ``error`` is the last of them.
    """

    sent_at: float | None = None
    failing_since: float | None = None
    failures: int = 0
    error: str = ""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class SinkWorker:
    """Sends what waits for one sink, one message after another, in a thread of its own.

    ``next_message`` gives what waits, ``sent`` is told what the sink got or never will. While not
    ``may_send``, as another process does it, nothing is sent. ``tell`` counts messages. `turn` does
    one step, for tests without the thread.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        name: str,
        sender: Sender,
        *,
        next_message: Callable[[str], Message | None],
        sent: Callable[[str, Message], None],
        may_send: Callable[[], bool],
        tell: Callable[[str, MessageResult], None],
        clock: WallClock,
        health: SinkHealth | None = None,
    ) -> None:
        self.name = name
        self.health = health or SinkHealth()
        self._sender = sender
        self._next = next_message
        self._sent = sent
        self._may_send = may_send
        self._tell = tell
        self._clock = clock
        self._again_at = 0.0
        self._tried: str | None = None
        self._stop = False
        self._wakes = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True)

    def start(self) -> None:
        """Send from now on."""
        self._thread.start()

    def wake(self) -> None:
        """Look for messages now."""
        self._wakes.set()

    def stop(self) -> None:
        """Begin no other message; one that is under way goes on."""
        self._stop = True
        self._wakes.set()

    def close(self, seconds: float = 0.0) -> None:
        """Stop; what is still under way after so many seconds is given up, and waits as before."""
        self.stop()
        if seconds > 0 and self._thread.ident is not None:
            self._thread.join(seconds)
        self._sender.close()

    def turn(self) -> float:
        """Send the next message if it is time to; return the seconds until the next look."""
        message = self._next(self.name)
        if message is None or not self._may_send():
            return _IDLE_SECONDS
        if message.id != self._tried:
            # Another message of an alert takes the place of one that failed, not its wait.
            self._tried = message.id
        elif self._clock.time() - message.at >= _GIVE_UP:
            _LOG.error(
                "message about alert %s given up: sink %s did not take it for a day: %s",
                *(message.rule, self.name, self.health.error),
            )
            self._tell(self.name, "given_up")
            self._sent(self.name, message)
            return 0.0
        wait = self._again_at - self._clock.monotonic()
        if wait > 0:
            return wait
        try:
            self._sender.send(message)
        except SinkError as error:
            return self._failed_to_send(message, error)
        except Exception as error:  # noqa: BLE001 - the thread has to go on
            _LOG.exception("internal error while sending to sink %s", self.name)
            return self._failed_to_send(message, SinkError(type(error).__name__))
        if self.health.failing_since is not None:
            _LOG.info("sink %s takes messages about alerts again", self.name)
        self.health = SinkHealth(self._clock.time())
        self._tell(self.name, "sent")
        self._sent(self.name, message)
        return 0.0

    def _failed_to_send(self, message: Message, error: SinkError) -> float:
        if self._stop:
            return 0.0
        now, before = self._clock.time(), self.health
        if before.failing_since is None:
            _LOG.error(
                "message about alert %s not sent: sink %s: %s; it is tried again",
                *(message.rule, self.name, error),
            )
        self.health = SinkHealth(
            before.sent_at, before.failing_since or now, before.failures + 1, str(error)
        )
        self._tell(self.name, "failed")
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(before.failures, 10))
        if error.retry_after is not None:
            wait = min(max(wait, error.retry_after), _LONGEST_ASKED)
        self._again_at = self._clock.monotonic() + wait
        return wait

    def _run(self) -> None:
        while not self._stop:
            self._wakes.clear()
            seconds = self.turn()
            if seconds > 0 and not self._stop:
                self._clock.wait(seconds, self._wakes)
