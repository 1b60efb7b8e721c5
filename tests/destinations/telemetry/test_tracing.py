from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from destinations.errors import UsageError
from destinations.outcome import Outcome
from destinations.queue import Claimed, State, Step
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
    claimed: Callable[..., Claimed],
    step: Callable[..., Step],
) -> None:
    """A span from claimed to the last that is settled, and within it one for what was sent."""
    batch = [claimed(1), claimed(2), claimed(3)]
    tracing.reached("kana", "claimed", batch)
    tracing.stepped("kana", [step(3, outcome=Outcome.INVALID)])
    tracing.reached("kana", "sending", batch[:2])
    tracing.reached("kana", "answered", batch[:2])
    tracing.reached("kana", "settling", batch[:2])
    assert [span.name for span in exporter.get_finished_spans()] == ["send kana"]
    tracing.stepped("kana", [step(1), step(2, State.READY, Outcome.DEAD)])
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
        "destinations.action": "count: Counts",
        "destinations.state": "ready",
        "destinations.delivery.ids": (1, 2, 3),
        "destinations.event.ids": (10, 20, 30),
        "destinations.outcome.invalid": 1,
        "destinations.outcome.delivered": 1,
        "destinations.outcome.retrying": 1,
    }
    assert [event.name for event in whole.events] == ["settling"]


def test_what_was_given_back(
    tracing: Tracing, exporter: InMemorySpanExporter, claimed: Callable[..., Claimed]
) -> None:
    """A batch of which nothing became anything ends when its thread claims the next."""
    tracing.reached("kana", "claimed", [claimed(1), claimed(2)])
    tracing.reached("kana", "sending", [claimed(1)])
    tracing.reached("kana", "claimed", [claimed(3)])
    sent, whole = exporter.get_finished_spans()
    assert sent.name == "send kana"
    assert _attributes(whole)["destinations.given_back"] == 2


def test_what_went_wrong(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    claimed: Callable[..., Claimed],
    step: Callable[..., Step],
) -> None:
    """Breaker, drift and faults are on the batch they belong to, without texts or keys."""
    tracing.reached("kana", "claimed", [claimed(1)])
    tracing.breaker("kana", "open", "canary")
    tracing.drifted("kana", "canary", 1, 2)
    tracing.failed("kana", ValueError("canary"))
    tracing.stepped("kana", [step(1)])
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["breaker", "drift", "exception"]
    assert span.status.status_code is StatusCode.ERROR
    assert "canary" not in span.to_json()
    assert "user-1" not in span.to_json()


def test_without_a_batch(
    tracing: Tracing, exporter: InMemorySpanExporter, step: Callable[..., Step]
) -> None:
    """What happens in other threads, such as the receiver's, makes no span."""
    tracing.accepted("kana", 1, 0)
    tracing.ended("kana", [])
    tracing.refused("kana", 401)
    tracing.reached("kana", "sending", [])
    tracing.stepped("kana", [step(1)])
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
    with pytest.raises(UsageError, match=r"pip install 'kana-destination\[otel\]'"):
        open_tracing()


def test_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra there are traces, which can be closed without anybody who takes them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing = open_tracing()
    tracing.close()
