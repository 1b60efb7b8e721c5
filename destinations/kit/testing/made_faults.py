"""Play every fault at every request of every action, and check the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.definition import ActionDefinition
from destinations.definition.form_keywords import choice_fields
from destinations.errors import UsageError
from destinations.http import Answer, CompiledRequest, Failure
from destinations.kit.testing.choice_faults import choice_fault_names, play_choice_fault
from destinations.kit.testing.difference import Difference
from destinations.kit.testing.faults import RETRY_AFTER, PartnerFault, partner_faults
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.time_faults import (
    play_key_fault,
    play_window_fault,
    time_fault_names,
)
from destinations.kit.testing.token_faults import play_token_fault, token_fault_names
from destinations.kit.testing.usage_faults import UsageFaults
from destinations.kit.testing.ways import Played, Stage, Way, find_ways
from destinations.kit.testing.wire import CutResponse, Reply, transport_error
from destinations.outcome import NO_STEP, Outcome, Result, State, Status
from destinations.runtime.endings import Loss
from destinations.runtime.sender import status_of
from destinations.sandbox.token_issuer import TOKEN_REQUEST

__all__ = ["FaultCase", "FaultReport", "fault_cases", "play_fault"]

_FORBIDDEN = 403
_ENDINGS: Final = {"limit": "list ends at its limit", "repeated": "list ends: it repeats itself"}


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A fault at one request of an action; cases of one action share its parts.

    ``choices`` is the ``x-choices`` of a field, if that is asked for, and ``field`` its name. If
    the action's ``usage`` is asked for, ``usage`` has the faults of that, and the way its step.
    """

    stage: Stage
    way: Way
    fault: PartnerFault
    field: str = ""
    choices: Mapping[str, Any] | None = None
    usage: UsageFaults | None = None

    @property
    def action(self) -> str:
        """Return the slug of the action."""
        return self.stage.action.slug

    @property
    def name(self) -> str:
        """Return the name: action, request and fault."""
        if self.fault.kind == "usage":
            step = f" in the step {self.way.step}" if self.way.step else ""
            return f"{self.action}, {self.way.request}, usage{step}, {self.fault.name}"
        of_field = f"choices of {self.field}, " if self.field else ""
        request = self.way.step or self.way.request
        return f"{self.action}, {request}, {of_field}{self.fault.name}"

    @property
    def is_repeatable(self) -> bool:
        """Return whether the action's steps may be made again from the first one on."""
        return self.stage.action.perform.repeatable


@dataclass(frozen=True, slots=True)
class FaultReport:
    """The result of a fault case; ``outcomes`` has one for each event of the request.

    ``ending`` says how a list of choices, or a question about usage, ended: there is no event.
    """

    case: FaultCase
    outcomes: tuple[Status, ...]
    sent: int
    differences: tuple[Difference, ...]
    ending: str = ""

    @property
    def passed(self) -> bool:
        """Return whether all outcomes were as expected."""
        return not self.differences

    @property
    def ends(self) -> tuple[Status, ...]:
        """The outcomes as at a run or server, which holds what it cannot ask the partner about."""
        stage = self.case.stage
        action = stage.destination.actions[stage.action.slug]
        state = Loss.of(one.definition for one in action.requests.values()).state
        return tuple(state if one is State.UNKNOWN else one for one in self.outcomes)


def fault_cases(subject: Subject) -> Iterator[FaultCase]:
    """Yield the fault cases of every action that events can reach, request by request.

    Raises `UsageError` for an action that does not deliver its sample payload without faults.
    """
    definition = subject.definition
    oauth2 = definition.oauth2
    actions = [*definition.event_actions.values()]
    actions += [] if definition.deletion is None else [definition.deletion]
    for action in actions:
        stage = Stage(subject, action)
        whole, ways = find_ways(stage)
        for result in whole.results:
            if result.outcome is not Outcome.DELIVERED and not _is_meant(action, result):
                mend = "" if action.perform.generator is None else "mend the generator, or "
                msg = (
                    f"{subject.slug}, action {action.slug}: with successes made from the definition"
                    f" the event ends as {result.outcome}: {result.reason}; {mend}give the requests"
                    " an `example` of an answer"
                )
                raise UsageError(msg)
        if oauth2 is not None:
            # Whatever the action is: tokens are got the same way for all.
            for name in token_fault_names(oauth2):
                yield FaultCase(stage, Way(TOKEN_REQUEST), PartnerFault(name, "token", "refused"))
            oauth2 = None
        for way in ways:
            request = subject.definition.requests[way.request]
            for fault in partner_faults(request, subject.definition, stage.count):
                yield FaultCase(stage, way, fault)
        yield from _time_faults(stage, ways)
        yield from _choice_faults(stage)
        yield from _usage_faults(stage)


