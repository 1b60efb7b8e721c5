"""Explain one event: every step with its values, by the same code as delivery.

Only the transport is left out. Where plugin code depends on the partner's answers, every answer
that the definition declares is played through, with the request's ``example`` as the success.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from destinations.clock import unix_time
from destinations.definition import BasicAuth, Step
from destinations.definition.settings import named_settings
from destinations.durations import shown_duration
from destinations.errors import DestinationsError, EventError, PluginError, ResolveError
from destinations.http import Answer, CompiledRequest, Failure, HttpRequest
from destinations.http.envelope import STAND_IN_HEADER
from destinations.oauth2 import TokenEndpoint
from destinations.outcome import Result
from destinations.runtime.action import Action, Call, Done, Generated, Payload, Subscription
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.endings import (
    AGAIN,
    ASKED,
    HELD,
    PAUSES,
    REPEATED,
    STOPS,
    Loss,
    ending,
    endings_by_status,
    endings_of_rule,
)
from destinations.runtime.plan import PlannedDelivery, plan, unreadable
from destinations.runtime.steps import OK, AssumedAnswer, StepCall, Unchanged, assumed_answers
from destinations.runtime.window import EventWindow
from destinations.secrets import query_pieces, reveal, shown_url
from destinations.segment.event import DELETE, Event, read_json
from destinations.segment.javascript import UNDEFINED, NativeFunction

__all__ = ["Explanation", "PlannedRequest", "SubscriptionExplanation", "explain"]

_MAX_ANSWERS = 3
_LOST: Final = "sent, but no answer"
_REPEATED: Final = REPEATED.partition("{}")[0]


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request that would be sent, after the answers ``after`` to the previous requests.

    ``request`` is None if no request follows; then ``note`` says what happened instead.
    ``outcomes`` pairs each possible answer with the outcome that follows from it. ``step`` is the
    name of the step that makes it, of an action that has steps, and ``when`` its condition on
    earlier answers, in words; empty if there is none.
    """

    name: str | None
    after: tuple[str, ...] = ()
    request: Mapping[str, Any] | None = None
    note: str = ""
    outcomes: tuple[tuple[str, str], ...] = ()
    step: str = ""
    when: str = ""


@dataclass(slots=True)
class SubscriptionExplanation:
    """The steps for one subscription; those after the event's end are empty.

    ``repeatable`` says, of an action with steps, that all of them are made again after a lost
    answer, ``after`` so many seconds; None if they are not.
    """

    name: str
    action: str
    subscribe: str
    matches: bool
    clauses: list[dict[str, Any]]
    mapping: list[dict[str, Any]] = field(default_factory=list)
    mapped: Any = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    payload: Any = None
    window: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    result: Result | None = None
    requests: list[PlannedRequest] = field(default_factory=list)
    repeatable: dict[str, float] | None = None


@dataclass(slots=True)
class Explanation:
    """All steps of one event; ``result`` is set if it ends before any subscription.

    ``taken_out`` are the properties that filters take out, such as ``traits.email``, and
    ``blank_traits`` the traits that are treated as missing.
    """

    destination: str
    result: Result | None = None
    taken_out: list[str] = field(default_factory=list)
    blank_traits: list[str] = field(default_factory=list)
    subscriptions: list[SubscriptionExplanation] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON; secrets are not masked.

        What JSON has no word for is null: undefined values, functions, infinite numbers.
        """
        found: dict[str, Any] = _as_json(_members(self))
        return found


def _members(one: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, with their values as they are."""
    return {each.name: getattr(one, each.name) for each in fields(one)}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    if is_dataclass(value):
        return _as_json(_members(value))
    if value is UNDEFINED or isinstance(value, NativeFunction):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def explain(
    destination: Destination, data: bytes, fault: str = "", *, now: float | None = None
) -> Explanation:
    """Explain the event in ``data`` (raw JSON) without sending anything.

    ``fault`` says why there is none, if the reader of its file found that out. ``now`` is the time
    that counts, in seconds since 1970; by default that of the clock. Raises `PluginError` if the
    code of the plugin fails.
    """
    explanation = Explanation(destination.definition.slug)
    now = unix_time() if now is None else now
    planned = unreadable(data, fault) if fault else plan(destination, data, received_at=now)
    by_subscription = {one.subscription: one for one in planned.deliveries if one.subscription}
    unmatched = [one.result for one in planned.deliveries if one.subscription is None]
    explanation.result = next(iter(unmatched), None)
    event = planned.event
    # An event that was refused was never tested against subscriptions; one without a match was.
    if event is not None and destination.admit(event) is None:
        seen, carried = destination.prepare(event, now), destination.carry(event, now)
        explanation.taken_out = list(_taken_out(event, carried))
        traits = carried.get("traits") or {}
        explanation.blank_traits = [key for key in traits if key not in seen["traits"]]
        explanation.subscriptions = [
            _follow(
                destination, subscription, seen, carried, by_subscription.get(subscription), now
            )
            for subscription in _asked(destination, event)
        ]
    return explanation


