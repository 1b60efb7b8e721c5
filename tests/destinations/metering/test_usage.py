"""Usage of the shipped destinations, compared with partners that count as they document it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.destinations.metering.partners import PARTNERS, Partner
from tests.destinations.metering.samples import SAMPLES, Sample, span


@dataclass
class Bench:
    """A partner, and what was delivered to it between two times."""

    partner: Partner
    sample: Sample
    start: int
    end: int
    settings: Path
    store: Path
    connection: Path
    command: Callable[..., Any]

    def deliver(self, events: Path) -> Any:
        """Deliver a file of events."""
        given = ["--settings", self.settings, "--store", self.store]
        given += ["--connection", self.connection, "--events", events, "--json"]
        return self.command("run", self.partner.slug, *given)


@pytest.fixture(params=PARTNERS)
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
) -> Iterator[Bench]:
    """Events of two users and two features, delivered."""
    partner, sample = PARTNERS[request.param](), SAMPLES[request.param]
    start, end = span(sample, time.time())
    one = Bench(
        partner,
        sample,
        start,
        end,
        write("settings.json", partner.settings),
        tmp_path / "store.sqlite3",
        write("connection.yaml", sample.connection),
        command,
    )
    events = list(sample.events(start, end))
    done = one.deliver(write("events.ndjson", events))
    assert done.code == 0, done
    assert done.json["outcomes"]["delivered"] == len(events)
    assert len(partner.events) == len(events)
    yield one
    partner.close()
    assert partner.broken == []


def test_x(bench: Bench) -> None:
    assert bench.partner.events
