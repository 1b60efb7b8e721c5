"""The pipeline and Segment's own runtime in Node: event objects in, payloads out, no network.

Both sides have the same definition, the same subscriptions and the same events, parsed before the
clock runs; first both show their payloads, which have to be the same. What is counted is processor
time: one core's, however many there are.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from benchmarks.figures import Figure
from benchmarks.reference.install import REFERENCE
from benchmarks.reference.peer import Peer, Way
from benchmarks.subjects import Subject, corpus_subjects, kana_subjects
from destinations.outcome import Result
from destinations.runtime.destination import Destination
from destinations.segment.event import Event, read_json
from destinations.segment.javascript.equality import equal
from tests.npm_packages import InstallError, installed

__all__ = ["measure"]

_DEFINITIONS: Final = 20
_BATCH: Final = 1000
_ROUNDS: Final = 5
# Node compiles what runs often, step by step: before that it is several times slower.
_WARM_UP: Final = 6


@dataclass(frozen=True, slots=True)
class _Rates:
    """Events per second and core, medians of rounds in turn."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def measure(scale: int) -> list[Figure]:
    """Kana, and real definitions of the corpus, in both ways of the reference."""
    rounds = max(3, _ROUNDS // scale)
    try:
        folder = installed(REFERENCE)
    except InstallError as error:
        return [
            Figure(f"pipeline compared with {way}", None, "", None, str(error)) for way in _ways()
        ]
    with Peer(folder) as peer:
        kana = [(subject.name, _compare(subject, peer, rounds)) for subject in kana_subjects()]
        corpus = []
        for subject in corpus_subjects(_DEFINITIONS):
            sys.stderr.write(f"  {subject.name}\n")
            corpus.append((subject.name, _compare(subject, peer, rounds)))
    figures = [
        _figure(name, way, rates) for name, of_ways in kana for way, rates in of_ways.items()
    ]
    for way in _ways():
        figures += _summary(way, [(name, rates[way]) for name, rates in corpus])
    return figures


def _ways() -> tuple[Way, ...]:
    return get_args(Way)


def _figure(name: str, way: Way, rates: _Rates, *, detail: bool = False) -> Figure:
    return Figure(f"{name}, {_LABELS[way]}", rates.ours, "events/s", rates.peer, way, detail=detail)


def _summary(way: Way, of: Sequence[tuple[str, _Rates]]) -> Iterator[Figure]:
    """The geometric mean and the slowest definition; each one goes into the JSON."""
    ratios = [rates.ratio for _, rates in of]
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    name, slowest = min(of, key=lambda item: item[1].ratio)
    against = f"{way}, geometric mean"
    yield Figure(f"{len(of)} definitions, {_LABELS[way]}", mean, "times its rate", 1, against)
    yield _figure(f"slowest of them, {name}", way, slowest)
    for other, rates in of:
        yield _figure(other, way, rates, detail=True)


def _compare(subject: Subject, peer: Peer, rounds: int) -> dict[Way, _Rates]:
    numbers = peer.load(dict(subject.peer), subject.events)
    texts = [subject.events[number] for number in numbers]
    _check_payloads(subject, peer, texts)
    lines = [texts[at % len(texts)] for at in range(_BATCH)]
    return {way: _rates(subject.destination, peer, way, lines, rounds) for way in _ways()}


def _check_payloads(subject: Subject, peer: Peer, texts: Sequence[bytes]) -> None:
    """A benchmark of different work says nothing."""
    subscriptions = subject.destination.subscriptions
    ours: list[list[Any]] = [[] for _ in subscriptions]
    for text in texts:
        for subscription, what in subject.destination.payloads(read_json(text)):
            if subscription is not None and not isinstance(what, Result):
                ours[subscriptions.index(subscription)].append(what)
    if not any(ours):
        raise SystemExit(f"{subject.name}: no event gives a payload")
    for way in _ways():
        for subscription, mine, theirs in zip(subscriptions, ours, peer.payloads(way), strict=True):
            if len(mine) != len(theirs) or not all(map(equal, mine, theirs)):
                where = f"{subject.name}, {subscription.name}"
                raise SystemExit(f"{where}: {way} makes other payloads, so times mean nothing")


def _rates(
    destination: Destination, peer: Peer, way: Way, lines: Sequence[bytes], rounds: int
) -> _Rates:
    repeats = 2
    _round(destination, way, lines, 1)
    peer.round(way, _WARM_UP)
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, made = _round(destination, way, lines, repeats)
        ours.append(seconds)
        peer_seconds, peer_made = peer.round(way, repeats)
        theirs.append(peer_seconds)
        if made != peer_made:
            raise SystemExit(f"{destination.definition.slug}: {made} payloads, {way} {peer_made}")
    events = repeats * len(lines)
    return _Rates(events / statistics.median(ours), events / statistics.median(theirs))


def _round(
    destination: Destination, way: Way, lines: Sequence[bytes], repeats: int
) -> tuple[float, int]:
    """Processor seconds and payloads; the events are parsed again before the clock runs."""
    # The collector keeps Python's default settings: what is measured is what `run` does.
    gc.collect()
    seconds, made = 0.0, 0
    for _ in range(repeats):
        events = [read_json(line) for line in lines]
        began = time.process_time()
        made += _WAYS[way](destination, events)
        seconds += time.process_time() - began
    return seconds, made


def _one_by_one(destination: Destination, events: Sequence[Event]) -> int:
    """As the reader of a run does it: nothing is kept of an event when the next one comes."""
    made = 0
    for event in events:
        if destination.admit(event) is None:
            for _, what in destination.payloads(event):
                made += not isinstance(what, Result)
    return made


def _as_batch(destination: Destination, events: Sequence[Event]) -> int:
    """All payloads of a batch at once."""
    batch = [
        what
        for event in events
        if destination.admit(event) is None
        for _, what in destination.payloads(event)
        if not isinstance(what, Result)
    ]
    return len(batch)


_WAYS: Final[dict[Way, Callable[[Destination, Sequence[Event]], int]]] = {
    "onEvent": _one_by_one,
    "onBatch": _as_batch,
}
_LABELS: Final[dict[Way, str]] = {
    "onEvent": "one event at a time",
    "onBatch": f"batches of {_BATCH:,}",
}
