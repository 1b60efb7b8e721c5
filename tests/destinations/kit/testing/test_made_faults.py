"""The kit finds what a runtime or a definition does wrong: here, wrong ones are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.http import Answer, RestRequest, answer
from destinations.kit.testing.made_faults import FaultReport, fault_cases, play_fault
from destinations.kit.testing.subject import Subject
from destinations.outcome import Outcome, Retry, State
from destinations.runtime import sender
from tests.destinations.pipeline.metering import metered

MakeSubject = Callable[..., Subject]


def _play(subject: Subject, *actions: str) -> list[FaultReport]:
    """Play the faults of these actions, by default of all."""
    cases = fault_cases(subject)
    return [play_fault(case) for case in cases if not actions or case.action in actions]


def _wrong(reports: list[FaultReport]) -> set[str]:
    return {str(found) for report in reports for found in report.differences}


def test_the_runtime_does_as_the_rules_say(make_subject: MakeSubject) -> None:
    """Every action, every request that it can reach, every fault."""
    reports = _play(make_subject())
    assert _wrong(reports) == set()
    assert {(report.case.action, report.case.way.request) for report in reports} == {
        ("count", "count"),
        ("save", "save"),
        ("sync", "find"),
        ("sync", "create"),
    }


def test_a_rate_limit(make_subject: MakeSubject) -> None:
    """Waits for a turn are no waits after a failure: the partner's Retry-After is still found."""

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["transport"]["rateLimit"] = {"requests": 100, "per": 1}

    assert _wrong(_play(make_subject(change))) == set()


