"""Expose metrics in Prometheus' text format, from an observer's calls and the queues."""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from bisect import bisect_left
from collections import Counter as Count
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from destinations._version import __version__
from destinations.errors import StoreDeniedError, TemporaryError
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.observer import Observer, Point
from destinations.pipeline.queue import QueuedDelivery, Stage, Transition
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import CALL_UNSUPPORTED, NOT_JSON
from destinations.statuses import BODY_INCOMPLETE, CODES, FEEDS_NOTHING, SENDER_GONE
from destinations.telemetry.alert_figures import AlertGauges, MessageResult
from destinations.telemetry.queue_figures import QueueFigures
from destinations.telemetry.store_figures import StoreFigures, StoreGauges

__all__ = ["CONTENT_TYPE", "Metrics", "TenantCounts"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)
_REQUEST: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BREAKER: Final = ("closed", "open", "half-open")
_UNSENT: Final = (Outcome.FILTERED, Outcome.UNMAPPED, Outcome.INVALID)
_ENDS: Final[Mapping[Stage, Sequence[Outcome]]] = {
    "plan": (*_UNSENT, Outcome.DEAD),
    "send": (*_UNSENT, Outcome.DELIVERED, Outcome.REJECTED, Outcome.DEAD),
    "reconcile": (Outcome.DELIVERED, Outcome.DEAD),
}
"""The points where a delivery may end, and its outcomes."""

_REFUSALS: Final[Mapping[int, Sequence[str]]] = {
    **{status: (CODES[status],) for status in (401, 403, 408, 413, 415, 500, 503)},
    400: (
        "BAD_REQUEST",
        "ALIAS_IDS_NOT_DEFINED",
        "EVENT_NOT_DEFINED",
        "EVENT_NOT_STRING",
        "GROUP_ID_NOT_DEFINED",
        "ID_NOT_STRING",
        "ID_NOT_TEXT",
        "MESSAGE_ID_MISSING",
        "MESSAGE_ID_TOO_LONG",
        NOT_JSON,
        "NOT_OBJECT",
        "NO_USER_ANON_ID",
        "TOO_LARGE",
        "TYPE_INVALID",
    ),
    409: ("CONFLICT",),
    SENDER_GONE: (BODY_INCOMPLETE,),
    501: ("NOT_IMPLEMENTED", CALL_UNSUPPORTED),
}
"""The statuses of a receiver, and their codes: of events, those of `destinations.segment.event`."""

Read = Callable[[], QueueFigures]
TenantCounts = Mapping[str, Mapping[str, int]]
"""By destination, the number of its tenants in each state."""