def _asked(destination: Destination, event: Event) -> Sequence[Subscription]:
    """Return the subscriptions that an event may reach."""
    if event["type"] != DELETE:
        return destination.subscriptions
    return () if destination.deletion is None else (destination.deletion,)


def _taken_out(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of what an object lacks that it had."""
    for key, item in before.items():
        if key not in after:
            yield key
        elif isinstance(item, Mapping) and after[key] is not item:
            yield from (f"{key}.{path}" for path in _taken_out(item, after[key]))


def _follow(
    destination: Destination,
    subscription: Subscription,
    event: Event,
    carried: Event,
    planned: PlannedDelivery | None,
    now: float,
) -> SubscriptionExplanation:
    """Explain the plan for a subscription; None if it does not match the event.

    Subscription and mapping read ``event``, requests read ``carried``.
    """
    followed = SubscriptionExplanation(
        name=subscription.name,
        action=subscription.action.definition.slug,
        subscribe=subscription.fql.text,
        matches=planned is not None,
        clauses=[_members(clause) for clause in subscription.fql.explain(event)],
    )
    if planned is None:
        return followed
    try:
        _, steps = subscription.mapping.trace(event)
        followed.mapped = subscription.mapped(event)
    except ResolveError:
        steps = []
    else:
        checked = subscription.schema.check(followed.mapped, changes=True)
        followed.changes = [_members(change) for change in checked.changes]
    followed.mapping = [_members(step) for step in steps]
    followed.result = planned.result
    if planned.payload is not None:
        followed.payload = planned.payload
        delivery = Delivery(subscription, carried, planned.payload)
        window = subscription.action.window
        if window is not None:
            followed.result = window.result(carried, planned.payload, now, destination.settings)
            followed.window = _window(window, carried, planned.payload, destination)
        if planned.usage is not None:
            followed.usage = planned.usage._asdict()
        followed.requests = list(_requests(destination, subscription.action, delivery))
        perform = subscription.action.definition.perform
        if perform.repeatable:
            followed.repeatable = {"after": perform.repeat_after}
    return followed


def _window(
    window: EventWindow, event: Event, payload: Payload, destination: Destination
) -> dict[str, Any]:
    """Return the time of an event, in seconds, and how far away it may be."""
    definition = window.definition
    found: dict[str, Any] = {
        "time": window.time_of(event, payload),
        "grace": window.grace(destination.settings),
        "ahead": definition.ahead,
        "then": definition.then,
    }
    if definition.grace_setting is not None:
        found["graceSetting"] = definition.grace_setting
    return found


def _requests(
    destination: Destination, action: Action, delivery: Delivery
) -> Iterator[PlannedRequest]:
    if action.generator is None:
        (name,) = action.requests
        yield _planned(destination, action, Call(name, delivery.payload), delivery)
        return
    pending: list[tuple[Answer, ...]] = [()]
    while pending:
        answers = pending.pop(0)
        calls, call = _play(action.generate(delivery.payload, resumes=False), answers)
        after = tuple(_shown_answer(*pair) for pair in zip(calls, answers, strict=True))
        if isinstance(call, str):
            yield PlannedRequest(None, after, note=call)
            continue
        before = tuple(zip(calls, answers, strict=True))
        yield _planned(destination, action, call, delivery, before)
        if len(answers) < _MAX_ANSWERS:
            payload = dict(call.payload)
            found = _answers(action.requests[call.request], payload)
            if isinstance(call, StepCall):
                found = assumed_answers(action.definition.perform.steps, call.step, found)
            pending += [(*answers, answer) for answer in found]


def _shown_answer(call: Call, answer: Answer) -> str:
    shown = str(answer) if isinstance(answer, AssumedAnswer) else answer.name
    return f"{call.step}: {shown}" if isinstance(call, StepCall) else shown


def _play(steps: Generated, answers: tuple[Answer, ...]) -> tuple[list[Call], Call | str]:
    """Return a generator's calls before these answers, and its next call or its result.

    Raises `PluginError` for a mistake of the generator: every event that comes here would end dead.
    """
    made: list[Call] = []
    try:
        call = next(steps)
        for answer in answers:
            made.append(call)
            call = steps.send(answer)
    except StopIteration as done:
        ended: Done = done.value
        if isinstance(ended, Unchanged):
            return made, f"{ended.outcome}: {ended.note}"
        return made, ended.note
    except PluginError:
        raise
    except DestinationsError as error:
        return made, f"the event fails: {error}"
    finally:
        steps.close()
    return made, call


def _answers(request: CompiledRequest, payload: Payload) -> Iterator[Answer]:
    """Yield the possible answers to a request that are known without sending it.

    The example of a success is about what was asked: what it shares with the payload it has from
    there, such as a user's id.
    """
    for rule in request.definition.answers:
        yield Answer(rule.name)
    example = request.definition.example
    if isinstance(example, dict):
        example = {key: payload.get(key, value) for key, value in example.items()}
    if example is not None:
        yield Answer("ok", example)


_Before = Sequence[tuple[Call, Answer]]
"""The requests of an event so far, each with its answer."""


def _planned(
    destination: Destination,
    action: Action,
    call: Call,
    delivery: Delivery,
    before: _Before = (),
) -> PlannedRequest:
    name, step, when, request = call.request, "", "", action.requests[call.request]
    after = tuple(_shown_answer(*pair) for pair in before)
    context = {
        "event": delivery.event,
        "payload": call.payload,
        "settings": destination.settings,
    }
    perform = action.definition.perform
    if isinstance(call, StepCall):
        step, context["answers"] = call.step, call.answers
        when = next(one.condition for one in perform.steps if one.name == step)
    try:
        message = request.prepare([request.part(context)], context)
    except ResolveError as error:
        return PlannedRequest(name, after, note=f"cannot be made: {error}", step=step, when=when)
    shown = _shown(message, destination)
    loss = Loss.of(
        (one.definition for one in action.requests.values()), repeatable=perform.repeatable
    )
    if isinstance(call, StepCall):
        follows = _goes_on(action, call, before)
        outcomes = _outcomes(destination, request, loss, is_last=True, goes_on=follows)
        outcomes = tuple(_of_steps(action, request, loss, before, outcomes))
    else:
        outcomes = _outcomes(destination, request, loss, is_last=True)
    return PlannedRequest(name, after, shown, outcomes=outcomes, step=step, when=when)


def _goes_on(action: Action, call: StepCall, before: _Before) -> Callable[[str], bool]:
    """Return what tells whether another step may follow an answer of this name to a step."""
    steps = action.definition.perform.steps
    known = {one.step: answer for one, answer in before if isinstance(one, StepCall)}

    def follows(name: str) -> bool:
        possible: set[str] = set()
        names = [one.name for one in steps]
        for step in steps[names.index(call.step) + 1 :]:
            given = {**known, call.step: Answer(name)}
            if all(
                earlier in possible
                or (earlier in given and _may_hold(step, wanted, given[earlier]))
                for earlier, wanted in step.when.items()
            ):
                possible.add(step.name)
        return bool(possible)

    return follows


def _may_hold(step: Step, wanted: object, answer: Answer) -> bool:
    """Return whether an answer may be the one that a step waits for."""
    if isinstance(wanted, str):
        return answer.name == wanted
    if isinstance(answer, AssumedAnswer):
        return step.name in answer.steps
    return answer.name == OK


_GOES_ON: Final = ("goes on", "delivered")


def _of_steps(
    action: Action,
    request: CompiledRequest,
    loss: Loss,
    before: _Before,
    outcomes: Sequence[tuple[str, str]],
) -> Iterator[tuple[str, str]]:
    """Yield the outcomes of a step: another attempt would make what came before it again.

    Of what must not be made twice it is known that it was applied, so no other attempt is made.
    """
    made = [action.requests[call.request].definition for call, _ in before]
    once = [one for one in made if not one.idempotent and not loss.repeatable]
    is_halfway = any(one.idempotency_key is None for one in once)
    open_end = ASKED if loss.asks else HELD
    for answer, outcome in outcomes:
        if outcome.startswith(_GOES_ON):
            yield answer, outcome
        elif is_halfway or (once and outcome not in {AGAIN, PAUSES, STOPS}):
            is_keyed = outcome.startswith(_REPEATED) and not is_halfway
            yield answer, outcome if is_keyed else f"{open_end}, as an earlier step was applied"
        elif outcome == AGAIN:
            wait = action.definition.perform.repeat_after
            is_late = answer == _LOST and loss.repeatable and not request.definition.idempotent
            later = f" after {shown_duration(wait)}" if is_late else ""
            yield answer, f"made again from the first step on{later}, then dead"
        else:
            yield answer, outcome


def _shown(message: HttpRequest, destination: Destination) -> dict[str, Any]:
    """Return a request for printing; values in an endpoint's query are masked as credentials."""
    texts = [value for value in destination.settings.values() if isinstance(value, str)]
    hidden = {piece for text in texts for piece in query_pieces(reveal(text))}
    body: Any = None
    if message.body is not None:
        try:
            body = read_json(message.body, limit=len(message.body))
        except EventError:
            body = message.body.decode("utf-8", "replace")
    headers = {**message.headers, **_named_basic(message, destination)}
    headers.pop(STAND_IN_HEADER, None)  # only a sandbox gets it
    return {
        "method": message.method,
        "url": shown_url(message.url, hidden),
        "headers": headers,
        "body": body,
    }


def _named_basic(message: HttpRequest, destination: Destination) -> dict[str, str]:
    """Return the header of HTTP Basic before its encoding, if it only holds names of settings.

    A setting that is not given has its name as its value, such as ``<apiKey>``.
    """
    auth = destination.definition.transport.auth
    named = named_settings(destination.definition)
    if not isinstance(auth, BasicAuth):
        return {}
    if any(destination.settings.get(name) != named.get(name) for name in auth.settings):
        return {}
    password = "" if auth.password is None else named.get(auth.password, "")
    text = f"{named.get(auth.user, '')}:{password}"
    encoded = "Basic " + base64.b64encode(text.encode()).decode()
    is_it = message.headers.get("Authorization") == encoded
    return {"Authorization": f"Basic {text}"} if is_it else {}


def _outcomes(
    destination: Destination,
    request: CompiledRequest,
    loss: Loss,
    *,
    is_last: bool,
    goes_on: Callable[[str], bool] | None = None,
) -> tuple[tuple[str, str], ...]:
    """Return (answer, outcome) pairs for the event, in the order in which rules are tried.

    ``goes_on`` tells of steps whether another one may follow an answer of this name.
    """
    definition = request.definition
    tests_key = destination.definition.authentication is not None
    ends = is_last and not definition.answers
    if goes_on is not None:
        ends = not goes_on(OK)
    found = [("a success", "delivered" if ends else "goes on")]
    for answer in definition.answers:
        is_end = goes_on is not None and not goes_on(answer.name)
        found.append((str(answer.when), f"{'delivered' if is_end else 'goes on'}: {answer.name}"))
    read = {answer.when for answer in definition.answers if answer.when.body is None}
    found += [("an answer that matches a refusal", "rejected")] if definition.refusals else []
    for rule in (*definition.error_rules, *destination.definition.error_rules):
        if rule.when.body is None and rule.when in read:
            continue
        found += [
            (str(when), end)
            for when, end in endings_of_rule(request, rule, loss, tests_key=tests_key)
        ]
    found += endings_by_status(request, loss, tests_key=tests_key)
    lost = Failure("", "timeout", 0, retryable=True, nothing_applied=False)
    found.append((_LOST, ending(request, lost, loss)))
    found.append(("no connection", AGAIN))
    return (*_of_tokens(destination), *found)


def _of_tokens(destination: Destination) -> Iterator[tuple[str, str]]:
    """Yield what comes before the answers where requests need an access token."""
    oauth2 = destination.definition.oauth2
    if oauth2 is None:
        return
    place = TokenEndpoint(oauth2, destination.settings).shown
    grant = "a refresh token" if oauth2.refresh_token is not None else "client credentials"
    yield f"no access token from {place} for {grant}", "waits; is never dead"
    yield "access token refused (401)", "sent once more with a new one; costs no attempt"
