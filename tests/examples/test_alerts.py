"""The example rules and dashboard: of metrics that exist, and each rule fires when it should."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql import Series, evaluate, parse, selectors

from destinations.cli.group import cli
from destinations.operations import TenantState
from destinations.outcome import Outcome
from destinations.pipeline.observer import Observers
from destinations.telemetry import Metrics, QueueFigures, StoreFigures

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "monitoring"
RULES = FOLDER / "alerts.yaml"
DASHBOARD = FOLDER / "dashboard.json"
MINUTE = 60.0


@functools.cache
def _rules() -> Mapping[str, Any]:
    document = yaml.safe_load(RULES.read_text("utf-8"))
    (group,) = document["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


class Case(NamedTuple):
    """Series in promtool's notation, a value a minute; at a minute a rule fires with labels.

    ``labels`` is None where it must not fire.
    """

    alert: str
    series: Mapping[str, str]
    at: int
    labels: Mapping[str, str] | None = None


_KANA = {"destination": "kana"}
_BUILD = 'destinations_build_info{version="1",python="3"}'
_ACCEPTED = 'destinations_events_accepted_total{destination="kana"}'
_HELD = 'destinations_queue_unsettled_deliveries{destination="kana",state="held"}'
_CLOSED = 'destinations_breaker_state{destination="kana",state="closed"}'
_RETRIES = 'destinations_delivery_retries_total{destination="kana",action="count"}'
_BACKUP = "destinations_store_last_backup_timestamp_seconds"
_RESENT = 'destinations_answers_lost_resent_total{destination="kana",action="count"}'
_SIZE, _LIMIT = "destinations_store_bytes", "destinations_store_limit_bytes"


def _of(name: str, **labels: str) -> str:
    named = ",".join(f'{key}="{value}"' for key, value in {**_KANA, **labels}.items())
    return f"{name}{{{named}}}"


def _ended(outcome: str, stage: str = "send") -> str:
    return _of("destinations_deliveries_total", action="count", outcome=outcome, stage=stage)


def _kept(outcome: str) -> str:
    return _of("destinations_kept_deliveries", outcome=outcome)


def _tenants(state: str) -> str:
    return _of("destinations_tenants", state=state)


def _refused(status: int, destination: str = "kana") -> str:
    return _of("destinations_refused_total", destination=destination, status=str(status))


CASES = [
    Case("ServerGone", {"other": "1+0x30"}, 10, {}),
    Case("ServerGone", {_BUILD: "1+0x10 _x20"}, 22, {}),  # absent for 5 minutes, and 5 more
    Case("ServerGone", {_BUILD: "1+0x10 _x20"}, 16),
    Case("ServerGone", {_BUILD: "1+0x30"}, 20),
    Case("ServerNotReady", {"destinations_ready": "1+0x3 0+0x10"}, 9, {}),
    Case("ServerNotReady", {"destinations_ready": "1+0x3 0+0x10"}, 7),  # a start
    Case("ServerNotReady", {"destinations_ready": "1+0x20"}, 15),
    Case("ReloadFailed", {"destinations_last_reload_successful": "1 0"}, 1, {}),
    Case("ReloadFailed", {"destinations_last_reload_successful": "1 0 1"}, 2),
    # The first of them counts, as it begins at 0; so does one that names no destination.
    Case("InternalErrors", {_of("destinations_internal_errors_total"): "0+0x5 1+0x5"}, 8, _KANA),
    Case(
        "InternalErrors",
        {_of("destinations_internal_errors_total", destination=""): "0+0x5 1+0x5"},
        8,
        {},
    ),
    Case("InternalErrors", {_of("destinations_internal_errors_total"): "3+0x20"}, 18),
    Case("ConnectionsTurnedAway", {"destinations_connections_turned_away_total": "0 0 7"}, 2, {}),
    Case("ConnectionsTurnedAway", {"destinations_connections_turned_away_total": "7+0x9"}, 8),
    Case("StoreNotWritable", {"destinations_store_writable": "1 0"}, 1, {}),
    Case("StoreNotWritable", {"destinations_store_writable": "1 0 1"}, 2),
    Case("DiskNearlyFull", {"destinations_store_free_bytes": "900000000+0x9"}, 8, {}),
    Case("DiskNearlyFull", {"destinations_store_free_bytes": "9000000000+0x9"}, 8),
    Case("StoreNearlyFull", {_SIZE: "95+0x9", _LIMIT: "100+0x9"}, 8, {}),
    Case("StoreNearlyFull", {_SIZE: "85+0x9", _LIMIT: "100+0x9"}, 8),
    Case("StoreNearlyFull", {_SIZE: "95+0x9"}, 8),  # there is no limit
    Case("BackupOld", {_BACKUP: "10+0x2300"}, 2240, {}),
    Case("BackupOld", {_BACKUP: "10+0x2300"}, 2200),  # for less than an hour
    Case("BackupOld", {_BACKUP: "0+0x1440 86400+0x1000"}, 2300),
    Case("NoEvents", {_ACCEPTED: "0+5x1440 7200+0x120"}, 1530, _KANA),
    Case("NoEvents", {_ACCEPTED: "0+5x1600"}, 1530),
    # There were none at that time of the day before either, or a few.
    Case("NoEvents", {_ACCEPTED: "0+0x1600"}, 1530),
    Case("NoEvents", {_ACCEPTED: "0+0x60 0+1x20 20+0x1540"}, 1530),
    Case("NoEvents", {_ACCEPTED: "5+0x120"}, 110),  # a new server
    Case("EventsRefused", {_refused(400): "0+2x20"}, 15, {**_KANA, "status": "400"}),
    Case("EventsRefused", {_refused(409): "0+2x20"}, 15, {**_KANA, "status": "409"}),
    Case("EventsRefused", {_refused(413): "0 0 40 40"}, 3, {**_KANA, "status": "413"}),
    Case("EventsRefused", {_refused(401): "0+9x20", _refused(400): "0 1 2 3 4"}, 4),
    Case("EventsRefused", {_refused(404, ""): "0+9x20"}, 15),  # strangers
    # A destination was renamed; nobody knows which one the sender means.
    Case("RequestsLost", {_refused(404, ""): "0+1x70"}, 60, {"status": "404"}),
    Case("RequestsLost", {_refused(408): "0+1x70"}, 60, {**_KANA, "status": "408"}),
    Case("RequestsLost", {_refused(499): "0+1x70"}, 60, {**_KANA, "status": "499"}),
    Case("EventsRefused", {_refused(499): "0+9x20"}, 15),  # their senders went away
    Case("RequestsLost", {_refused(404, ""): "0+1x10 10+0x60"}, 60),
    Case("RequestsLost", {_refused(400): "0+9x70"}, 60),
    Case("RefusedNotKept", {_of("destinations_refused_unkept_total"): "0+0x5 1+0x20"}, 8, _KANA),
    Case("RefusedNotKept", {_of("destinations_refused_unkept_total"): "7+0x70"}, 65),
    Case("SendersUnauthorized", {_refused(401): "0+9x20"}, 15, {**_KANA, "status": "401"}),
    Case("SendersUnauthorized", {_refused(401): "0+1x20"}, 15),
    Case("EventsTurnedAway", {_refused(503): "0+1x20"}, 15, _KANA),
    Case("EventsTurnedAway", {_refused(503): "0+0x5 3+0x20"}, 8),  # a restart
    # After a bad deploy the partner refuses 10,000 events within some minutes.
    Case(
        "ManyRejected",
        {_ended("rejected"): "0+0x10 0+2000x5 10000+0x20"},
        14,
        {**_KANA, "outcome": "rejected"},
    ),
    Case(
        "ManyRejected",
        {_ended("invalid", "plan"): "0+0x10 10000+0x20"},
        12,
        {**_KANA, "outcome": "invalid"},
    ),
    Case(
        "ManyRejected",
        {_ended("unmapped", "plan"): "0+50x20"},
        12,
        {**_KANA, "outcome": "unmapped"},
    ),
    Case("ManyRejected", {_ended("delivered"): "0+2000x20", _ended("rejected"): "0+1x20"}, 15),
    # One of them alerts nobody by itself, as there are few, and is there until somebody acts.
    *(
        Case(
            "EventsNotDelivered",
            {_kept(outcome): "0+0x60 1+0x1500"},
            1_510,
            {**_KANA, "outcome": outcome},
        )
        for outcome in ("rejected", "unmapped", "invalid")
    ),
    Case("EventsNotDelivered", {_kept("unmapped"): "0+0x60 1+0x1200 0+0x300"}, 1_510),  # handled
    Case("EventsNotDelivered", {_kept("delivered"): "9+0x1600"}, 1_510),
    Case("EventsDead", {_ended("dead"): "0+0x5 1+0x20"}, 8, _KANA),
    Case("EventsDead", {_ended("dead"): "1+0x25"}, 20),
    Case("DeliveriesHeld", {_HELD: "0 2+0x10"}, 8, {**_KANA, "state": "held"}),
    Case("DeliveriesHeld", {_HELD: "0+0x10"}, 8),
    Case("DeliveriesHeld", {_HELD.replace("held", "unknown"): "2+0x10"}, 8),
    Case("BalancesDrift", {_of("destinations_balance_drifts_total"): "0 0 1 1"}, 3, _KANA),
    Case("BalancesDrift", {_of("destinations_balance_drifts_total"): "1+0x70"}, 65),
    Case(
        "MayCountTwice",
        {_RESENT: "0 0 1 1"},
        3,
        _KANA,
    ),
    Case("MayCountTwice", {_RESENT: "1 1"}, 1),
    Case("CredentialsRefused", {_of("destinations_credentials_refused"): "0 1"}, 1, _KANA),
    Case("CredentialsRefused", {_of("destinations_credentials_refused"): "0 1 0"}, 2),
    Case(
        "ActionPaused",
        {_of("destinations_action_paused", action="count"): "0 1"},
        1,
        {**_KANA, "action": "count"},
    ),
    Case("ActionPaused", {_of("destinations_action_paused", action="count"): "1 0"}, 1),
    *(
        Case("TenantKeysNotAccepted", {_tenants(state): "0 2+0x20"}, 18, {**_KANA, "state": state})
        for state in ("refused", "unchecked")
    ),
    Case("TenantKeysNotAccepted", {_tenants("refused"): "0 2+0x10 0+0x10"}, 18),
    Case("TenantKeysNotAccepted", {_tenants("paused"): "2+0x20", _tenants("proven"): "9+0x20"}, 18),
    Case("TenantsPaused", {_tenants("paused"): "0 1+0x1500"}, 1_450, {**_KANA, "state": "paused"}),
    Case("TenantsPaused", {_tenants("paused"): "0 1+0x1400 0+0x100"}, 1_450),
    Case("PartnerDown", {_CLOSED: "1 0+0x20"}, 15, {**_KANA, "state": "closed"}),
    Case("PartnerDown", {_CLOSED: "1 0+0x20"}, 8),
    Case("PartnerDown", {_CLOSED: "0 0 0 1 0 0 0 0 0 0 0 0 0"}, 12),
    Case("NothingDelivered", {_RETRIES: "0+1x30", _ended("delivered"): "5+0x30"}, 25, _KANA),
    Case("NothingDelivered", {_RETRIES: "0+1x30", _ended("delivered"): "0+1x30"}, 25),
    Case("NothingDelivered", {_RETRIES: "9+0x30", _ended("delivered"): "5+0x30"}, 25),
    Case("QueueOld", {_of("destinations_queue_oldest_age_seconds"): "0+60x30"}, 25, _KANA),
    Case("QueueOld", {_of("destinations_queue_oldest_age_seconds"): "0+60x30"}, 18),
    Case("QueueOld", {_of("destinations_queue_oldest_age_seconds"): "30+0x30"}, 25),
    Case("QueueUnreadable", {_of("destinations_queue_up"): "0+0x10"}, 8, _KANA),
    Case("QueueUnreadable", {_of("destinations_queue_up"): "0 0 1+0x8"}, 8),
]
_IDS = [f"{case.alert}-{number}" for number, case in enumerate(CASES)]


def _samples(text: str) -> Iterator[tuple[float, float]]:
    """Yield samples of a text such as ``0+5x3 _x2 7``."""
    minute = 0
    for part in text.split():
        found = re.fullmatch(r"(\d+)(?:\+(\d+)x(\d+))?|_x(\d+)", part)
        assert found is not None, part
        first, step, more, gap = found.groups()
        if gap:
            minute += int(gap)
            continue
        for number in range(int(more or 0) + 1):
            yield minute * MINUTE, float(int(first) + number * int(step or 0))
            minute += 1


def _series(case: Case) -> Series:
    made = {}
    for text, values in case.series.items():
        name, _, labels = text.partition("{")
        found = re.findall(r'(\w+)="([^"]*)"', labels)
        made[name, frozenset(found)] = list(_samples(values))
    return made


def _minutes(rule: Mapping[str, Any]) -> int:
    """How long a rule has to hold: its ``for``."""
    text = rule.get("for", "0m")
    return int(text[:-1]) * {"m": 1, "h": 60}[text[-1]]


def _firing(case: Case) -> Sequence[Mapping[str, str]]:
    """The labels with which a rule fires: those that it had all the time that it has to hold."""
    rule, series = _rules()[case.alert], _series(case)
    node = parse(rule["expr"])
    held: set[frozenset[tuple[str, str]]] = set()
    for number, minute in enumerate(range(case.at - _minutes(rule), case.at + 1)):
        now = evaluate(node, series, minute * MINUTE)
        assert isinstance(now, dict)
        held = set(now) if number == 0 else held & now.keys()
    return [dict(labels) for labels in held]


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_when_rules_fire(case: Case) -> None:
    """With the labels of what is meant, and not where all is well or it is too early."""
    found = [{k: v for k, v in one.items() if v or k == "destination"} for one in _firing(case)]
    expected = [] if case.labels is None else [dict(case.labels)]
    assert [{k: v for k, v in one.items() if v} for one in found] == expected


def test_every_rule_fires_and_is_silent() -> None:
    """The cases have both of each rule."""
    names = set(_rules())
    assert {case.alert for case in CASES if case.labels is not None} == names
    assert {case.alert for case in CASES if case.labels is None} == names


@pytest.mark.parametrize("name", _rules())
def test_what_a_rule_says(name: str) -> None:
    """What happened, what to do, and whether it can wait; its templates name labels that it has."""
    rule = _rules()[name]
    firing = [set(case.labels) for case in CASES if case.alert == name and case.labels is not None]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "action", "runbook"}
    for text in rule["annotations"].values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= set().union(*firing)
        assert re.sub(r"{{ \$labels\.\w+ }}", "", text).count("{{") == 0
    # Whoever is woken sees at once which destination it is about.
    if all("destination" in labels for labels in firing):
        assert "$labels.destination" in rule["annotations"]["summary"]


@pytest.mark.parametrize("name", _rules())
def test_rules_speak_in_sentences(name: str) -> None:
    """One sentence says what happened, and some say what to do."""
    summary, action, _ = _rules()[name]["annotations"].values()
    for text in (summary, action):
        assert re.fullmatch(r"(?:[A-Z]|`destinations ).*\.", text)
        assert "  " not in text
    assert len(re.findall(r"[.;:] ", summary)) == 0
    assert 4 <= len(summary.split()) <= 25


@pytest.mark.parametrize("name", _rules())
def test_the_documentation_of_a_rule_exists(name: str) -> None:
    """The page is there, with the heading that is named."""
    page, _, anchor = _rules()[name]["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text("utf-8")
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


_COMMANDS = [
    pytest.param(name, command, id=f"{name}-{number}")
    for name, rule in _rules().items()
    for number, command in enumerate(
        re.findall(r"`(destinations [^`]*)`", rule["annotations"]["action"])
    )
]


@pytest.mark.parametrize(("name", "text"), _COMMANDS)
def test_the_commands_of_a_rule_exist(name: str, text: str) -> None:
    """With their options, and with the values that these take."""
    labels = next(case.labels for case in CASES if case.alert == name and case.labels is not None)
    _, *words = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text).split()
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, text
        command, context = found, click.Context(found)
    values, _, options = command.make_parser(context).parse_args(words)
    for option in options:
        if isinstance(option.type, click.Choice) and isinstance(option, click.Option):
            option.type_cast_value(context, values[option.name])


def test_what_drifted_can_be_found() -> None:
    """The rule about balances names the command that shows whose, which amounts, and since when."""
    action = _rules()["BalancesDrift"]["annotations"]["action"]
    assert "--drift --destination {{ $labels.destination }} --since" in action


def _exposed() -> Mapping[str, tuple[str, set[str]]]:
    """By name, the type and labels of every sample that a server shows."""
    metrics = Metrics()
    metrics.follow("kana", lambda: QueueFigures(0, None, 0, 0), ["count"])
    metrics.follow_store(lambda: StoreFigures(size=1, free=2, limit=3, writable=True))
    metrics.follow_tenants(lambda: {"kana": {"proven": 1}})
    metrics.broken(Observers([]))
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            _, labels = found.setdefault(sample.name, (family.type, set()))
            labels.update(sample.labels)
        if family.type == "histogram":  # without a sample until something is measured
            found[f"{family.name}_bucket"] = (family.type, {"destination", "le"})
    return found


def _expressions() -> Iterator[tuple[str, str]]:
    for name, rule in _rules().items():
        yield name, rule["expr"]
    for panel in _panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _panels() -> Sequence[Mapping[str, Any]]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [one for one in dashboard["panels"] if one["type"] != "row"]


def test_the_metrics_exist() -> None:
    """Each is one that a server shows, with these labels; only counters have an increase."""
    exposed = _exposed()
    used = set()
    for place, text in _expressions():
        for selector, function in selectors(parse(text)):
            assert selector.name in exposed, (place, selector.name)
            kind, labels = exposed[selector.name]
            assert {label for label, _, _ in selector.matchers} <= labels, (place, selector)
            is_counter = kind in {"counter", "histogram"}
            assert (function == "increase") is is_counter, (place, selector.name, kind)
            assert (selector.over is not None) is is_counter, (place, selector)
            used.add(selector.name)
    assert len(used) > 20


def test_outcomes_and_states_exist() -> None:
    """What labels are compared with are values that they can have."""
    values = {"outcome": {one.value for one in Outcome}, "state": {"held", "unknown", "closed"}}
    values["state"].update(get_args(TenantState))
    for place, text in _expressions():
        for selector, _ in selectors(parse(text)):
            for label, _, value in selector.matchers:
                assert set(value.split("|")) <= values.get(label, set(value.split("|"))), place


def test_the_dashboard_draws_what_rules_are_about() -> None:
    """Whoever gets an alert finds its metrics there."""
    drawn = {
        selector.name
        for panel in _panels()
        for target in panel["targets"]
        for selector, _ in selectors(parse(target["expr"]))
    }
    meant = {
        selector.name
        for rule in _rules().values()
        for selector, _ in selectors(parse(rule["expr"]))
    }
    assert meant <= drawn


def test_the_layout_of_the_dashboard() -> None:
    """Panels have ids of their own, do not overlap, and ask the chosen source of data."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert [one["type"] for one in dashboard["templating"]["list"]] == ["datasource"]
    cells: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= taken
    assert {panel["datasource"]["uid"] for panel in _panels()} == {"${datasource}"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed here")
@pytest.mark.parametrize("takes_days", [False, True])
def test_with_prometheus_itself(tmp_path: Path, *, takes_days: bool) -> None:
    """Prometheus' own tool finds the same in each case."""
    tests = []
    for case in [one for one in CASES if (one.at > 1000) is takes_days]:
        rule = _rules()[case.alert]
        labels = dict(case.labels or {})
        annotations = {
            name: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels.get(found[1], ""), text)  # noqa: B023
            for name, text in rule["annotations"].items()
        }
        alerts = [{"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": annotations}]
        expected: Mapping[str, Any] = {
            "eval_time": f"{case.at}m",
            "alertname": case.alert,
            "exp_alerts": [] if case.labels is None else alerts,
        }
        series = [{"series": text, "values": values} for text, values in case.series.items()]
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": [expected]})
    path = tmp_path / "tests.yaml"
    interval = "10m" if takes_days else "1m"
    document = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}
    path.write_text(json.dumps(document), "utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
