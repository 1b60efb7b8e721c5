from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.outcome import Outcome, State
from destinations.store import SqliteStore
from destinations.telemetry import Observation, check_tracing, observe


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
    """What the observer is told is in the metrics and in the log, and no secret in either."""
    observation = start(["canary-1"])
    observation.mask(["canary-2"])
    observation.observer.breaker("kana", "open", "canary-1 canary-2")
    observation.observer.failed("kana", ValueError("canary-2"))
    logging.getLogger("other").warning("canary-1")
    metrics = observation.metrics().decode()
    assert 'destinations_breaker_state{destination="kana",state="open"} 1.0' in metrics
    assert 'destinations_internal_errors_total{destination="kana"} 1.0' in metrics
    assert len(stream.getvalue().splitlines()) == 3
    assert "canary" not in metrics + stream.getvalue()


def test_internal_errors_are_counted(start: Start) -> None:
    """Those of deliveries, of other parts, and those that end a thread."""
    observation = start([])

    def work() -> None:
        raise ValueError

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    observation.observer.internal_error("kana")
    observation.observer.failed("kana", ValueError())
    metrics = observation.metrics().decode()
    assert 'destinations_internal_errors_total{destination=""} 1.0' in metrics
    assert 'destinations_internal_errors_total{destination="kana"} 2.0' in metrics


def test_a_queue(start: Start, tmp_path: Path, add_delivery: Callable[..., int]) -> None:
    """Its gauges are those of the store, until it is not followed any more."""
    observation = start([])
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        add_delivery(store, status=State.HELD)
        ledger = store.ledger()
        observation.follow("sample", ledger)
        held = 'destinations_queue_unsettled_deliveries{destination="sample",state="held"} 1.0'
        assert held in observation.metrics().decode()
        observation.keep(["sample"], ledger, [])
        assert held in observation.metrics().decode()
        observation.keep([], ledger, [])
        assert held not in observation.metrics().decode()


def test_a_queue_that_waits_for_nobody(
    start: Start, tmp_path: Path, add_delivery: Callable[..., int]
) -> None:
    """Its gauges stay, so that an alert on its age fires; it has no circuit breaker."""
    observation = start([])
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        add_delivery(store, accepted_at=1.0)
        ledger = store.ledger()
        observation.follow("sample", ledger)
        observation.keep([], ledger, ["sample"])
        metrics = observation.metrics().decode()
    assert 'destinations_queue_deliveries{destination="sample"} 1.0' in metrics
    assert 'destinations_queue_oldest_age_seconds{destination="sample"} ' in metrics
    assert 'destinations_breaker_state{destination="sample"' not in metrics


def test_what_is_counted_begins_at_zero(start: Start, tmp_path: Path) -> None:
    """The actions of a destination that is followed have their counters before anything happens."""
    observation = start([])
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        observation.follow("sample", store.ledger(), ["count"])
        metrics = observation.metrics().decode()
    labels = '{action="count",destination="sample",outcome="delivered",stage="send"}'
    assert f"destinations_deliveries_total{labels} 0.0" in metrics
    assert 'destinations_queue_up{destination="sample"} 1.0' in metrics


def test_a_store_that_is_closed(
    start: Start, tmp_path: Path, add_delivery: Callable[..., int]
) -> None:
    """Its gauges are missing, and all that was counted is still there."""
    observation = start([])
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        add_delivery(store, status=Outcome.DEAD)
        observation.follow("sample", store.ledger())
    observation.observer.accepted("sample", 1, 0)
    metrics = observation.metrics().decode()
    assert 'destinations_queue_up{destination="sample"} 0.0' in metrics
    assert 'destinations_queue_deliveries{destination="sample"}' not in metrics
    assert 'destinations_events_accepted_total{destination="sample"} 1.0' in metrics


def test_another_level_and_form(start: Start, stream: io.StringIO) -> None:
    """Both can be changed while it is observed, for what is told and for what others log."""
    observation = start([])
    other = logging.getLogger("other")

    def lines() -> list[str]:
        observation.observer.accepted("kana", 1, 0)
        other.debug("a line")
        found = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return found

    assert lines() == []
    observation.log("debug", "json")
    assert [json.loads(line)["message"] for line in lines()] == ["events accepted", "a line"]
    observation.log("debug", "text")
    assert not any(line.startswith("{") for line in lines())
    observation.log("info", "json")
    assert lines() == []


@pytest.mark.parametrize(
    ("environment", "installed", "raises"),
    [
        ({}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, False, True),
    ],
)
def test_whether_traces_can_be_made(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, installed: bool, raises: bool
) -> None:
    """Only traces that are wanted need the extra."""
    if not installed:
        for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
    expected = pytest.raises(UsageError) if raises else contextlib.nullcontext()
    with expected:
        check_tracing(environment)


def test_an_observer_that_fails(start: Start, stream: io.StringIO) -> None:
    """It is counted and logged, and the caller does not notice."""
    observation = start([])
    observation.observer.transitioned("kana", [None])  # type: ignore[list-item]
    metrics = observation.metrics().decode()
    for name in ("metrics", "logs"):
        assert f'destinations_observer_errors_total{{observer="{name}"}} 1.0' in metrics
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["observer"] == "metrics"


def test_when_it_was_made_is_in_no_metric(start: Start) -> None:
    """The samples that say when a counter began are left out: half of the text, and no use."""
    observation = start([])
    observation.observer.accepted("kana", 1, 0)
    assert "_created" not in observation.metrics().decode()


def test_closed(start: Start, stream: io.StringIO) -> None:
    """Afterwards nothing is logged there, and closing again does nothing."""
    observation = start([], OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    observation.close()
    observation.close()
    logging.getLogger("other").error("x")
    assert stream.getvalue() == ""
