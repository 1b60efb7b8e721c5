from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from destinations._version import __version__
from destinations.outcome import Outcome, State
from destinations.pipeline.observer import Observers, Point
from destinations.pipeline.queue import QueuedDelivery, Transition
from destinations.telemetry import Metrics, QueueFigures, StoreFigures
from destinations.telemetry import metrics as metrics_module


class Time:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 130.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    """30 seconds after the deliveries were accepted."""
    return Time()


@pytest.fixture
def metrics(time: Time) -> Metrics:
    """Metrics that look at that time."""
    return Metrics(now=time, monotonic=time)


Read = Callable[..., dict[str, float]]


@pytest.fixture
def read(metrics: Metrics) -> Read:
    """The samples of one name: their labels but the destination's, joined, and their values."""

    def samples(name: str) -> Iterator[tuple[str, float]]:
        for family in text_string_to_metric_families(metrics.exposition().decode()):
            for sample in family.samples:
                if sample.name == name:
                    labels = sorted(item for item in sample.labels.items())
                    words = [value for label, value in labels if label != "destination"]
                    yield " ".join(words), sample.value

    return lambda name: dict(samples(name))


def test_the_page_has_the_help_texts(metrics: Metrics) -> None:
    """The documentation lists every metric with the type and the help text that it has here."""
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    row = re.compile(r"^\| `(destinations_\w+)` \| (\w+) \| (.+?) \|", re.MULTILINE)
    listed = {name: (kind, text) for name, kind, text in row.findall(page.read_text("utf-8"))}
    shown = metrics.exposition().decode()
    texts = dict(re.findall(r"^# HELP (destinations_\w+) (.+)$", shown, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (destinations_\w+) (.+)$", shown, re.MULTILINE))
    # A process has no times of creation: see `destinations.telemetry.observe`.
    names = [name for name in texts if not name.endswith("_created")]
    assert listed == {name: (kinds[name], texts[name]) for name in names}


def test_accepted_and_refused(metrics: Metrics, read: Read) -> None:
    """Duplicates do not count as accepted; refusals count by their status."""
    metrics.accepted("kana", 5, 2)
    metrics.accepted("kana", 1, 0)
    for status in (401, 401, 503):
        metrics.refused("kana", status)
    metrics.refused("kana", 400, "192.0.2.1", "NOT_JSON", 7)
    metrics.unkept("kana", 2)
    assert read("destinations_events_accepted_total") == {"": 4}
    assert read("destinations_events_duplicate_total") == {"": 2}
    assert read("destinations_refused_total") == {
        "UNAUTHORIZED 401": 2,
        "SERVICE_UNAVAILABLE 503": 1,
        "NOT_JSON 400": 7,
    }
    assert read("destinations_refused_unkept_total") == {"": 2}


def test_all_codes_of_events_begin_at_zero() -> None:
    """Each code that reading an event has is among those that are shown from the beginning."""
    source = (Path(__file__).parents[3] / "destinations/segment/event.py").read_text("utf-8")
    codes = set(re.findall(r'EventError\(\s*"([A-Z_]+)"', source))
    assert len(codes) > 8
    assert codes <= set(metrics_module._REFUSALS[400])


def test_what_became_of_deliveries(
    metrics: Metrics, read: Read, became: Callable[..., Transition]
) -> None:
    """Each transition counts once, where it belongs; final outcomes by action and outcome."""
    metrics.transitioned(
        "kana",
        [
            became(1),
            became(2),
            became(3, Outcome.DEAD),
            became(4, State.READY),
            became(5, State.READY, stage="reconcile"),
            became(6, State.UNKNOWN),
            became(7, State.UNKNOWN, stage="reconcile"),
            became(8, State.HELD),
            became(9, Outcome.DELIVERED, stage="reconcile"),
            became(10, Outcome.DEAD, stage="plan"),
            became(11, Outcome.REJECTED, action="save"),
        ],
    )
    assert read("destinations_deliveries_total") == {
        "count delivered send": 2,
        "count dead send": 1,
        "count delivered reconcile": 1,
        "count dead plan": 1,
        "save rejected send": 1,
    }
    assert read("destinations_delivery_retries_total") == {"count": 2}
    # One that is asked about again was counted when its answer was lost.
    assert read("destinations_answers_lost_total") == {"count": 1}
    assert read("destinations_deliveries_held_total") == {"count": 1}


def test_what_ends_when_it_is_accepted(
    metrics: Metrics, read: Read, became: Callable[..., Transition]
) -> None:
    """It counts with the others, at the stage at which it ended."""
    ended = [
        became(1, Outcome.INVALID, stage="plan"),
        became(2, Outcome.INVALID, stage="plan"),
        became(3, Outcome.FILTERED, action=None, stage="plan"),
    ]
    metrics.ended("kana", ended)
    metrics.transitioned("kana", [became(4)])
    assert read("destinations_deliveries_total") == {
        "count invalid plan": 2,
        " filtered plan": 1,
        "count delivered send": 1,
    }


def test_counters_begin_at_zero(
    metrics: Metrics, read: Read, became: Callable[..., Transition]
) -> None:
    """An increase from 0 is seen; nothing is reset when a queue is opened again."""
    figures = QueueFigures(0, None, 0, 0)
    metrics.follow("kana", lambda: figures, ["count", "save"])
    deliveries = read("destinations_deliveries_total")
    assert set(deliveries.values()) == {0}
    expected = {
        "count dead send",
        "save rejected send",
        "count delivered reconcile",
        "count dead plan",
        " filtered plan",
    }
    assert expected <= deliveries.keys()
    for name in ("delivery_retries", "answers_lost", "deliveries_held"):
        assert read(f"destinations_{name}_total") == {"count": 0, "save": 0}
    for name in ("events_accepted", "events_duplicate", "balance_drifts", "internal_errors"):
        assert read(f"destinations_{name}_total") == {"": 0}
    refused = read("destinations_refused_total")
    assert {"NOT_JSON 400", "UNAUTHORIZED 401", "CONFLICT 409", "CALL_UNSUPPORTED 501"} <= (
        refused.keys()
    )
    assert set(refused.values()) == {0}
    assert read("destinations_breaker_changes_total")["open"] == 0
    metrics.transitioned("kana", [became(1, Outcome.DEAD)])
    metrics.follow("kana", lambda: figures, ["count", "save"])
    assert read("destinations_deliveries_total") == {**deliveries, "count dead send": 1}


def test_latency(
    metrics: Metrics, read: Read, became: Callable[..., Transition], time: Time
) -> None:
    """From accepted to delivered, of what was delivered alone; never below 0 when a clock jumps."""
    metrics.transitioned("kana", [became(1), became(2, Outcome.DEAD)])
    time.now = 40.0
    metrics.transitioned("kana", [became(3)])
    assert read("destinations_delivery_latency_seconds_sum") == {"": 30}
    assert read("destinations_delivery_latency_seconds_count") == {"": 2}


def test_sending(
    metrics: Metrics, read: Read, queued: Callable[..., QueuedDelivery], time: Time
) -> None:
    """From sending to the answer; an answer without a sending before it counts nothing."""
    batch = [queued()]
    points: list[tuple[Point, float]] = [
        ("answered", 1.0),
        ("claimed", 1.5),
        ("sending", 2.0),
        ("answered", 2.5),
        ("settling", 3.0),
        ("answered", 9.0),
    ]
    for point, at in points:
        time.now = at
        metrics.reached("kana", point, batch)
    assert read("destinations_batch_send_seconds_sum") == {"": 0.5}
    assert read("destinations_batch_send_seconds_count") == {"": 1}


def test_sending_side_by_side(
    metrics: Metrics, queued: Callable[..., QueuedDelivery], time: Time
) -> None:
    """Each batch is measured by itself, in whatever order their answers come."""
    first, second, other = [queued(1), queued(2)], [queued(3)], [queued(4)]
    points: list[tuple[str, Point, list[QueuedDelivery], float]] = [
        ("kana", "sending", first, 1.0),
        ("kana", "sending", second, 2.0),
        ("other", "sending", other, 4.0),
        ("kana", "answered", second, 8.0),  # 6 s
        ("kana", "sending", second, 16.0),
        ("kana", "answered", first, 32.0),  # 31 s
        ("other", "answered", other, 64.0),  # 60 s
        ("kana", "answered", second, 128.0),  # 112 s
    ]
    for destination, point, batch, at in points:
        time.now = at
        metrics.reached(destination, point, batch)
    text = metrics.exposition().decode()
    for destination, seconds, count in (("kana", 6.0 + 31.0 + 112.0, 3.0), ("other", 60.0, 1.0)):
        label = f'{{destination="{destination}"}}'
        assert f"destinations_batch_send_seconds_sum{label} {seconds}" in text
        assert f"destinations_batch_send_seconds_count{label} {count}" in text


def test_a_batch_of_which_some_were_dropped(
    metrics: Metrics, read: Read, queued: Callable[..., QueuedDelivery], time: Time
) -> None:
    """What an operator drops before a batch is sent does not keep it from being measured."""
    batch = [queued(1), queued(2)]
    metrics.reached("kana", "claimed", batch)
    metrics.reached("kana", "sending", batch[1:])
    time.now += 3
    metrics.reached("kana", "answered", batch[1:])
    assert read("destinations_batch_send_seconds_sum") == {"": 3}


def test_breaker_drift_and_internal_errors(metrics: Metrics, read: Read) -> None:
    """Exactly one state of the breaker is 1; a queue that is opened begins with a closed one."""
    metrics.follow("kana", lambda: QueueFigures(0, None, 0, 0))
    assert read("destinations_breaker_state") == {"closed": 1, "open": 0, "half-open": 0}
    metrics.breaker("kana", "open", "down")
    metrics.breaker("kana", "half-open", "a probe")
    assert read("destinations_breaker_state") == {"closed": 0, "open": 0, "half-open": 1}
    assert read("destinations_breaker_changes_total") == {"closed": 0, "open": 1, "half-open": 1}
    metrics.follow("kana", lambda: QueueFigures(0, None, 0, 0))
    assert read("destinations_breaker_state")["closed"] == 1
    metrics.drifted("kana", "key", 1, 2)
    metrics.failed("kana", ValueError())
    assert read("destinations_balance_drifts_total") == {"": 1}
    assert read("destinations_internal_errors_total") == {"": 1}


def test_queues(metrics: Metrics, read: Read) -> None:
    """Gauges show what a queue says at that moment, and nothing of one that is not followed."""
    figures = QueueFigures(7, 100.0, 2, 1)
    metrics.follow("kana", lambda: figures)
    assert read("destinations_queue_deliveries") == {"": 7}
    assert read("destinations_queue_oldest_age_seconds") == {"": 30}
    assert read("destinations_queue_unsettled_deliveries") == {"unknown": 2, "held": 1}
    figures = QueueFigures(0, None, 0, 0)
    assert read("destinations_queue_oldest_age_seconds") == {"": 0}
    metrics.keep(["another"])
    assert read("destinations_queue_deliveries") == {}
    assert read("destinations_breaker_state") == {}
    metrics.watch("stray", lambda: QueueFigures(1, None, 0, 0))
    assert read("destinations_queue_deliveries") == {"": 1}
    metrics.keep([])
    assert read("destinations_queue_deliveries") == {}


def test_a_queue_that_cannot_be_read(metrics: Metrics, read: Read) -> None:
    """Its gauges are missing and one says so; the others, and all counters, are still there."""

    def broken() -> QueueFigures:
        raise sqlite3.OperationalError("disk I/O error")

    metrics.follow("broken", broken)
    metrics.follow("fine", lambda: QueueFigures(3, None, 0, 0))
    metrics.accepted("broken", 1, 0)
    text = metrics.exposition().decode()
    assert 'destinations_queue_up{destination="broken"} 0.0' in text
    assert 'destinations_queue_up{destination="fine"} 1.0' in text
    assert 'destinations_queue_deliveries{destination="broken"}' not in text
    assert read("destinations_queue_deliveries") == {"": 3}
    assert 'destinations_events_accepted_total{destination="broken"} 1.0' in text


def test_the_store(metrics: Metrics, read: Read) -> None:
    """Its gauges are read for each scrape; what nobody can tell has none."""
    names = [f"destinations_store_{name}" for name in ("bytes", "free_bytes", "limit_bytes")]
    assert [read(name) for name in names] == [{}, {}, {}]
    metrics.follow_store(lambda: StoreFigures(size=5, free=None, limit=None, writable=False))
    assert [read(name) for name in names] == [{"": 5}, {}, {}]
    assert read("destinations_store_writable") == {"": 0}
    metrics.follow_store(lambda: StoreFigures(size=5, free=6, limit=7, writable=True))
    assert [read(name) for name in names] == [{"": 5}, {"": 6}, {"": 7}]
    assert read("destinations_store_writable") == {"": 1}


def test_tenants(metrics: Metrics, read: Read) -> None:
    """How many are in each state, read for each scrape; no sample where there are none."""
    assert read("destinations_tenants") == {}
    counts = {"proven": 5, "paused": 1}
    metrics.follow_tenants(lambda: {"kana": counts})
    assert read("destinations_tenants") == {"proven": 5, "paused": 1}
    counts["paused"] = 0
    assert read("destinations_tenants") == {"proven": 5, "paused": 0}


def test_the_last_backup(metrics: Metrics, read: Read) -> None:
    """A store without a backup has 0, so that one rule finds both that and an old backup."""
    name = "destinations_store_last_backup_timestamp_seconds"
    figures = StoreFigures(size=5, free=6, limit=7, writable=True)
    metrics.follow_store(lambda: figures)
    assert read(name) == {"": 0}
    metrics.follow_store(lambda: replace(figures, backed_up_at=90.0))
    assert read(name) == {"": 90}


def test_the_process(metrics: Metrics, read: Read, time: Time) -> None:
    """Its versions, whether it is ready, and how the configuration was loaded last."""
    assert read("destinations_build_info") == {f"{platform.python_version()} {__version__}": 1}
    assert read("destinations_ready") == {"": 0}
    ready = [True]
    metrics.follow_ready(lambda: ready[0])
    assert read("destinations_ready") == {"": 1}
    ready[0] = False
    assert read("destinations_ready") == {"": 0}
    metrics.loaded(successful=True)
    time.now = 200.0
    metrics.loaded(successful=False)
    name = "destinations_last_reload"
    assert read(f"{name}_successful") == {"": 0}
    assert read(f"{name}_success_timestamp_seconds") == {"": 130}
    metrics.loaded(successful=True)
    assert read(f"{name}_successful") == {"": 1}
    assert read(f"{name}_success_timestamp_seconds") == {"": 200}


def test_refused_credentials(metrics: Metrics, read: Read) -> None:
    """The gauge begins at 0, and goes with its destination."""
    name = "destinations_credentials_refused"
    metrics.follow("kana", lambda: QueueFigures(0, None, 0, 0), [])
    assert read(name) == {"": 0}
    metrics.credentials("kana", "refused")
    assert read(name) == {"": 1}
    metrics.credentials("kana", "accepted")
    assert read(name) == {"": 0}
    metrics.keep([])
    assert read(name) == {}


def test_what_is_kept(metrics: Metrics, read: Read) -> None:
    """A gauge for each outcome, whether the store has rows of it or not."""
    kept = {Outcome.DELIVERED: 5, Outcome.DEAD: 2}
    metrics.follow("kana", lambda: QueueFigures(0, None, 0, 0, kept), [])
    expected = {one.value: kept.get(one, 0) for one in Outcome}
    assert read("destinations_kept_deliveries") == expected


def test_observers_that_fail(metrics: Metrics, read: Read) -> None:
    """A fault of an observer counts under its name."""
    metrics.broken(Observers([]))
    assert read("destinations_observer_errors_total") == {"observers": 1}


def test_no_customer_is_in_the_metrics(metrics: Metrics, became: Callable[..., Transition]) -> None:
    """Labels hold nothing of users, keys or reasons, which would also make them countless."""
    metrics.transitioned("kana", [became(1, Outcome.DEAD, reason="canary-1")])
    metrics.drifted("kana", "canary-2", 1, 2)
    metrics.breaker("kana", "open", "canary-3")
    text = metrics.exposition().decode()
    assert "canary" not in text
    assert "user-1" not in text


def test_names(metrics: Metrics) -> None:
    """Names follow Prometheus' conventions: one prefix, base units, and help for each."""
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        assert family.name.startswith(("destinations_", "process_"))
        assert family.documentation
        assert not family.name.endswith(("_ms", "_milliseconds", "_count", "_sum"))