def _time_faults(stage: Stage, ways: Sequence[Way]) -> Iterator[FaultCase]:
    """Yield what may happen as time goes by: to a whole event, and to each request with a key."""
    for name in time_fault_names(stage.action.window, None):
        yield FaultCase(stage, ways[0], PartnerFault(name, "window", "timeout"))
    for way in ways:
        key = stage.definition.requests[way.request].idempotency_key
        for name in time_fault_names(None, key, is_repeatable=stage.action.perform.repeatable):
            yield FaultCase(stage, way, PartnerFault(name, "key", "timeout"))


def _choice_faults(stage: Stage) -> Iterator[FaultCase]:
    """Yield what may happen when the partner is asked for the choices of fields."""
    for _, field, given in choice_fields(stage.action.fields):
        if "pending" in given:
            continue
        request = stage.definition.requests[given["request"]]
        for name in choice_fault_names(given, request):
            fault = PartnerFault(name, "choices", "refused")
            yield FaultCase(stage, Way(request.name), fault, field, given)


def _usage_faults(stage: Stage) -> Iterator[FaultCase]:
    """Yield what may happen when the partner is asked what it has counted, step by step."""
    if stage.action.usage is None:
        return
    question = stage.action.usage.ask
    if not UsageFaults.can_be_asked(question, stage.definition.requests):
        return
    faults = UsageFaults(stage.action.slug, question, stage.destination, stage.tests_key)
    for place, step in enumerate(question.steps):
        way = Way(step.request, step=step.name if len(question.steps) > 1 else "")
        for name in faults.names(place):
            yield FaultCase(stage, way, PartnerFault(name, "usage", "refused"), usage=faults)


def play_fault(case: FaultCase) -> FaultReport:
    """Deliver with the fault, and compare outcomes, attempts and waits with the expected ones."""
    match case.fault.kind:
        case "token":
            return _play_token_fault(case)
        case "window" | "key":
            return _play_time_fault(case)
        case "choices":
            return _play_choice_fault(case)
        case "usage":
            return _play_usage_fault(case)
    place = len(case.way.after)
    undisturbed = case.stage.scripted(case.way.after)

    def reply(at: int, request: str, attempt: int) -> Reply:
        times = case.fault.times
        if at == place and (times is None or attempt <= times):
            later = case.fault.later
            return case.fault.reply if later is None or attempt == 1 else later
        return undisturbed(at, request, attempt)

    played = case.stage.play(reply)
    sent = played.sent[place] if place < len(played.sent) else 0
    outcomes = tuple(result.outcome for result in played.results)
    return FaultReport(case, outcomes, sent, tuple(_differences(case, played, sent)))


def _play_token_fault(case: FaultCase) -> FaultReport:
    oauth2 = case.stage.definition.oauth2
    assert oauth2 is not None  # noqa: S101 - it has faults of its tokens
    found = play_token_fault(case.fault.name, oauth2, case.stage.play_with_tokens)
    differences = tuple(
        replace(one, place=f"{case.action}, {one.place}") for one in found.differences
    )
    outcomes = tuple(result.outcome for result in found.results)
    return FaultReport(case, outcomes, found.asked, differences)


def _play_time_fault(case: FaultCase) -> FaultReport:
    name, stage, way = case.fault.name, case.stage, case.way
    if case.fault.kind == "window":
        found = play_window_fault(name, stage)
    else:
        request = stage.definition.requests[way.request]
        found = play_key_fault(name, stage, way, request, is_halfway=_is_halfway(case))
    outcomes = tuple(result.outcome for result in found.played.results)
    return FaultReport(case, outcomes, found.sent, _named(case, found.differences))


def _play_choice_fault(case: FaultCase) -> FaultReport:
    request = case.stage.definition.requests[case.way.request]
    assert case.choices is not None  # noqa: S101 - it is a fault of theirs
    found = play_choice_fault(case.fault.name, case.choices, request, case.stage.destination)
    ending = _ENDINGS.get(found.ending, found.ending)
    return FaultReport(case, (), found.asked, _named(case, found.differences), ending)