class Metrics(Observer):
    """An observer that counts, in its own registry.

    ``now`` gives seconds since 1970, ``monotonic`` a time that never goes back. Names and labels
    are documented in docs/observability.md, in the words of the help texts here.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        # By first delivery: when a batch under way was sent.
        self._sent: dict[QueuedDelivery, float] = {}
        self._registry = CollectorRegistry()
        self._queues = _Queues(now)
        self._registry.register(self._queues)
        self._store = StoreGauges()
        self._registry.register(self._store)
        self._tenants = _Tenants()
        self._registry.register(self._tenants)
        self._alerts = AlertGauges()
        self._registry.register(self._alerts)
        ProcessCollector(registry=self._registry)
        self._count(self._registry)
        self._measure(self._registry)

    def _count(self, registry: CollectorRegistry) -> None:
        """Make the counters."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(
                f"destinations_{name}", text, ("destination", *labels), registry=registry
            )

        self._accepted = counter("events_accepted", "Events that were made durable.")
        self._duplicates = counter(
            "events_duplicate", "Events that had been accepted before, by their messageId."
        )
        self._refused = counter(
            "refused",
            "Refused events; a request whose events cannot be counted is one.",
            "status",
            "code",
        )
        self._unkept = counter(
            "refused_unkept",
            "Refused events whose content should be kept, and is not, or was displaced.",
        )
        self._deliveries = counter(
            "deliveries", "Deliveries that reached their outcome.", "action", "outcome", "stage"
        )
        self._retries = counter("delivery_retries", "Failed attempts that are retried.", "action")
        self._lost = counter("answers_lost", "Deliveries whose answer was lost.", "action")
        self._resent = counter(
            "answers_lost_resent",
            "Deliveries that were sent again after a lost answer, and may count twice.",
            "action",
        )
        self._held = counter("deliveries_held", "Deliveries left to an operator.", "action")
        self._drifts = counter(
            "balance_drifts",
            "Balances that differ from the expected ones: another writer, or a late request.",
        )
        self._errors = counter(
            "internal_errors", "Internal errors of this program, wherever they happen."
        )
        self._errors.labels("")  # at 0: those of the engine are of no destination
        self._changes = counter(
            "breaker_changes", "Changes of the circuit breaker into a state.", "state"
        )
        self._turned_away = Counter(
            "destinations_connections_turned_away",
            "Connections that were closed because too many were open.",
            registry=registry,
        )
        self._messages = Counter(
            "destinations_alert_messages",
            "Messages about alerts: sent, failed (and tried again), or given up.",
            ("sink", "result"),
            registry=registry,
        )
        self._broken = Counter(
            "destinations_observer_errors",
            "Errors in metrics, logs and traces; deliveries went on.",
            ("observer",),
            registry=registry,
        )

    def _measure(self, registry: CollectorRegistry) -> None:
        """Make the gauges: of the process, the state of the breaker, and times."""
        build = Gauge(
            "destinations_build_info",
            "1; its labels have the versions of this program and of Python.",
            ("version", "python"),
            registry=registry,
        )
        build.labels(__version__, platform.python_version()).set(1)
        self._ready = Gauge(
            "destinations_ready", "1 if /readyz answers with 200, else 0.", registry=registry
        )
        self._loaded = Gauge(
            "destinations_last_reload_successful",
            "0 if the last reload of the configuration failed, else 1.",
            registry=registry,
        )
        self._loaded_at = Gauge(
            "destinations_last_reload_success_timestamp_seconds",
            "When the configuration was loaded last, in seconds since 1970.",
            registry=registry,
        )
        self._breaker = Gauge(
            "destinations_breaker_state",
            "1 for the current state of the circuit breaker (closed, open, half-open), else 0.",
            ("destination", "state"),
            registry=registry,
        )
        self._stopped = Gauge(
            "destinations_paused",
            "1 while an operator has paused the destination, else 0.",
            ("destination",),
            registry=registry,
        )
        self._paused = Gauge(
            "destinations_action_paused",
            "1 while an action is paused because the partner refuses its requests, else 0.",
            ("destination", "action"),
            registry=registry,
        )
        self._credentials = Gauge(
            "destinations_credentials_refused",
            "1 from a refusal of the credentials until an event is delivered, else 0.",
            ("destination",),
            registry=registry,
        )
        self._latencies = _Latencies()
        registry.register(self._latencies)
        self._requests = Histogram(
            "destinations_batch_send_seconds",
            "Time from sending a batch to its answer.",
            ("destination",),
            buckets=_REQUEST,
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Return all metrics as text of type `CONTENT_TYPE`."""
        text: bytes = generate_latest(self._registry)
        return text

    def follow(self, destination: str, read: Read, actions: Collection[str] = ()) -> None:
        """Show the figures of a queue, which are read for each scrape.

        ``actions`` are the slugs of the actions that deliver from it.
        """
        self.watch(destination, read)
        self._begin(destination, actions)
        # An opened queue begins with a new circuit breaker.
        self._show_breaker(destination, "closed")

    def watch(self, destination: str, read: Read) -> None:
        """Show the figures of a queue that is not delivered from."""
        self._queues.reads = {**self._queues.reads, destination: read}

    def follow_store(self, read: Callable[[], StoreFigures]) -> None:
        """Show the figures of the store, which are read for each scrape."""
        self._store.read = read

    def follow_tenants(self, read: Callable[[], TenantCounts]) -> None:
        """Show how many tenants destinations have, which is read for each scrape."""
        self._tenants.read = read

    def follow_alerts(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Show how many alerts of each rule are open, which is read for each scrape."""
        self._alerts.read = read

    def alert_message(self, sink: str, result: MessageResult) -> None:
        """Count a message about an alert."""
        self._messages.labels(sink, result).inc()

    def follow_ready(self, is_ready: Callable[[], bool]) -> None:
        """Show whether events should be sent here, which is asked for each scrape."""
        self._ready.set_function(lambda: float(is_ready()))

    def loaded(self, *, successful: bool) -> None:
        """Note that the configuration was loaded, or that a reload failed."""
        self._loaded.set(successful)
        if successful:
            self._loaded_at.set(self._now())

    def stopped(self, destination: str, *, is_stopped: bool) -> None:
        """Show whether an operator has paused a destination."""
        self._stopped.labels(destination).set(is_stopped)

    def keep(self, destinations: Collection[str]) -> None:
        """Show only these queues and breakers; counters of the others stay."""
        reads = self._queues.reads
        self._queues.reads = {name: read for name, read in reads.items() if name in destinations}
        for name in reads.keys() - set(destinations):
            for state in _BREAKER:
                with contextlib.suppress(KeyError):  # absent for queues that are not delivered from
                    self._breaker.remove(name, state)
            self._stopped.remove_by_labels({"destination": name})
            self._paused.remove_by_labels({"destination": name})
            self._credentials.remove_by_labels({"destination": name})

    def broken(self, observer: Observer) -> None:
        """Count an exception from another observer."""
        self._broken.labels(type(observer).__name__.lower()).inc()

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `Observer.accepted`; ``events`` counts the duplicates too."""
        self._accepted.labels(destination).inc(events - duplicates)
        self._duplicates.labels(destination).inc(duplicates)

    def ended(self, destination: str, ended: Sequence[Transition]) -> None:
        """See `Observer.ended`."""
        for (key, outcome, stage), number in _counts(ended).items():
            action = "" if key is None else key.action
            self._deliveries.labels(destination, action, outcome.value, stage).inc(number)

    def refused(
        self,
        destination: str,
        status: int,
        peer: str = "",  # noqa: ARG002 - of logs
        code: str = "",
        number: int = 1,
    ) -> None:
        """See `Observer.refused`."""
        self._refused.labels(destination, str(status), code or CODES[status]).inc(number)

    def unkept(self, destination: str, number: int) -> None:
        """See `Observer.unkept`."""
        self._unkept.labels(destination).inc(number)

    def turned_away(self, most: int) -> None:  # noqa: ARG002 - of logs
        """See `Observer.turned_away`."""
        self._turned_away.inc()

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:
        """See `Observer.reached`."""
        if point == "sending":
            self._sent[deliveries[0]] = self._monotonic()
        elif point == "answered":
            began = self._sent.pop(deliveries[0], None)
            if began is not None:
                self._requests.labels(destination).observe(self._monotonic() - began)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:
        """See `Observer.transitioned`."""
        now = self._now()
        self._latencies.observe(
            destination,
            [
                now - one.delivery.event.accepted_at
                for one in transitions
                if one.result.outcome is Outcome.DELIVERED
            ],
        )
        for (key, outcome, stage), number in _counts(transitions).items():
            action = "" if key is None else key.action
            if isinstance(outcome, Outcome):
                self._deliveries.labels(destination, action, outcome.value, stage).inc(number)
            elif outcome is State.READY:
                self._retries.labels(destination, action).inc(number)
            elif outcome is State.HELD:
                self._held.labels(destination, action).inc(number)
            elif stage == "send":
                self._lost.labels(destination, action).inc(number)
        for one in transitions:
            if one.resent:
                if one.stage == "send":
                    self._lost.labels(destination, one.delivery.action).inc()
                self._resent.labels(destination, one.delivery.action).inc()

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002 - as above
        """See `Observer.breaker`."""
        self._changes.labels(destination, state).inc()
        self._show_breaker(destination, state)

    def paused(self, destination: str, action: str, reason: str) -> None:
        """See `Observer.paused`."""
        self._paused.labels(destination, action).set(bool(reason))

    def credentials(self, destination: str, state: str, reason: str = "") -> None:  # noqa: ARG002 - as above
        """See `Observer.credentials`."""
        self._credentials.labels(destination).set(state == "refused")

    def drifted(
        self,
        destination: str,
        key: str,  # noqa: ARG002 - as above
        expected: int,  # noqa: ARG002 - as above
        found: int,  # noqa: ARG002 - as above
    ) -> None:
        """See `Observer.drifted`."""
        self._drifts.labels(destination).inc()

    def failed(self, destination: str, error: BaseException) -> None:
        """See `Observer.failed`."""
        if not isinstance(error, TemporaryError | StoreDeniedError):  # such as a store that is away
            self._errors.labels(destination).inc()

    def internal_error(self, destination: str) -> None:
        """See `Observer.internal_error`."""
        self._errors.labels(destination).inc()

    def follow_source(self, source: str) -> None:
        """Show the counters of what a source is refused at 0."""
        self._unkept.labels(source)
        self._errors.labels(source)
        self._begin_refusals(source, _REFUSALS)
        self._begin_refusals(source, {400: (FEEDS_NOTHING,)})

    def _begin_refusals(self, name: str, refusals: Mapping[int, Sequence[str]]) -> None:
        for status, codes in refusals.items():
            for code in codes:
                self._refused.labels(name, str(status), code)

    def _begin(self, destination: str, actions: Collection[str]) -> None:
        """Show counters at 0: Prometheus sees no increase if the first value is 1."""
        for counter in (
            self._accepted,
            self._duplicates,
            self._unkept,
            self._drifts,
            self._errors,
        ):
            counter.labels(destination)
        self._begin_refusals(destination, _REFUSALS)
        for state in _BREAKER:
            self._changes.labels(destination, state)
        self._credentials.labels(destination).set(0)
        # A delivery without a subscription has no action.
        self._deliveries.labels(destination, "", Outcome.FILTERED.value, "plan")
        for action in actions:
            self._paused.labels(destination, action).set(0)
            for counter in (self._retries, self._lost, self._resent, self._held):
                counter.labels(destination, action)
            for stage, outcomes in _ENDS.items():
                for outcome in outcomes:
                    self._deliveries.labels(destination, action, outcome.value, stage)

    def _show_breaker(self, destination: str, state: str) -> None:
        for name in _BREAKER:
            self._breaker.labels(destination, name).set(name == state)


def _counts(
    transitions: Sequence[Transition],
) -> Mapping[tuple[SubscriptionKey | None, Status, Stage], int]:
    return Count((one.delivery.key, one.result.outcome, one.stage) for one in transitions)


class _Latencies(Collector):
    """A histogram of delivery times that counts a batch at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By destination: the count of each bucket (the last is open), and the sum.
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, destination: str, seconds: Sequence[float]) -> None:
        """Count times in seconds; a negative one (the clock was set back) counts as 0."""
        with self._lock:
            counts = self._counts.setdefault(destination, [0] * (len(_LATENCY) + 1))
            for each in seconds:
                counts[bisect_left(_LATENCY, each)] += 1
            added = sum(each for each in seconds if each > 0)
            self._sums[destination] = self._sums.get(destination, 0.0) + added

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "destinations_delivery_latency_seconds",
            "Time from accepting an event to delivering it.",
            labels=("destination",),
        )
        with self._lock:
            for destination, counts in self._counts.items():
                limits = [*map(floatToGoString, _LATENCY), "+Inf"]
                buckets = list(zip(limits, accumulate(counts), strict=True))
                family.add_metric((destination,), buckets, self._sums[destination])
        yield family


