"""Write the tests of an exported folder: its recorded cases, delivered through Segment's framework.

The events of a case are mapped here, to find out which of its requests belongs to which events, and
what becomes of them there. Each recorded request is a test of its own, also that of a second
attempt, which a server makes; so are events that are refused before a request is made.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from destinations.clock import frozen_at
from destinations.definition import Preset
from destinations.errors import DestinationsError, ResolveError
from destinations.http import Answer, CompiledRequest, Failure, HttpRequest
from destinations.http.answer import HttpResponse
from destinations.http.envelope import setting_text
from destinations.kit.exporter.events import event_fields
from destinations.kit.exporter.literals import is_identifier, line_comment, literal, text
from destinations.kit.exporter.requests import can_repeat
from destinations.kit.exporter.settings import has_default
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.replaying import clock_seconds
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import http_response
from destinations.oauth2.endpoint import TokenEndpoint
from destinations.outcome import Outcome, Result
from destinations.runtime.action import Subscription
from destinations.runtime.destination import Destination
from destinations.secrets import reveal
from destinations.segment.event import check_event
from destinations.segment.mapping.parts import beyond_segment

__all__ = ["ALL", "AUTHENTICATION", "TOKEN", "CaseDelivery", "case_deliveries", "cases_source"]

ALL: Final = "onEvent()"
"""What stands for an action where an event is given to all subscriptions, and none takes it."""

TOKEN: Final = "refreshAccessToken()"  # noqa: S105 - the name of a function
"""What stands for an action where an access token is asked for."""

AUTHENTICATION: Final = "testAuthentication()"
"""What stands for an action where a case has the authentication test; no action has such a slug."""

_TOKEN_ANSWER: Final = {"access_token": "<access token>", "token_type": "Bearer"}
_CASE_OF_TOKEN: Final = ("access token", "An access token is asked for.")
"""The name and the description of what is no recorded case."""

_MOST_EVENTS: Final = 8
"""Up to so many events of a case, any of them may be those of a request; else neighbours."""


@dataclass(frozen=True, slots=True)
class CaseDelivery:
    """Events of one subscription in a case, and what becomes of each of them at Segment.

    ``action`` may also be `AUTHENTICATION` or `TOKEN`, with no events and one verdict, or the slug
    of deletions. There is one interaction, or none if the events are refused before; a test of
    authentication may ask for a token first. ``auth`` is what Segment keeps of OAuth2, by the names
    that it gives to code. ``positions`` are those of the events in the case, from 1. With `ALL`,
    no subscription takes the event.
    """

    case: str
    description: str
    subscription: str
    action: str
    settings: Mapping[str, Any]
    mapping: Mapping[str, Any]
    clock: str
    events: tuple[Mapping[str, Any], ...]
    payloads: tuple[Mapping[str, Any] | None, ...]
    interactions: tuple[Interaction, ...]
    verdicts: tuple[str, ...]
    auth: Mapping[str, str] = field(default_factory=dict)
    positions: tuple[int, ...] = ()

    @property
    def recorded(self) -> int:
        """The number of requests that the case has recorded."""
        return len([one for one in self.interactions if not is_token_request(one)])


def is_token_request(one: Interaction) -> bool:
    """Return whether a request asks for an access token; no case records one."""
    result = one.result
    return isinstance(result, RecordedResponse) and result.json == _TOKEN_ANSWER


def case_deliveries(
    subject: Subject,
    actions: Mapping[str, str],
    batched: set[str],
    missing: frozenset[str],
    constants: Mapping[str, Any],
) -> Iterator[CaseDelivery]:
    """Yield what the cases of a destination deliver through the ``actions`` that were exported.

    ``actions`` are the names of their requests by slug, with `AUTHENTICATION` and the slug of
    deletions; the ``batched`` ones take several events. Segment lacks the settings ``missing``; the
    ``constants`` among them have these values there.
    """
    has_token = False
    for case in subject.cases():
        if any(case.settings.get(name, value) != value for name, value in constants.items()):
            continue  # there, no setting says so
        destination = subject.bind(case.settings, case.subscriptions)
        presets = {
            (one.name, one.partner_action): one
            for one in (case.subscriptions or subject.definition.presets)
        }
        specs = subject.definition.settings["properties"]
        settings = {
            name: reveal(value) if isinstance(value, str) else value
            for name, value in case.settings.items()
            # The code knows the defaults.
            if name not in missing and value != specs[name].get("default")
        } | {
            name: ""  # it was emptied, so its default does not count
            for name, spec in specs.items()
            if name not in missing and has_default(spec) and name not in case.settings
        }
        with frozen_at(clock_seconds(case.clock)):
            one = _Case(case, destination, presets, settings, actions, batched)
            if not has_token and one.token is not None:
                has_token = True
                yield one.of_token(one.token)
            yield from one.deliveries()


class _Case:
    """One case: its events by subscription, and the requests that are left."""

    def __init__(
        self,
        case: Case,
        destination: Destination,
        presets: Mapping[tuple[str, str], Preset],
        settings: Mapping[str, Any],
        actions: Mapping[str, str],
        batched: set[str],
    ) -> None:
        self._case = case
        self._destination = destination
        self._presets = presets
        self._settings = settings
        self._actions = actions
        self._batched = batched
        self._left = list(case.interactions)
        self._positions: dict[int, tuple[int, Any]] = {}
        self._unsent: list[CaseDelivery] = []
        self.token = _token_request(destination)
        """The request for an access token with these settings; None if there is none."""

    def of_token(self, asked: Interaction) -> CaseDelivery:
        """Return the delivery that asks for an access token."""
        oauth2 = self._destination.definition.oauth2
        assert oauth2 is not None  # noqa: S101 - it has made the request
        names = {"clientId": oauth2.client_id, "clientSecret": oauth2.client_secret}
        names["refreshToken"] = oauth2.refresh_token
        is_kept = oauth2.grant == "refreshToken"
        auth = {
            key: setting_text(self._destination.settings, name)
            for key, name in names.items()
            if is_kept and name is not None
        }
        one = self._without_events(TOKEN, [asked], "delivered")
        case, description = _CASE_OF_TOKEN
        return replace(one, case=case, description=description, auth=auth)

    def _without_events(
        self, action: str, interactions: Sequence[Interaction], verdict: str
    ) -> CaseDelivery:
        case = self._case
        return CaseDelivery(
            *(case.name, case.description, "", action, self._settings, {}, case.clock, (), ()),
            tuple(interactions),
            (verdict,),
        )

    def deliveries(self) -> Iterator[CaseDelivery]:
        """Yield the deliveries of each subscription."""
        groups: dict[str, tuple[Subscription, list[tuple[Any, Any]]]] = {}
        for event, subscription, payload in self._mapped():
            key = f"{subscription.name}\n{subscription.action.slug}"
            groups.setdefault(key, (subscription, []))[1].append((event, payload))
        for subscription, pairs in groups.values():
            yield from self._of(subscription, pairs)
        yield from self._unsent
        yield from self._authentication()

    def _authentication(self) -> Iterator[CaseDelivery]:
        if AUTHENTICATION not in self._actions:
            return
        request = self._destination.requests[self._actions[AUTHENTICATION]]
        pairs: list[tuple[Any, Any]] = [({}, {})]
        for interaction, _ in self._sent(request, pairs, 1):
            is_passed = self._verdicts(request, interaction, pairs) == ["delivered"]
            oauth2 = self._destination.definition.oauth2
            is_asked = oauth2 is not None and oauth2.grant == "clientCredentials"
            first = [self.token] if is_asked and self.token is not None else []
            verdict = "delivered" if is_passed else "rejected"
            yield self._without_events(AUTHENTICATION, [*first, interaction], verdict)

    def _mapped(self) -> Iterator[tuple[Any, Subscription, Any]]:
        at = clock_seconds(self._case.clock)
        for position, given in enumerate(self._case.events, 1):
            if not isinstance(given, Mapping):
                continue
            try:
                event = check_event(dict(given))
            except DestinationsError:
                continue
            why = self._destination.admit(event)
            if why is not None and why.outcome is not Outcome.INVALID:
                continue  # by its integrations, which Segment reads itself
            prepared = self._destination.prepare(event, at)
            self._positions[id(prepared)] = position, prepared
            for subscription, payload in self._destination.payloads(prepared):
                if subscription is None:
                    self._note_unsubscribed(prepared, position)
                elif subscription.action.slug in self._actions:
                    if why is None:
                        yield prepared, subscription, payload
                    else:
                        self._note_invalid(subscription, prepared, payload)

    def _note_unsubscribed(self, event: Any, position: int) -> None:
        one = self._without_events(ALL, [], "filtered")
        subscriptions = [
            {"partnerAction": preset.partner_action, "subscribe": preset.subscribe, "mapping": {}}
            for preset in self._presets.values()
        ]
        mapping = {"subscriptions": subscriptions}
        one = replace(one, mapping=mapping, events=(event,), positions=(position,))
        self._unsent.append(one)

    def _note_invalid(self, subscription: Subscription, event: Any, payload: Any) -> None:
        """Note an event that no action sees, with its payload all the same."""
        if isinstance(payload, Result) and any(beyond_segment(self._mapping(subscription))):
            return  # with a directive that Segment lacks, there is no such mapping there
        one = self._delivery(subscription, [(event, payload)], [], ["rejected"])
        self._unsent.append(replace(one, payloads=(None,)))

    def _of(
        self, subscription: Subscription, pairs: Sequence[tuple[Any, Any]]
    ) -> Iterator[CaseDelivery]:
        name = self._actions[subscription.action.slug]
        request = self._destination.requests[name]
        valid = [pair for pair in pairs if not isinstance(pair[1], Result)]
        invalid = [pair for pair in pairs if isinstance(pair[1], Result)]
        size = request.definition.batch_size if subscription.action.slug in self._batched else 1
        seen: set[int] = set()
        for interaction, those in self._sent(request, valid, size):
            verdicts = self._verdicts(request, interaction, those)
            seen.update(map(id, those))
            yield self._delivery(subscription, those, [interaction], verdicts)
        for pair in valid:
            is_refused = self._is_late(subscription, pair) or self._is_unmade(request, pair)
            if id(pair) not in seen and is_refused:
                yield self._delivery(subscription, [pair], [], ["rejected"])
        for pair in invalid:
            # With a directive that Segment lacks, there is no such mapping there.
            is_sayable = not any(beyond_segment(self._mapping(subscription)))
            if pair[1].outcome is Outcome.INVALID and is_sayable:
                yield self._delivery(subscription, [pair], [], ["rejected"])

    def _is_late(self, subscription: Subscription, pair: tuple[Any, Any]) -> bool:
        window = subscription.action.window
        if window is None:
            return False
        at = clock_seconds(self._case.clock)
        return window.result(*pair, at, self._destination.settings) is not None

    def _is_unmade(self, request: CompiledRequest, pair: tuple[Any, Any]) -> bool:
        """Return whether no request can be made of an event, such as with a time that is none."""
        context = self._context(*pair)
        try:
            request.prepare([request.part(context)], context)
        except ResolveError:
            return True
        return False

    def _mapping(self, subscription: Subscription) -> Mapping[str, Any]:
        preset = self._presets.get((subscription.name, subscription.action.slug))
        return {} if preset is None else preset.mapping

    def _sent(
        self, request: CompiledRequest, pairs: Sequence[tuple[Any, Any]], size: int
    ) -> Iterator[tuple[Interaction, Sequence[tuple[Any, Any]]]]:
        """Yield each recorded request with the events in it: as many as may be."""
        found = True
        while found:
            found = False
            for those in _choices(pairs, size):
                interaction = self._take(request, those)
                if interaction is not None:
                    found = True
                    yield interaction, those

    def _take(
        self, request: CompiledRequest, pairs: Sequence[tuple[Any, Any]]
    ) -> Interaction | None:
        contexts = [self._context(*pair) for pair in pairs]
        try:
            parts = [request.part(context) for context in contexts]
            made = request.prepare(parts, contexts[0])
        except ResolveError:
            return None
        for one in self._left:
            if _is_same(one.request, made):
                self._left.remove(one)
                # Cases record few headers; there, all are compared.
                return replace(one, request=replace(one.request, headers=dict(made.headers)))
        return None

    def _context(self, event: Any, payload: Any) -> Mapping[str, Any]:
        return {"event": event, "payload": payload, "settings": self._destination.settings}

    def _verdicts(
        self, request: CompiledRequest, interaction: Interaction, pairs: Sequence[tuple[Any, Any]]
    ) -> list[str]:
        definition = request.definition
        if isinstance(interaction.result, str):
            was_sent = interaction.result in {"timeout", "lost"}
            return ["rejected" if was_sent and not can_repeat(definition) else "retry"] * len(pairs)
        parts = [request.part(self._context(*pair)) for pair in pairs]
        read = request.read(http_response(interaction.result), len(pairs), parts)
        return [_verdict(request, one) for one in read]

    def _delivery(
        self,
        subscription: Subscription,
        pairs: Sequence[tuple[Any, Any]],
        interactions: Sequence[Interaction],
        verdicts: Sequence[str],
    ) -> CaseDelivery:
        case = self._case
        mapping = self._mapping(subscription)
        action = subscription.action.definition
        of_event = event_fields(self._destination.definition, action)
        if action is self._destination.definition.deletion:
            of_event = []  # a deletion has no fields
        # Where Segment lacks a directive of the mapping, the payloads stand for the events.
        is_sayable = not any(beyond_segment(mapping))
        events = [
            event
            if is_sayable
            else {**payload, **{one.key: event[one.name] for one in of_event if one.name in event}}
            for event, payload in pairs
        ]
        mapping = mapping if is_sayable else _of_payloads(pairs)
        own = {
            one.key: one.mapping if is_sayable else {"@path": f"$.{one.key}"} for one in of_event
        }
        # As in each mapping of a customer, though no request may have it.
        batching = {"enable_batching": True} if subscription.action.slug in self._batched else {}
        return CaseDelivery(
            case.name,
            case.description,
            subscription.name,
            subscription.action.slug,
            self._settings,
            {**mapping, **own, **batching},
            case.clock,
            tuple(events),
            tuple(None if isinstance(one, Result) else one for _, one in pairs),
            tuple(interactions),
            tuple(verdicts),
            positions=tuple(self._positions[id(event)][0] for event, _ in pairs),
        )


class _Recording:
    """Answers a request for a token, and keeps it."""

    def __init__(self) -> None:
        self.request: HttpRequest | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        """Keep a request."""
        self.request = request
        return HttpResponse(200, {}, json.dumps(_TOKEN_ANSWER).encode())

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _token_request(destination: Destination) -> Interaction | None:
    """Return the request for an access token as it is made here; None if none can be."""
    oauth2 = destination.definition.oauth2
    if oauth2 is None:
        return None
    endpoint, transport = TokenEndpoint(oauth2, destination.settings), _Recording()
    if endpoint.issue():
        return None
    endpoint.ask(endpoint.refresh_token, transport)
    made = transport.request
    assert made is not None  # noqa: S101 - it was sent
    body = (made.body or b"").decode()
    recorded = RecordedRequest(made.method, made.url, dict(made.headers), body=body)
    return Interaction(recorded, RecordedResponse(200, json=_TOKEN_ANSWER))


def _choices(pairs: Sequence[tuple[Any, Any]], size: int) -> Iterator[Sequence[tuple[Any, Any]]]:
    """Yield the events that one request may have, the most first."""
    for count in range(min(len(pairs), size), 0, -1):
        if len(pairs) <= _MOST_EVENTS:
            yield from itertools.combinations(pairs, count)
        else:
            yield from (pairs[at : at + count] for at in range(len(pairs) - count + 1))


def _of_payloads(pairs: Sequence[tuple[Any, Any]]) -> Mapping[str, Any]:
    """Return the mapping that takes payloads as they are."""
    keys = dict.fromkeys(key for _, payload in pairs for key in payload)
    return {key: {"@path": _path(key)} for key in keys}


def _path(key: str) -> str:
    return f"$.{key}" if is_identifier(key) else "['" + key.replace("'", "\\'") + "']"


def _verdict(request: CompiledRequest, read: Answer | Failure) -> str:
    """Return what Segment does with an event after this answer."""
    if isinstance(read, Answer):
        return "delivered"
    if read.error_class == "authentication":
        return "rejected"
    if read.retryable:
        return "retry" if read.nothing_applied or can_repeat(request.definition) else "rejected"
    # That the partner has one event of a batch says nothing of the others.
    return "delivered" if read.is_there == "event" else "rejected"


def _is_same(recorded: RecordedRequest, made: HttpRequest) -> bool:
    from destinations.http.json_bytes import decode_json  # noqa: PLC0415 - only here

    if recorded.method != made.method or recorded.url != made.url:
        return False
    if recorded.json is not ABSENT:
        return made.body is not None and bool(decode_json(made.body) == recorded.json)
    return (recorded.body or "") == (made.body or b"").decode("utf-8", "replace")


def cases_source(deliveries: Sequence[CaseDelivery]) -> str:
    """Return the file with the tests."""
    lines = [
        "import definition from '../index'\n",
        "import { deliver } from './__helpers__/partner'\n",
    ]
    by_case: dict[str, list[CaseDelivery]] = {}
    for one in deliveries:
        by_case.setdefault(one.case, []).append(one)
    for case, those in by_case.items():
        tests = "\n".join(_test(one, at, len(those)) for at, one in enumerate(those))
        lines.append(f"\n{line_comment(those[0].description)}\n")
        lines.append(f"describe({text(case)}, () => {{\n{tests}}})\n")
    return "".join(lines)


def _test(delivery: CaseDelivery, at: int, count: int) -> str:
    is_of_action = delivery.subscription not in {"", delivery.action}
    title = f"{delivery.action}: {delivery.subscription}" if is_of_action else delivery.action
    name = title + (f" ({at + 1})" if count > 1 else "")
    given = {
        "action": delivery.action,
        "settings": delivery.settings,
        "mapping": delivery.mapping,
        "events": list(delivery.events),
        "now": delivery.clock,
    }
    if delivery.auth:
        given["auth"] = delivery.auth
    interactions = [_interaction(one) for one in delivery.interactions]
    return (
        f"  it({text(name)}, async () => {{\n"
        "    const verdicts = await deliver(\n"
        "      definition,\n"
        f"      {literal(given, 6, 200)},\n"
        f"      {literal(interactions, 6, 6)}\n"
        "    )\n"
        f"    expect(verdicts).toEqual({literal(list(delivery.verdicts), 4, 30)})\n"
        "  })\n"
    )


def _interaction(one: Interaction) -> Mapping[str, Any]:
    request: dict[str, Any] = {"method": one.request.method, "url": one.request.url}
    if one.request.headers:
        request["headers"] = dict(one.request.headers)
    request |= _body(one.request.json, one.request.body)
    if isinstance(one.result, str):
        return {"request": request, "failure": one.result}
    response: dict[str, Any] = {"status": one.result.status}
    if one.result.headers:
        response["headers"] = dict(one.result.headers)
    response |= _body(one.result.json, one.result.body)
    return {"request": request, "response": response}


def _body(value: Any, body: str | None) -> Mapping[str, Any]:
    if value is not ABSENT:
        return {"json": value}
    return {} if body is None else {"body": body}