def _play_usage_fault(case: FaultCase) -> FaultReport:
    usage, faults = case.stage.action.usage, case.usage
    assert usage is not None  # noqa: S101 - it is a fault of its question
    assert faults is not None  # noqa: S101
    names = [step.name for step in usage.ask.steps]
    found = faults.play(names.index(case.way.step) if case.way.step else 0, case.fault.name)
    return FaultReport(case, (), found.asked, _named(case, found.differences), found.ending)


def _named(case: FaultCase, found: Sequence[tuple[str, object, object]]) -> tuple[Difference, ...]:
    return tuple(Difference(f"{case.name}: {what}", expected, got) for what, expected, got in found)


def _differences(case: FaultCase, played: Played, sent: int) -> Iterator[Difference]:
    request = case.stage.destination.requests[case.way.request]
    verdicts = _verdicts(request, case)
    if isinstance(verdicts[0], Answer):
        perform = case.stage.action.perform
        if perform.generator is not None or perform.steps:
            return  # the plugin's code, or the next steps, decide about this answer
        if case.fault.kind == "status":
            yield Difference(f"{case.name}: read as", "an error", "a success")
            return
    yield from _outcome_differences(case, request, verdicts, played)
    failures = [verdict for verdict in verdicts if isinstance(verdict, Failure)]
    if failures:
        yield from _repeat_differences(case, request, failures, played, sent)


def _is_meant(action: ActionDefinition, result: Result) -> bool:
    """Return whether an event was filtered as its steps say: there is nothing to change."""
    return action.perform.otherwise == "filtered" and result.code == NO_STEP


def _outcome_differences(
    case: FaultCase,
    request: CompiledRequest,
    verdicts: Sequence[Answer | Failure],
    played: Played,
) -> Iterator[Difference]:
    for number, (verdict, result) in enumerate(zip(verdicts, played.results, strict=True), start=1):
        place = f"{case.name}, event {number}" if len(verdicts) > 1 else case.name
        expected = _expected(case, request, verdict)
        if expected is Outcome.DELIVERED and _is_meant(case.stage.action, result):
            continue
        if result.outcome is not expected:
            shown = f"{result.outcome} ({result.reason})"
            yield Difference(f"{place}: outcome", expected.value, shown)


def _repeat_differences(
    case: FaultCase,
    request: CompiledRequest,
    failures: Sequence[Failure],
    played: Played,
    sent: int,
) -> Iterator[Difference]:
    """Yield differences if a request was not repeated where it must be, or where it must not be."""
    if not any(_may_repeat(case, request, failure) for failure in failures) and sent != 1:
        yield Difference(f"{case.name}: times sent", 1, sent)
    if all(_is_tried_again(case, request, failure) for failure in failures):
        if sent < 2:
            yield Difference(f"{case.name}: times sent", "more than once", sent)
        waits = {failure.retry_after for failure in failures}
        wait = max([RETRY_AFTER, *(_at_least(case, request, one) for one in failures)])
        if RETRY_AFTER in waits and (not played.waits or played.waits[0] != wait):
            yield Difference(f"{case.name}: first wait", wait, list(played.waits))


def _at_least(case: FaultCase, request: CompiledRequest, failure: Failure) -> float:
    """Return how long an event waits in any case, as its request may still arrive."""
    if not case.is_repeatable or request.definition.idempotent or failure.nothing_applied:
        return 0.0
    return case.stage.action.perform.repeat_after


def _verdicts(request: CompiledRequest, case: FaultCase) -> list[Answer | Failure]:
    """Return how the answer is read for each event; a fault for a rule is judged by that rule."""
    fault, count = case.fault, case.stage.count
    reply = "lost" if isinstance(fault.reply, CutResponse) else fault.reply
    if isinstance(reply, str):
        error = transport_error(reply)
        lost = Failure(
            error.message,
            "timeout" if error.timeout else "unavailable",
            0,
            retryable=True,
            nothing_applied=not error.sent,
        )
        return [lost] * count
    verdicts = request.read(reply, count)
    rule = fault.rule
    if rule is None:
        (alone,) = request.read(reply, 1)
        return [alone if _is_sent_alone(request, one) else one for one in verdicts]
    # In halves, each event of a batch gets a verdict of its own.
    is_told = count == 1 or rule.nothing_applied or _repeats(request)
    if rule.repeat_means is not None and is_told and count > 1 and not rule.nothing_applied:
        return [Answer("ok")] * count  # it is there by then, as the first request may have done it
    return [
        Failure(
            "",
            rule.error_class,
            reply.status,
            retryable=rule.retryable,
            nothing_applied=rule.nothing_applied,
            attempts=rule.attempts,
            concerns=verdicts[0].concerns if isinstance(verdicts[0], Failure) else "event",
            is_there="event" if is_told and rule.repeat_means is not None else None,
        )
    ] * count