class _Tenants(Collector):
    """The gauge of the customers of destinations: only numbers, as there may be thousands."""

    def __init__(self) -> None:
        self.read: Callable[[], TenantCounts] = dict

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "destinations_tenants",
            "Tenants in a state: paused by an operator, or else the state of their key.",
            labels=("destination", "state"),
        )
        for destination, counts in self.read().items():
            for state, number in counts.items():
                family.add_metric((destination, state), number)
        yield family


class _Queues(Collector):
    """The gauges of the queues that are open."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.reads: dict[str, Read] = {}
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        label = ("destination",)
        up = GaugeMetricFamily(
            "destinations_queue_up",
            "1 if the other gauges of the queue could be read, else 0.",
            labels=label,
        )
        length = GaugeMetricFamily(
            "destinations_queue_deliveries", "Deliveries without an outcome yet.", labels=label
        )
        age = GaugeMetricFamily(
            "destinations_queue_oldest_age_seconds",
            "Time since the oldest waiting delivery was accepted, held ones excluded.",
            labels=label,
        )
        unsettled = GaugeMetricFamily(
            "destinations_queue_unsettled_deliveries",
            "Deliveries that are unknown or held now.",
            labels=("destination", "state"),
        )
        kept = GaugeMetricFamily(
            "destinations_kept_deliveries",
            "Deliveries with an outcome that the store keeps.",
            labels=("destination", "outcome"),
        )
        for destination, read in self.reads.items():
            try:
                figures = read()
            except Exception:  # noqa: BLE001 - the other metrics are needed most now
                up.add_metric((destination,), 0)
                continue
            up.add_metric((destination,), 1)
            length.add_metric((destination,), figures.length)
            waits = 0.0 if figures.oldest is None else max(0.0, self._now() - figures.oldest)
            age.add_metric((destination,), waits)
            unsettled.add_metric((destination, State.UNKNOWN.value), figures.unknown)
            unsettled.add_metric((destination, State.HELD.value), figures.held)
            for outcome in Outcome:
                kept.add_metric((destination, outcome.value), figures.kept.get(outcome, 0))
        yield from (up, length, age, unsettled, kept)