BODIES: dict[str, dict[str, Any]] = {
    "text": {"rest": {"text": {"@path": "$.payload.page"}, "gzip": True}},
    "lines": {"rest": {"ndjson": [{"index": {}}, {"page": {"@path": "$.payload.page"}}]}},
    "a batch of lines": {
        "rest": {"ndjson": [{"page": {"@path": "$.payload.page"}}], "gzip": True},
        "batch": {
            "size": 3,
            "failures": {
                "status": [200],
                "items": {"@path": "$.errors"},
                "index": {"@path": "$.index"},
            },
        },
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_other_bodies(make_subject: MakeSubject, body: dict[str, Any]) -> None:
    """Every fault has the same outcome whatever the body is, and wherever the key is."""

    def change(documents: dict[str, Any]) -> None:
        destination = documents["destination"]
        destination["requests"]["save"] |= {
            **body,
            "rest": {"method": "POST", "url": "http://127.0.0.1:9/pages", **body["rest"]},
        }
        destination["transport"] |= {
            "headers": {},
            "auth": {"apiKey": {"setting": "apiKey", "query": "key"}},
        }
        destination["authentication"]["scheme"] = "custom"

    reports = _play(make_subject(change), "save")
    assert len(reports) > 10
    assert _wrong(reports) == set()


@pytest.mark.parametrize("body", [{"text": "who"}, {"form": {"grant": "who"}}, {"ndjson": [1]}])
def test_a_test_of_credentials_without_json(
    make_subject: MakeSubject, body: dict[str, Any]
) -> None:
    """The test of the credentials is told from the request that was refused by its body."""

    def change(documents: dict[str, Any]) -> None:
        destination = documents["destination"]
        rest = {"method": "POST", "url": "http://127.0.0.1:9/pages"}
        destination["requests"]["save"] |= {"rest": {**rest, "json": {"page": 1}}}
        destination["requests"]["who"] = {
            "description": "Who it is.",
            "idempotent": True,
            "rest": {**rest, **body},
        }
        destination["authentication"]["test"] = "who"

    reports = _play(make_subject(change), "save")
    assert {one.sent for one in reports if one.case.fault.name in {"401", "403"}} == {1}
    assert _wrong(reports) == set()


@pytest.mark.parametrize(
    ("request_name", "fault", "outcomes", "sent"),
    [
        ("count", "401", ["ready", "ready"], 1),
        ("count", "429 with Retry-After, once", ["delivered", "delivered"], 2),
        ("count", "500", ["unknown", "unknown"], 1),
        ("count", "no connection", ["ready", "ready"], 12),
        ("count", "time-out after sending, once", ["unknown", "unknown"], 1),
        ("count", "200 with an error for one event", ["delivered", "unknown"], 1),
        ("save", "500", ["ready"], 11),
        ("save", "time-out after sending, once", ["delivered"], 2),
        ("save", "answer cut off", ["ready"], 11),
        ("find", "200 that is not JSON", ["ready"], 11),
        ("create", "200 that is not JSON", ["unknown"], 1),
        ("create", "error: code BUSY", ["ready"], 11),
    ],
)
def test_what_must_hold_for_a_fault(
    make_subject: MakeSubject, request_name: str, fault: str, outcomes: list[str], sent: int
) -> None:
    """Repeatable requests are tried again, as long as an outage may last; the others end unknown.

    What was not sent in that time is ready: the partner is to blame, not the event.
    """
    (report,) = [
        play_fault(case)
        for case in fault_cases(make_subject())
        if (case.way.request, case.fault.name) == (request_name, fault)
    ]
    assert report.passed
    assert [outcome.value for outcome in report.outcomes] == outcomes
    assert report.sent == sent


@pytest.mark.parametrize("asks", [False, True])
def test_what_a_run_would_make_of_it(make_subject: MakeSubject, asks: bool) -> None:
    """What may have been applied is held, unless the partner can be asked."""

    def change(documents: dict[str, Any]) -> None:
        if asks:
            documents["destination"]["requests"]["count"]["reconcile"] = {
                "ask": "find",
                "key": {"@path": "$.payload.thing"},
                "amount": {"@path": "$.payload.by"},
                "shown": {"@path": "$.answer.name"},
            }

    cases = fault_cases(make_subject(change))
    (report,) = [
        play_fault(case) for case in cases if (case.action, case.fault.name) == ("count", "500")
    ]
    assert report.outcomes == (State.UNKNOWN, State.UNKNOWN)
    assert report.ends == ((State.UNKNOWN if asks else State.HELD),) * 2


def test_a_runtime_that_repeats_what_it_must_not(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst fault there is: everything that fails is sent again."""
    monkeypatch.setattr(sender, "status_of", lambda *_, **__: State.READY)
    wrong = _wrong(_play(make_subject(), "count"))
    assert "count, count, time-out after sending: times sent: expected 1, got 12" in wrong
    assert any(found.startswith("count, count, 500, once, event 1: outcome") for found in wrong)


def test_a_runtime_that_gives_up_at_once(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would have passed is lost."""
    monkeypatch.setattr(sender, "status_of", lambda *_, **__: Outcome.REJECTED)
    wrong = _wrong(_play(make_subject(), "save"))
    assert 'save, save, 500: times sent: expected "more than once", got 1' in wrong
    assert any(found.startswith("save, save, 500, once: outcome: expected") for found in wrong)


def test_a_runtime_that_does_not_wait(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After is the partner's to say."""
    monkeypatch.setattr(answer, "Retry", lambda _, *rest, **more: Retry(None, *rest, **more))
    wrong = _wrong(_play(make_subject(), "save"))
    shown = "save, save, 429 with Retry-After: first wait: expected 1, got [0.5, 1.0, 2.0, 4.0"
    assert any(found.startswith(shown) for found in wrong)


def test_a_runtime_that_takes_everything_for_a_success(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer with an error status is one, whoever reads it."""

    def read(_self: object, _response: object, count: int, _parts: object = ()) -> list[Answer]:
        return [Answer("ok")] * count

    monkeypatch.setattr(RestRequest, "read", read)
    wrong = _wrong(_play(make_subject(), "save"))
    assert 'save, save, 401: read as: expected "an error", got "a success"' in wrong


def test_an_event_that_is_applied_halfway(make_subject: MakeSubject) -> None:
    """After a request that must not be repeated was carried out, the end is unknown.

    So is that of an event whose next request could be sent again: all of its requests would be.
    """

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["find"]["idempotent"] = False

    outcomes = {
        outcome.value
        for case in fault_cases(make_subject(change))
        if (case.way.request, case.fault.name) == ("create", "no connection")
        for outcome in play_fault(case).outcomes
    }
    assert outcomes == {"unknown"}
    assert _wrong(_play(make_subject(change), "sync")) == set()


@pytest.mark.parametrize("request_name", ["count", "create"])
def test_an_event_that_is_sent_again(make_subject: MakeSubject, request_name: str) -> None:
    """Where the definition prefers that to an operator, a lost answer is one more attempt."""

    def change(documents: dict[str, Any]) -> None:
        request = documents["destination"]["requests"][request_name]
        request["idempotent"] = False
        request["onLostAnswer"] = "resend"

    reports = _play(make_subject(change), "count" if request_name == "count" else "sync")
    assert _wrong(reports) == set()
    assert any(
        report.case.way.request == request_name and "delivered" in report.outcomes
        for report in reports
        if report.case.fault.times is not None
    )


@pytest.mark.parametrize("repeatable", [False, True])
def test_faults_in_each_step(make_subject: MakeSubject, with_steps: Any, repeatable: bool) -> None:
    """What was lost in a step leads to another attempt only where all may be made again."""

    def change(documents: dict[str, Any]) -> None:
        with_steps(documents)
        if repeatable:
            documents["sync"]["perform"]["repeatable"] = True

    reports = _play(make_subject(change), "sync")
    assert _wrong(reports) == set()
    assert {report.case.way.step for report in reports} == {"find", "create", "change"}
    (lost,) = [one for one in reports if one.case.name == "sync, create, time-out after sending"]
    assert [one.value for one in lost.ends] == (["ready"] if repeatable else ["held"])
    assert (lost.sent > 1) is repeatable


def _path_of_event(documents: dict[str, Any]) -> None:
    rest = documents["destination"]["requests"]["save"]["rest"]
    rest["path"] = [{"@path": "$.event.properties.page"}]


KEYS_OF_EVENTS: dict[str, Any] = {
    "a property": metered(source={"@path": "$.event.properties.order"}),
    "a property in a header": metered(
        batch=1, header="X-Key", source={"@path": "$.event.properties.order.id"}
    ),
    "a template": metered(
        source={"@template": "{{event.properties.a}}/{{event.context.requestId}}"}
    ),
    "a whole number": metered(
        source={"@convert": {"value": {"@path": "$.event.properties.n"}, "to": "integer"}}
    ),
    "milliseconds": metered(
        source={"@convert": {"value": {"@path": "$.event.properties.at"}, "to": "milliseconds"}}
    ),
    "a time in ISO 8601": metered(
        source={"@convert": {"value": {"@path": "$.event.properties.at"}, "to": ["iso", "text"]}}
    ),
    "an item": metered(source={"@path": "$.event.properties.products[0].id"}),
    "a segment of a path": _path_of_event,
}


@pytest.mark.parametrize("change", KEYS_OF_EVENTS.values(), ids=KEYS_OF_EVENTS)
def test_what_a_request_reads_of_an_event(make_subject: MakeSubject, change: Any) -> None:
    """The events of made faults have what keys and paths are made of: else none could be sent."""
    reports = _play(make_subject(change), "count", "save")
    assert _wrong(reports) == set()
    assert {one.case.action for one in reports} == {"count", "save"}


def test_faults_where_nothing_is_to_be_done(make_subject: MakeSubject, with_steps: Any) -> None:
    """A contact that is there already is left alone: that is no failure of the definition."""

    def change(documents: dict[str, Any]) -> None:
        with_steps(documents)
        perform = documents["sync"]["perform"]
        del documents["destination"]["requests"]["alter"], perform["steps"][2]
        perform["otherwise"] = "filtered"

    reports = _play(make_subject(change), "sync")
    assert _wrong(reports) == set()
    ends = {one.case.name: [end.value for end in one.ends] for one in reports}
    assert ends["sync, find, 500, once"] == ["filtered"]
    assert ends["sync, create, 429 with Retry-After, once"] == ["delivered"]


def test_faults_of_a_deletion(make_subject: MakeSubject, with_deletion: Any) -> None:
    """The request that deletes a user has every fault, as those of actions."""
    reports = _play(make_subject(with_deletion), "onDelete")
    assert _wrong(reports) == set()
    ends = {one.case.fault.name: [end.value for end in one.ends] for one in reports}
    assert ends["500, once"] == ["delivered"]
    assert ends["401"] == ["ready"]


def test_an_error_that_is_not_tried_for_ever(make_subject: MakeSubject) -> None:
    """A rule bounds the attempts that meet it: then the event is dead, however the partner is."""

    def change(documents: dict[str, Any]) -> None:
        (busy,) = (
            rule
            for rule in documents["destination"]["errorRules"]
            if rule["when"].get("code") == "BUSY"
        )
        busy["attempts"] = 2

    reports = [
        play_fault(case)
        for case in fault_cases(make_subject(change))
        if case.fault.name == "error: code BUSY"
    ]
    assert _wrong(reports) == set()
    assert {(report.outcomes[0].value, report.sent) for report in reports} == {("dead", 2)}


def test_a_definition_whose_successes_are_none(make_subject: MakeSubject) -> None:
    """Without an answer to go by, the message says what to add."""

    def change(documents: dict[str, Any]) -> None:
        del documents["destination"]["requests"]["find"]["example"]

    with pytest.raises(
        UsageError, match=r"action sync: .* dead: .*; mend the generator, or give the requests an"
    ):
        list(fault_cases(make_subject(change)))


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 4}, {"batch": 4, "failures": True}])
def test_requests_with_a_key(
    make_subject: MakeSubject, asks: bool, options: dict[str, Any]
) -> None:
    """They are sent again; an error that proves an earlier success of ours counts as that."""
    reports = _play(make_subject(metered(asks=asks, **options)), "count")
    assert _wrong(reports) == set()
    found = {
        report.case.fault.name: {one.value for one in report.outcomes}
        for report in reports
        if report.case.way.request == "count"
    }
    when = "status 409" if "failures" not in options else "code exists"
    there = [name for name in found if name.endswith(when) or "exists" in name]
    assert found["time-out after sending, once"] == {"delivered"}
    assert found["500, once"] == {"delivered"}
    if "failures" not in options:
        # Of a batch that was refused without a word on its events, some may have been taken.
        alone = options["batch"] == 1
        assert found["error: status 409"] == {"filtered" if alone else "delivered"}
        assert found["time-out after sending, then error: status 409"] == {"delivered"}
        assert len(there) == 2
