from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from destinations.errors import MissingExtraError
from destinations.outcome import Outcome, State
from destinations.pipeline.queue import QueuedDelivery, Transition
from destinations.telemetry import Tracing, open_tracing
from destinations.telemetry.tracing import is_wanted


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keeps the spans that ended."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    """Traces that go there."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider.get_tracer("test"))


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_batch(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """A span from claimed to the last that is settled, and within it one for what was sent."""
    batch = [queued(1), queued(2), queued(3)]
    tracing.reached("kana", "claimed", batch)
    tracing.transitioned("kana", [became(3, Outcome.INVALID, stage="plan")])
    tracing.reached("kana", "sending", batch[:2])
    tracing.reached("kana", "answered", batch[:2])
    tracing.reached("kana", "settling", batch[:2])
    assert [span.name for span in exporter.get_finished_spans()] == ["send kana"]
    tracing.transitioned("kana", [became(1), became(2, State.READY)])
    sent, whole = exporter.get_finished_spans()
    assert (sent.kind, whole.kind) == (SpanKind.CLIENT, SpanKind.CONSUMER)
    assert sent.parent is not None
    assert whole.context is not None
    assert sent.parent.span_id == whole.context.span_id
    assert _attributes(sent) == {"messaging.batch.message_count": 2}
    assert _attributes(whole) == {
        "messaging.operation.type": "process",
        "messaging.destination.name": "kana",
        "messaging.batch.message_count": 3,
        "destinations.action": "count",
        "destinations.state": "ready",
        "destinations.delivery.ids": (1, 2, 3),
        "destinations.event.ids": (10, 20, 30),
        "destinations.outcome.invalid": 1,
        "destinations.outcome.delivered": 1,
        "destinations.outcome.ready": 1,
    }
    assert [event.name for event in whole.events] == ["settling"]


def _ended(exporter: InMemorySpanExporter) -> dict[str, dict[str, Any]]:
    """The attributes of the batches that ended, by the ids of their deliveries, in that order."""
    found: dict[str, dict[str, Any]] = {}
    for span in exporter.get_finished_spans():
        attributes = _attributes(span)
        if span.kind is SpanKind.CONSUMER:
            ids = attributes["destinations.delivery.ids"]
            found[" ".join(map(str, ids))] = {
                name.removeprefix("destinations."): value
                for name, value in attributes.items()
                if name.startswith("destinations.outcome") or name == "destinations.returned"
            }
    return found


def test_batches_side_by_side(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """Each has a span of its own, whatever happens to the others meanwhile, and its own sending."""
    first, second, other = [queued(1), queued(2)], [queued(3)], [queued(4)]
    tracing.reached("kana", "claimed", first)
    tracing.reached("kana", "claimed", second)
    tracing.reached("other", "claimed", other)
    for name, batch in (("kana", first), ("other", other), ("kana", second)):
        tracing.reached(name, "sending", batch)
    tracing.reached("kana", "answered", second)
    tracing.reached("kana", "answered", first)
    tracing.transitioned("kana", [became(3), became(1)])
    tracing.reached("other", "answered", other)
    tracing.transitioned("other", [became(4, Outcome.REJECTED)])
    tracing.transitioned("kana", [became(2, Outcome.DEAD)])
    assert _ended(exporter) == {
        "3": {"outcome.delivered": 1},
        "4": {"outcome.rejected": 1},
        "1 2": {"outcome.delivered": 1, "outcome.dead": 1},
    }
    spans = exporter.get_finished_spans()
    whole = {
        _attributes(span)["destinations.delivery.ids"]: span.context.span_id
        for span in spans
        if span.kind is SpanKind.CONSUMER and span.context is not None
    }
    sent = [span for span in spans if span.kind is SpanKind.CLIENT]
    assert [span.name for span in sent] == ["send kana", "send kana", "send other"]
    parents = [span.parent.span_id for span in sent if span.parent is not None]
    assert parents == [whole[3,], whole[1, 2], whole[4,]]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # None was sent: an operator had dropped them, or the disk was full.
        (["returned 1 2"], {"1 2": {"returned": 2}}),
        # One was dropped before the others were sent.
        (
            ["returned 1", "sending 2", "answered 2", "delivered 2"],
            {"1 2": {"returned": 1, "outcome.delivered": 1}},
        ),
        # The process is to stop: some were sent, and those that were not wait as before.
        (
            ["sending 1 2", "answered 1 2", "delivered 1", "returned 2"],
            {"1 2": {"returned": 1, "outcome.delivered": 1}},
        ),
        # Somebody else was faster with what was asked about.
        (
            ["answered 1 2", "settling 1 2", "returned 1", "delivered 2"],
            {"1 2": {"returned": 1, "outcome.delivered": 1}},
        ),
        # What was returned is claimed again, in another batch.
        (
            ["returned 1 2", "claimed 2 3", "delivered 2 3"],
            {"1 2": {"returned": 2}, "2 3": {"outcome.delivered": 2}},
        ),
        # What waits is nobody's, and others may be claimed without it.
        (["returned 1", "claimed 3", "delivered 3"], {"3": {"outcome.delivered": 1}}),
        # Nobody told what became of them.
        (
            ["claimed 1 2", "delivered 1 2"],
            {"1 2": {"outcome.delivered": 2}},
        ),
    ],
)
def test_what_was_returned(
    *,
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
    told: list[str],
    expected: dict[str, Any],
) -> None:
    """A span ends once nothing of its batch is claimed any more, and says how much came back."""
    tracing.reached("kana", "claimed", [queued(1), queued(2)])
    for line in told:
        what, *ids = line.split()
        numbers = [int(number) for number in ids]
        if what == "delivered":
            tracing.transitioned("kana", [became(number) for number in numbers])
        else:
            tracing.reached("kana", what, [queued(number) for number in numbers])  # type: ignore[arg-type]
    assert _ended(exporter) == expected


