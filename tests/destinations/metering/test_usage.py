"""Usage of the shipped destinations, compared with partners that count as they document it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from destinations.cli.sealing_key import VARIABLE
from destinations.store import make_sealing_key
from tests.destinations.metering.partners import KEY, PARTNERS, M3ter, Partner
from tests.destinations.metering.samples import SAMPLES, Sample, span

Command = Callable[..., Any]
Write = Callable[[str, Any], Path]


@dataclass
class Bench:
    """A partner, and what is delivered to it between two times."""

    partner: Partner
    sample: Sample
    start: int
    end: int
    folder: Path
    command: Command
    write: Write

    @property
    def account(self) -> list[str | Path]:
        """The options that name the account and the store."""
        settings = self.write("settings.json", self.partner.settings)
        return ["--settings", settings, "--store", self.folder / "store.sqlite3"]

    def deliver(self, events: list[Any]) -> None:
        """Deliver events."""
        connection = self.write("connection.yaml", self.sample.connection)
        given = ["--connection", connection, "--events", self.write("events.ndjson", events)]
        done = self.command("run", self.partner.slug, *given, *self.account, "--json")
        assert done.code == 0, done
        assert done.json["outcomes"]["delivered"] == len(events), done

    def reconcile(self, *more: str | Path, start: int = 0, end: int = 0) -> Any:
        """Compare between the two times, or others."""
        within = [_iso(start or self.start), _iso(end or self.end)]
        given = ["--from", within[0], "--to", within[1], *self.account]
        return self.command("usage", "reconcile", self.partner.slug, *given, *more)

    def pairs(self, **within: int) -> dict[tuple[str, str], Any]:
        """Compare, and return what is said of each user and feature."""
        done = self.reconcile("--format", "json", **within)
        found = json.loads(done.out)
        assert done.code == (0 if found["summary"]["equal"] == len(found["pairs"]) else 1)
        return {(one["user"], one["feature"]): one for one in found["pairs"]}

    def within(self) -> list[Any]:
        """Return what the partner has counted between the two times, the latest last."""
        found = [one for one in self.partner.events if self.start <= one.at // 1_000 < self.end]
        return sorted(found, key=lambda one: one.at)


def _iso(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(params=PARTNERS)
def empty_bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    command: Command,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    """A partner to which nothing was sent."""
    monkeypatch.setenv(VARIABLE, make_sealing_key().reveal())  # for access tokens
    partner, sample = PARTNERS[request.param](), SAMPLES[request.param]
    start, end = span(sample, time.time())
    yield Bench(partner, sample, start, end, tmp_path, command, write)
    partner.close()
    assert partner.broken == []


@pytest.fixture
def bench(empty_bench: Bench) -> Bench:
    """Events of two users and two features, delivered; some of them lie outside the two times."""
    one = empty_bench
    events = list(one.sample.events(one.start, one.end))
    one.deliver(events)
    assert len(one.partner.events) == len(events)
    return one


def test_all_is_equal(bench: Bench) -> None:
    """Events at the first time count, those at the last do not; nothing else is sent or changed."""
    before = list(bench.partner.events)
    pairs = bench.pairs()
    assert {key: Decimal(one["ours"]) for key, one in pairs.items()} == bench.sample.expected
    assert {one["result"] for one in pairs.values()} == {"equal"}, pairs
    done = bench.reconcile()
    assert (done.code, done.out.splitlines()[-2]) == (
        0,
        "4 pairs of user and feature: 4 equal.",
    )
    assert bench.partner.events == before


def test_what_the_partner_lost(bench: Bench) -> None:
    """One event that the partner does not count is the difference, of its pair alone."""
    lost = bench.within()[-1]
    before = bench.pairs()
    bench.partner.lose(lost.id)
    pairs = bench.pairs()
    (key,) = [key for key, one in pairs.items() if one["result"] != "equal"]
    one = pairs[key]
    assert one["result"] == "differs"
    assert one["ours"] == before[key]["ours"]
    assert Decimal(one["partner"]) == Decimal(one["ours"]) - Decimal(one["difference"])
    assert Decimal(one["difference"]) == _counts_for(bench, key)
    done = bench.reconcile()
    assert done.code == 1
    assert f"difference {one['difference']}" in done.out


def test_what_the_partner_repeats(bench: Bench) -> None:
    """One event that the partner counts twice is a difference of the other sign."""
    bench.partner.repeat(bench.within()[-1].id)
    pairs = bench.pairs()
    (key,) = [key for key, one in pairs.items() if one["result"] != "equal"]
    assert Decimal(pairs[key]["difference"]) == -_counts_for(bench, key)


def _counts_for(bench: Bench, key: tuple[str, str]) -> Decimal:
    """Return what the last event of a pair counts for."""
    (feature,) = [one for one in bench.sample.features if one.name == key[1]]
    return Decimal(1) if feature.adds is None else Decimal(str(bench.sample.amounts[-1]))


def test_a_time_without_usage_at_the_partner(bench: Bench) -> None:
    """What the partner says of nothing is 0."""
    for one in bench.within():
        bench.partner.lose(one.id)
    pairs = bench.pairs()
    assert {one["partner"] for one in pairs.values()} == {"0"}
    assert {one["result"] for one in pairs.values()} == {"differs"}


def test_times_between_those_that_the_partner_adds_up(bench: Bench) -> None:
    """The nearest ones are named, before anything is asked."""
    if not bench.sample.unaligned:
        pairs = bench.pairs(start=bench.start + 1, end=bench.end - 1)  # whole seconds will do
        assert {one["result"] for one in pairs.values()} == {"equal"}
        assert {one["ours"] for one in pairs.values()} <= {"1", str(bench.sample.amounts[1])}
        return
    bench.partner.asked.clear()
    done = bench.reconcile(end=bench.end - bench.sample.unaligned)
    assert done.code == 2
    assert f"expected {_iso(bench.end - bench.sample.aligned)} or {_iso(bench.end)}" in done.err
    assert bench.partner.asked == []


def test_a_wrong_key(bench: Bench) -> None:
    """The partner refuses, and each pair says so."""
    bench.partner.key = "sk_test_another_one"
    done = bench.reconcile("--format", "json")
    assert done.code == 1
    assert json.loads(done.out)["summary"] == {"equal": 0, "differs": 0, "unknown": 4}
    assert KEY not in done.out + done.err


UNKNOWN = {
    "openmeter": ("unknown", "findMeter: HTTP 404"),
    "stripe-billing-meters": ("seats", "the partner has none"),  # a meter that counts events
    "lago": ("unknown", ""),  # Lago keeps events of unknown metrics
    "orb": ("unknown", "the partner has none"),
    "metronome": ("unknown", "the partner has none"),
    "m3ter": ("unknown", "the partner has none"),
}


def test_what_the_partner_does_not_meter(empty_bench: Bench) -> None:
    """The pair says what was looked for; others go on."""
    bench = empty_bench
    name, why = UNKNOWN[bench.partner.slug]
    user, feature = next(iter(bench.sample.users)), bench.sample.features[0]
    events = [one for one in bench.sample.events(bench.start, bench.end) if one["userId"] == user]
    values = bench.sample.values(feature, bench.sample.amounts[0]) or {"value": 1}
    other = {**events[1], "event": name, "messageId": "other", "properties": values}
    bench.deliver(events)
    _deliver_by_presets(bench, other)
    pairs = bench.pairs()
    found = pairs[user, name]
    if not why:
        assert found["result"] == "equal"
    else:
        assert found["result"] == "unknown"
        assert why in found["error"]
    assert {one["result"] for key, one in pairs.items() if key[1] != name} == {"equal"}


def _deliver_by_presets(bench: Bench, event: Any) -> None:
    given = ["--events", bench.write("other.ndjson", [event]), *bench.account, "--json"]
    done = bench.command("run", bench.partner.slug, *given)
    assert done.code == 0, done
    assert done.json["outcomes"]["delivered"] == 1


def _only(slug: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("empty_bench", [slug], indirect=True)


@_only("openmeter")
def test_a_meter_whose_values_do_not_add_up(empty_bench: Bench) -> None:
    """The maximum of one of OpenMeter's meters is not compared with a sum."""
    bench = empty_bench
    features = tuple(
        replace(one, mapping={**one.mapping, "meter": "slowest"}) for one in bench.sample.features
    )
    assert len(features) == 2
    bench.sample = replace(bench.sample, features=(features[0], features[1]))
    bench.deliver(list(bench.sample.events(bench.start, bench.end)))
    pairs = bench.pairs()
    assert {one["result"] for one in pairs.values()} == {"unknown"}
    why = "the meter has the aggregation MAX, which adds nothing up"
    assert {one["error"] for one in pairs.values()} == {f"findMeter: {why}"}
    assert not [one for one in bench.partner.asked if one.path[-1] == "query"]


