"""What the cases of the shipped destinations send is what their sandboxes expect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from destinations.clock import frozen_at
from destinations.definition import RequestDefinition, RestDefinition
from destinations.http import Answer
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.case_usage import answered, ask_usage
from destinations.kit.testing.replaying import clock_seconds
from destinations.kit.testing.sequence import deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import Subject, open_subject
from destinations.kit.testing.wire import http_response
from destinations.outcome import State, Status
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from tests.shipped import SHIPPED

SUBJECTS = {name: open_subject(name) for name in SHIPPED}

# What a partner that listens cannot do to a client.
_WITHOUT_CONNECTION = {"refused", "connectTimeout"}


def _cases() -> Iterator[Any]:
    for name, subject in SUBJECTS.items():
        for case in subject.cases():
            if not {one.result for one in case.interactions if isinstance(one.result, str)} & (
                _WITHOUT_CONNECTION
            ):
                yield pytest.param(subject, case, id=f"{name}/{case.name}")


def _is_success(subject: Subject, interaction: Interaction, case: Case) -> bool:
    """Whether the sandbox may answer by itself: the recorded answer is a success for all."""
    result = interaction.result
    if not isinstance(result, RecordedResponse) or _depends_on_data(subject):
        return False
    if case.usage:  # what was counted follows from data as well
        return False
    if not 200 <= result.status < 300:
        return False
    sent = interaction.request
    for name, request in subject.bind(case.settings).requests.items():
        # Requests with one address read an answer alike.
        if request.fixed_url(case.settings) == sent.url.partition("?")[0]:
            count = _events(subject.definition.requests[name], sent)
            verdicts = request.read(http_response(result), count)
            return all(isinstance(one, Answer) for one in verdicts)
    return True


def _depends_on_data(subject: Subject) -> bool:
    """Return whether later requests follow from the answers, as with Kana and with steps."""
    actions = subject.definition.actions.values()
    return any(one.perform.generator is not None or one.perform.steps for one in actions)


def _events(request: RequestDefinition, sent: RecordedRequest) -> int:
    """Return how many events a request has."""
    if request.batch_size == 1:
        return 1
    if isinstance(request.call, RestDefinition) and request.call.ndjson:
        return (sent.body or "").count("\n") // len(request.call.ndjson)
    lists = [sent.json] if isinstance(sent.json, list) else [*sent.json.values()]
    return len(next(one for one in lists if isinstance(one, list)))


def _tokens(subject: Subject) -> int:
    """Return how many access tokens are asked for, before the first request."""
    return 0 if subject.definition.oauth2 is None else 1


def _rule(number: int, result: RecordedResponse | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"nth": number, "drop": "after"}
    text = result.body or "" if result.json is ABSENT else json.dumps(result.json)
    wait = {name.lower(): value for name, value in result.headers.items()}.get("retry-after")
    return {
        "nth": number,
        "status": result.status,
        "body": text,
        **({} if wait is None else {"retryAfter": wait}),
    }


@pytest.mark.parametrize(("subject", "case"), [*_cases()])
def test_every_case_goes_through(subject: Subject, case: Case) -> None:
    """The sandbox takes each request of a case, and the events end as they did at the partner.

    What the partner refused, and what follows from its data, fault rules repeat.
    """
    with DefinitionSandbox(subject.definition, settings=case.settings) as sandbox:
        tokens = _tokens(subject)
        for number, interaction in enumerate(case.interactions, start=1 + tokens):
            if not _is_success(subject, interaction, case):
                sandbox.faults.add(_rule(number, interaction.result))
        destination = subject.reaching(sandbox).bind(
            case.settings, case.subscriptions, with_tokens=True
        )
        transport = HttpTransport(subject.definition.transport.timeouts)
        try:
            with frozen_at(clock_seconds(case.clock)):
                clock = StillClock()
                rows = deliver_in_sequence(destination, transport, clock, entries_of(case.events))
                counted = ask_usage(destination, transport, clock, case.usage)
        finally:
            transport.close()
        records = [*sandbox.requests][tokens:]
    assert [record.issues for record in records if record.issues] == []
    assert len(records) == len(case.interactions)
    assert [answered(*one) for one in zip(case.usage, counted, strict=True)] == [*case.usage]
    ended = [(row.row.line, row.row.result.outcome) for row in rows]
    expected = [(row.event, row.outcome) for row in case.expected]
    # Whether nobody can be asked about a lost answer is what the commands say of it.
    held: dict[Status, Status] = {State.HELD: State.UNKNOWN}
    assert sorted((line, held.get(end, end)) for line, end in ended) == sorted(
        (event, held.get(end, end)) for event, end in expected
    )