def _is_sent_alone(request: CompiledRequest, verdict: Answer | Failure) -> bool:
    """Return whether an event of a batch gets its verdict from a request of its own."""
    if isinstance(verdict, Answer):
        return False
    return verdict.beside or (verdict.unplaced and _repeats(request))


def _expected(case: FaultCase, request: CompiledRequest, verdict: Answer | Failure) -> Status:
    """Return the expected outcome of an event with this verdict."""
    if isinstance(verdict, Answer):
        return Outcome.DELIVERED
    if _is_halfway(case):
        return State.UNKNOWN
    expected = _expected_alone(case, request, verdict)
    goes_on = expected in {Outcome.DELIVERED, State.READY}
    # What earlier requests have done is known: only another attempt would do it with their keys.
    return State.UNKNOWN if _is_keyed_before(case) and not goes_on else expected


def _expected_alone(case: FaultCase, request: CompiledRequest, verdict: Failure) -> Status:
    """Return the outcome that follows from a failure of one request, whatever came before it."""
    if case.fault.later is not None and _may_repeat(case, request, verdict):
        return Outcome.DELIVERED  # the partner has it from the first attempt
    if verdict.is_there is not None:
        return Outcome.FILTERED
    if case.fault.times is not None and _is_tried_again(case, request, verdict):
        return Outcome.DELIVERED  # the fault was over when the request was sent again
    status = status_of(
        request,
        error_class=verdict.error_class,
        retryable=verdict.retryable,
        nothing_applied=verdict.nothing_applied or case.is_repeatable,
    )
    if status is State.UNKNOWN and verdict.retryable and _is_resent(request):
        status = State.READY if verdict.whole_request else State.UNKNOWN
    if status is State.UNKNOWN:
        return status
    if verdict.concerns == "key":
        has_test = case.stage.definition.authentication is not None
        return State.READY if has_test or verdict.status != _FORBIDDEN else Outcome.REJECTED
    if verdict.concerns != "event":  # not about the event
        return State.READY
    if status is not State.READY:
        return status
    if verdict.whole_request and _is_resent(request):
        return status
    # Failures of single events are retried until the time is over; a partner that is away ends the
    # run before that.
    ends = not verdict.whole_request or verdict.attempts is not None
    return Outcome.DEAD if ends else State.READY


def _is_halfway(case: FaultCase) -> bool:
    """Return whether an earlier request of the event was applied and must not be repeated.

    Another attempt would begin with the event's first request.
    """
    requests = [case.stage.definition.requests[name] for name in case.way.before]
    return not case.is_repeatable and any(
        not one.idempotent and one.idempotency_key is None for one in requests
    )


def _is_keyed_before(case: FaultCase) -> bool:
    """Return whether an earlier request of the event has an idempotency key."""
    requests = case.stage.definition.requests
    keyed = any(requests[name].idempotency_key is not None for name in case.way.before)
    return keyed and not case.is_repeatable


def _may_repeat(case: FaultCase, request: CompiledRequest, failure: Failure) -> bool:
    may = request.definition.idempotent or failure.nothing_applied or _is_resent(request)
    return (may and not _is_halfway(case)) or case.is_repeatable


def _is_resent(request: CompiledRequest) -> bool:
    """Return whether a lost answer leads to sending the event again."""
    definition = request.definition
    if definition.idempotency_key is not None:
        return True
    return definition.on_lost_answer == "resend" and definition.reconcile is None


def _repeats(request: CompiledRequest) -> bool:
    """Return whether a request can be sent again in parts."""
    return request.definition.idempotent or request.definition.idempotency_key is not None


def _is_tried_again(case: FaultCase, request: CompiledRequest, failure: Failure) -> bool:
    is_once = failure.attempts == 1
    return failure.retryable and not is_once and _may_repeat(case, request, failure)
