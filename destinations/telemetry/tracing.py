"""OpenTelemetry traces: a span for each batch, with one within it for what was sent."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from destinations._version import __version__
from destinations.engine.watcher import Point
from destinations.errors import UsageError
from destinations.outcome import Outcome
from destinations.queue import Claimed, Planned, State, Step

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

__all__ = ["Tracing", "check_installed", "is_wanted", "open_tracing"]

_WANTED: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_WORDS: Final = {State.READY: Outcome.RETRYING.value}
_MOST_IDS: Final = 100
"""Of a batch; OpenTelemetry bounds attributes, and so do those who keep them."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether one of OpenTelemetry's own variables says where traces go."""
    return any(environment.get(name) for name in _WANTED)


def open_tracing() -> Tracing:
    """Traces that go where OpenTelemetry's variables say, over OTLP and HTTP.

    Raises `UsageError` if the extra is not installed.
    """
    check_installed()
    # Deferred: heavy, and there with an extra only.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as said
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as said above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as said above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as said above

    named = Resource({"service.name": "destinations", "service.version": __version__})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    provider = TracerProvider(resource=named.merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider.get_tracer("destinations", __version__), provider.shutdown)


def check_installed() -> None:
    """Raises `UsageError` if the extra is not installed."""
    if not _is_installed():
        msg = (
            f"traces are wanted ({' or '.join(_WANTED)} is set), but OpenTelemetry is not "
            "installed: pip install 'kana-destination[otel]'"
        )
        raise UsageError(msg)


def _is_installed() -> bool:
    with suppress(ModuleNotFoundError):  # of a package above it
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    return False


@dataclass(slots=True)
class _Open:
    """The span of the batch that a thread has in hand."""

    span: Span
    left: set[int]
    counts: dict[str, int] = field(default_factory=dict)
    sending: Span | None = None


class Tracing:
    """A `destinations.engine.Watcher` that traces; ``close`` sends what is left.

    A span begins when a batch is claimed and ends when all of it is settled, or when its thread
    claims another: what was given back. It has ids, counts and codes; no users, and no texts.
    """

    def __init__(self, tracer: Tracer, close: Callable[[], None] = lambda: None) -> None:
        # Deferred: there with an extra only.
        from opentelemetry import trace  # noqa: PLC0415 - as said above

        self._trace = trace
        self._tracer = tracer
        self._local = threading.local()
        self.close = close

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """Nothing: no batch is in hand. See `destinations.engine.Watcher`."""

    def ended(self, destination: str, deliveries: Sequence[Planned]) -> None:
        """Nothing: no batch is in hand. See `destinations.engine.Watcher`."""

    def refused(self, destination: str, status: int) -> None:
        """Nothing: no batch is in hand. See `destinations.engine.Watcher`."""

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:
        """See `destinations.engine.Watcher.reached`; a batch has one thread all its way."""
        if point == "claimed":
            self._begin(destination, batch)
            return
        current = self._current
        if current is None:
            return
        if point == "sending":
            current.sending = self._tracer.start_span(
                f"send {destination}",
                context=self._trace.set_span_in_context(current.span),
                kind=self._trace.SpanKind.CLIENT,
                attributes={"messaging.batch.message_count": len(batch)},
            )
        elif point == "answered" and current.sending is not None:
            current.sending.end()
            current.sending = None
        else:
            current.span.add_event(point)

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:  # noqa: ARG002 - its signature
        """See `destinations.engine.Watcher.stepped`."""
        current = self._current
        if current is None:
            return
        for step in steps:
            done = step.state is State.DONE
            what = step.result.outcome.value if done else _WORDS.get(step.state, step.state.value)
            current.counts[what] = current.counts.get(what, 0) + 1
            current.left.discard(step.claimed.id)
        if not current.left:
            self._end(current)

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002 - its signature
        """See `destinations.engine.Watcher.breaker`; noted on the batch that brought it about."""
        current = self._current
        if current is not None:
            current.span.add_event("breaker", {"destinations.breaker.state": state})

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:  # noqa: ARG002 - its signature
        """See `destinations.engine.Watcher.drifted`."""
        current = self._current
        if current is not None:
            current.span.add_event("drift", {"expected": expected, "found": found})

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002 - its signature
        """See `destinations.engine.Watcher.failed`: the kind alone, since its text may say more."""
        current = self._current
        if current is not None:
            kind = type(error).__qualname__
            current.span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, kind))
            current.span.add_event("exception", {"exception.type": kind})

    @property
    def _current(self) -> _Open | None:
        current: _Open | None = getattr(self._local, "current", None)
        return current

    def _begin(self, destination: str, batch: Sequence[Claimed]) -> None:
        if self._current is not None:
            self._end(self._current)
        ids = [claimed.id for claimed in batch]
        attributes: dict[str, Any] = {
            "messaging.operation.type": "process",
            "messaging.destination.name": destination,
            "messaging.batch.message_count": len(batch),
            "destinations.action": batch[0].action,
            "destinations.state": batch[0].state.value,
            "destinations.delivery.ids": ids[:_MOST_IDS],
            "destinations.event.ids": [claimed.event_id for claimed in batch[:_MOST_IDS]],
        }
        span = self._tracer.start_span(
            f"deliver {destination}", kind=self._trace.SpanKind.CONSUMER, attributes=attributes
        )
        self._local.current = _Open(span, set(ids))

    def _end(self, current: _Open) -> None:
        self._local.current = None
        if current.sending is not None:
            current.sending.end()
        for what, count in current.counts.items():
            current.span.set_attribute(f"destinations.outcome.{what}", count)
        if current.left:
            current.span.set_attribute("destinations.given_back", len(current.left))
        current.span.end()