def test_what_is_asked_about(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """Asking the partner is no sending; the answer is an event of the batch that asked."""
    tracing.reached("kana", "claimed", [queued(1, state=State.UNKNOWN)])
    tracing.reached("kana", "claimed", [queued(2)])
    tracing.reached("kana", "answered", [queued(1)])
    tracing.drifted("kana", "key", 1, 2)
    tracing.transitioned("kana", [became(1, stage="reconcile"), became(2)])
    asked, sent = exporter.get_finished_spans()
    assert _attributes(asked)["destinations.state"] == "unknown"
    assert [event.name for event in asked.events] == ["answered", "drift"]
    assert sent.events == ()


def test_what_went_wrong(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """Breaker, drift and errors are on the batch that was touched last, without texts or keys."""
    tracing.reached("kana", "claimed", [queued(1)])
    tracing.reached("kana", "claimed", [queued(2)])
    tracing.reached("kana", "answered", [queued(1)])
    tracing.breaker("kana", "open", "canary")
    tracing.drifted("kana", "canary", 1, 2)
    tracing.failed("kana", ValueError("canary"))
    tracing.transitioned("kana", [became(1), became(2)])
    wrong, fine = exporter.get_finished_spans()
    assert [event.name for event in wrong.events] == ["answered", "breaker", "drift", "exception"]
    assert wrong.status.status_code is StatusCode.ERROR
    assert (fine.events, fine.status.status_code) == ((), StatusCode.UNSET)
    shown = wrong.to_json() + fine.to_json()
    assert "canary" not in shown
    assert "user-" not in shown


def test_after_its_end(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """What happens once a batch is over is not noted on it."""
    tracing.reached("kana", "claimed", [queued(1)])
    tracing.transitioned("kana", [became(1)])
    tracing.breaker("kana", "closed", "x")
    tracing.failed("kana", ValueError())
    tracing.reached("kana", "settling", [queued(1)])
    tracing.reached("kana", "returned", [queued(1)])
    (span,) = exporter.get_finished_spans()
    assert (span.events, span.status.status_code) == ((), StatusCode.UNSET)


def test_large_batches(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """The first hundred ids stand for all of them, whose number is told."""
    batch = [queued(number) for number in range(1, 151)]
    tracing.reached("kana", "claimed", batch)
    tracing.transitioned("kana", [became(number) for number in range(1, 151)])
    (span,) = exporter.get_finished_spans()
    attributes = _attributes(span)
    assert attributes["messaging.batch.message_count"] == 150
    assert attributes["destinations.delivery.ids"] == tuple(range(1, 101))
    assert len(attributes["destinations.event.ids"]) == 100
    assert attributes["destinations.outcome.delivered"] == 150


def test_without_a_batch(
    tracing: Tracing, exporter: InMemorySpanExporter, became: Callable[..., Transition]
) -> None:
    """What happens in other threads, such as the receiver's, makes no span."""
    tracing.accepted("kana", 1, 0)
    tracing.ended("kana", [])
    tracing.refused("kana", 401)
    tracing.reached("kana", "sending", [])
    tracing.transitioned("kana", [became(1)])
    tracing.breaker("kana", "open", "x")
    tracing.drifted("kana", "key", 1, 2)
    tracing.failed("kana", ValueError())
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
    ],
)
def test_wanted(environment: dict[str, str], *, wanted: bool) -> None:
    """Traces are made where OpenTelemetry's own variables say where to."""
    assert is_wanted(environment) is wanted


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wanted and not there: the message says what to install."""
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not there
    with pytest.raises(MissingExtraError, match=r"is set\) needs .* pip install .*\[otel\]"):
        open_tracing()


def test_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra there are traces, which can be closed without anybody who takes them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing = open_tracing()
    tracing.close()
