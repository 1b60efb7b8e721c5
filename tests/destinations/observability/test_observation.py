from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.observability import Observation, observe
from destinations.store import Store


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


Start = Callable[..., Observation]


@pytest.fixture
def start(stream: io.StringIO, request: pytest.FixtureRequest) -> Start:
    """Begins to observe; ended after the test."""

    def make(secrets: list[str], **environment: str) -> Observation:
        made = observe(secrets, stream=stream, environment=environment)
        request.addfinalizer(made.close)
        return made

    return make


def test_all_are_told(start: Start, stream: io.StringIO) -> None:
    """What the watcher is told is in the metrics and in the log, and no secret in either."""
    observation = start(["canary-1"])
    observation.mask(["canary-2"])
    observation.watcher.breaker("kana", "open", "canary-1 canary-2")
    observation.watcher.failed("kana", ValueError("canary-2"))
    logging.getLogger("other").warning("canary-1")
    metrics = observation.metrics().decode()
    assert 'destinations_breaker_state{destination="kana",state="open"} 1.0' in metrics
    assert 'destinations_faults_total{destination="kana"} 1.0' in metrics
    assert len(stream.getvalue().splitlines()) == 3
    assert "canary" not in metrics + stream.getvalue()


def test_a_queue(start: Start, tmp_path: Path, add_delivery: Callable[..., int]) -> None:
    """Its gauges are those of the store, until it is not followed any more."""
    observation = start([])
    with contextlib.closing(Store(tmp_path / "store.sqlite3")) as store:
        add_delivery(store, state="held")
        observation.follow("sample", store.path, lambda: 1)
        held = 'destinations_queue_unsettled_deliveries{destination="sample",state="held"} 1.0'
        assert held in observation.metrics().decode()
        observation.keep([])
        assert held not in observation.metrics().decode()


def test_a_watcher_that_fails(start: Start, stream: io.StringIO) -> None:
    """It is counted and logged, and the caller does not notice."""
    observation = start([])
    observation.watcher.stepped("kana", [None])  # type: ignore[list-item]
    metrics = observation.metrics().decode()
    for name in ("metrics", "logs"):
        assert f'destinations_observer_errors_total{{observer="{name}"}} 1.0' in metrics
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["observer"] == "metrics"


def test_when_it_was_made_is_in_no_metric(start: Start) -> None:
    """The samples that say when a counter began are left out: half of the text, and no use."""
    observation = start([])
    observation.watcher.accepted("kana", 1, 0)
    assert "_created" not in observation.metrics().decode()


def test_closed(start: Start, stream: io.StringIO) -> None:
    """Afterwards nothing is logged there, and closing again does nothing."""
    observation = start([], OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    observation.close()
    observation.close()
    logging.getLogger("other").error("x")
    assert stream.getvalue() == ""
