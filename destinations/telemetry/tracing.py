"""Make OpenTelemetry traces: a span for each batch, with an inner one for its requests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from destinations._version import __version__
from destinations.extras import libraries_of, missing_library
from destinations.pipeline.observer import Observer, Point
from destinations.pipeline.queue import QueuedDelivery, Transition

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

__all__ = ["Tracing", "check_installed", "is_wanted", "open_tracing"]

_WANTED: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NEEDED_BY: Final = f"a server that makes traces ({' or '.join(_WANTED)} is set)"
_MOST_IDS: Final = 100
"""The most deliveries that a span lists: OpenTelemetry and its backends limit attributes."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether one of OpenTelemetry's own variables names an endpoint."""
    return any(environment.get(name) for name in _WANTED)


def open_tracing() -> Tracing:
    """Return traces that go where OpenTelemetry's variables say, with OTLP over HTTP.

    Raises `MissingExtraError` if the extra is not installed.
    """
    # Deferred: slow to import, and installed with an extra only.
    with libraries_of("otel", _NEEDED_BY):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as said
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as said above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as said above
        from opentelemetry.sdk.trace.export import (  # noqa: PLC0415 - as said above
            BatchSpanProcessor,
        )

    named = Resource({"service.name": "destinations", "service.version": __version__})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    provider = TracerProvider(resource=named.merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider.get_tracer("destinations", __version__), provider.shutdown)


def check_installed() -> None:
    """Raise `MissingExtraError` if the extra is not installed."""
    if not _is_installed():
        raise missing_library("opentelemetry", "otel", _NEEDED_BY)


def _is_installed() -> bool:
    with suppress(ModuleNotFoundError):  # a parent package is missing
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    return False


@dataclass(slots=True, eq=False)
class _Open:
    """The span of a batch that is under way."""

    span: Span
    left: set[QueuedDelivery]
    counts: dict[str, int] = field(default_factory=dict)
    returned: int = 0
    sending: Span | None = None


class Tracing(Observer):
    """An observer that makes traces; ``close`` flushes them.

    A span begins when a batch is claimed and ends when all of its deliveries have a transition or
    were returned. It has ids, counts and codes; no users, and no texts.
    """

    def __init__(self, tracer: Tracer, close: Callable[[], None] = lambda: None) -> None:
        # Deferred: installed with an extra only.
        with libraries_of("otel", _NEEDED_BY):
            from opentelemetry import trace  # noqa: PLC0415 - as said above

        self._trace = trace
        self._tracer = tracer
        self._open: dict[QueuedDelivery, _Open] = {}
        # The current batch: events without a delivery belong to it.
        self._latest: _Open | None = None
        self.close = close

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:
        """See `Observer.reached`."""
        if point == "claimed":
            self._begin(destination, deliveries)
            return
        if point == "returned":
            for one in deliveries:
                self._leave(one, None)
            return
        for current in {self._open[one] for one in deliveries if one in self._open}:
            self._latest = current
            if point == "sending":
                current.sending = self._tracer.start_span(
                    f"send {destination}",
                    context=self._trace.set_span_in_context(current.span),
                    kind=self._trace.SpanKind.CLIENT,
                    attributes={"messaging.batch.message_count": len(deliveries)},
                )
            elif point == "answered" and current.sending is not None:
                current.sending.end()
                current.sending = None
            else:
                current.span.add_event(point)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002 - its signature
        """See `Observer.transitioned`."""
        for one in transitions:
            self._leave(one.delivery, one.result.outcome.value)

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002 - its signature
        """See `Observer.breaker`; added to the batch that caused it."""
        if self._latest is not None:
            self._latest.span.add_event("breaker", {"destinations.breaker.state": state})

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:  # noqa: ARG002 - its signature
        """See `Observer.drifted`."""
        if self._latest is not None:
            self._latest.span.add_event("drift", {"expected": expected, "found": found})

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002 - its signature
        """See `Observer.failed`: only the type, as the text may hold customer data."""
        if self._latest is not None:
            span, kind = self._latest.span, type(error).__qualname__
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, kind))
            span.add_event("exception", {"exception.type": kind})

    def _begin(self, destination: str, deliveries: Sequence[QueuedDelivery]) -> None:
        for one in deliveries:  # after an error it may still be open: it is in this batch now
            self._leave(one, None)
        ids = [one.id for one in deliveries]
        attributes: dict[str, Any] = {
            "messaging.operation.type": "process",
            "messaging.destination.name": destination,
            "messaging.batch.message_count": len(deliveries),
            "destinations.action": deliveries[0].action,
            "destinations.state": deliveries[0].state.value,
            "destinations.delivery.ids": ids[:_MOST_IDS],
            "destinations.event.ids": [one.event.id for one in deliveries[:_MOST_IDS]],
        }
        span = self._tracer.start_span(
            f"deliver {destination}", kind=self._trace.SpanKind.CONSUMER, attributes=attributes
        )
        self._latest = _Open(span, set(deliveries))
        self._open.update(dict.fromkeys(deliveries, self._latest))

    def _leave(self, delivery: QueuedDelivery, what: str | None) -> None:
        """Record the end of a delivery; ``what`` is None if it was returned."""
        current = self._open.pop(delivery, None)
        if current is None:
            return
        if what is None:
            current.returned += 1
        else:
            current.counts[what] = current.counts.get(what, 0) + 1
        current.left.discard(delivery)
        if not current.left:
            self._end(current)

    def _end(self, current: _Open) -> None:
        if self._latest is current:
            self._latest = None
        if current.sending is not None:
            current.sending.end()
        for what, count in current.counts.items():
            current.span.set_attribute(f"destinations.outcome.{what}", count)
        if current.returned:
            current.span.set_attribute("destinations.returned", current.returned)
        current.span.end()