@_only("openmeter")
@pytest.mark.parametrize("amount", ["many", None, ""])
def test_an_amount_that_is_no_number(empty_bench: Bench, amount: object) -> None:
    """The event is delivered all the same, and the pair says that its amount is unknown."""
    bench = empty_bench
    (event,) = [
        one
        for one in bench.sample.events(bench.start, bench.end)
        if one["messageId"] == f"0-1-{bench.start}"
    ]
    bench.deliver([{**event, "properties": {"tokens": amount}}])
    (one,) = bench.pairs().values()
    if not amount:  # nothing is mapped, so it counts as 1, and OpenMeter counts nothing
        assert (one["ours"], one["reasons"]) == ("1", {})
    else:
        assert (one["ours"], one["reasons"]["noAmount"]["count"]) == ("0", 1)


@_only("lago")
def test_the_end_that_lago_includes(bench: Bench) -> None:
    """An event of another sender just before the end is counted; one at the end is not."""
    last, at = bench.within()[-1], bench.end * 1_000
    key = (last.user, last.kind)
    for when, difference in ((at, "0"), (at - 1, "-1"), (at - 999, "-2")):
        bench.partner.events.append(replace(last, id=f"other {when}", at=when))
        assert bench.pairs()[key]["difference"] == difference


@_only("metronome")
def test_a_customer_whom_metronome_does_not_know(empty_bench: Bench) -> None:
    """Metronome has taken the events, and counts them for nobody."""
    bench = empty_bench
    bench.sample = replace(bench.sample, users={"nobody": "nobody"})
    bench.deliver(list(bench.sample.events(bench.start, bench.end)))
    pairs = bench.pairs()
    assert {one["result"] for one in pairs.values()} == {"unknown"}
    assert all("findMetric: HTTP 404" in one["error"] for one in pairs.values()), pairs


@_only("stripe-billing-meters")
def test_meters_are_looked_up_once(bench: Bench) -> None:
    """For each feature, on two pages."""
    bench.partner.asked.clear()
    assert len(bench.pairs()) == 4
    paths = [one.path[2:] for one in bench.partner.asked]
    assert 4 <= paths.count(("meters",)) <= 8  # two threads may look at the same time
    assert sum(one[-1] == "event_summaries" for one in paths) == 4


@_only("m3ter")
def test_more_measurements_than_m3ter_shows(bench: Bench) -> None:
    """Some of them are no count of all; a shorter time can be compared."""
    partner = bench.partner
    assert isinstance(partner, M3ter)
    partner.most = 2
    pairs = bench.pairs()
    assert {one["result"] for one in pairs.values()} == {"unknown"}
    why = "m3ter has more than 20,000 measurements; ask about a shorter time"
    assert {one["error"] for one in pairs.values()} == {f"queryUsage: {why}"}
    assert {one["result"] for one in bench.pairs(end=bench.end - 1).values()} == {"equal"}
