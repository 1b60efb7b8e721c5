"""Write the tests of an exported folder: its recorded cases, delivered through Segment's framework.

The events of a case are mapped here, to find out which of its requests belongs to which events, and
what becomes of them there. Each recorded request is a test of its own, also that of a second
attempt, which a server makes; so are events that are refused before a request is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.clock import frozen_at
from destinations.definition import Preset
from destinations.errors import DestinationsError, ResolveError
from destinations.http import Answer, CompiledRequest, Failure, HttpRequest
from destinations.kit.exporter.literals import is_identifier, line_comment, literal, text
from destinations.kit.exporter.requests import can_repeat
from destinations.kit.testing.case import ABSENT, Case, Interaction, RecordedRequest
from destinations.kit.testing.replaying import clock_seconds
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import http_response
from destinations.outcome import Outcome, Result
from destinations.runtime.action import Subscription
from destinations.runtime.destination import Destination
from destinations.secrets import reveal
from destinations.segment.event import check_event
from destinations.segment.mapping.parts import beyond_segment

__all__ = ["AUTHENTICATION", "CaseDelivery", "case_deliveries", "cases_source"]

AUTHENTICATION: Final = "testAuthentication()"
"""What stands for an action where a case has the authentication test; no action has such a slug."""

_MOST_EVENTS: Final = 8
"""Up to so many events of a case, any of them may be those of a request; else neighbours."""


@dataclass(frozen=True, slots=True)
class CaseDelivery:
    """Events of one subscription in a case, and what becomes of each of them at Segment.

    ``action`` may also be `AUTHENTICATION`, with no events and one verdict, or the slug of
    deletions. There is one interaction, or none if the events are refused before.
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


def case_deliveries(
    subject: Subject, actions: Mapping[str, str], batched: set[str], kept: frozenset[str]
) -> Iterator[CaseDelivery]:
    """Yield what the cases of a destination deliver through the ``actions`` that were exported.

    ``actions`` are the names of their requests by slug, with `AUTHENTICATION` and the slug of
    deletions; the ``batched`` ones take several events. Segment keeps the settings ``kept`` itself.
    """
    for case in subject.cases():
        destination = subject.bind(case.settings, case.subscriptions)
        presets = {
            (one.name, one.partner_action): one
            for one in (case.subscriptions or subject.definition.presets)
        }
        settings = {
            name: reveal(value) if isinstance(value, str) else value
            for name, value in case.settings.items()
            if name not in kept
        }
        with frozen_at(clock_seconds(case.clock)):
            yield from _Case(case, destination, presets, settings, actions, batched).deliveries()


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

    def deliveries(self) -> Iterator[CaseDelivery]:
        """Yield the deliveries of each subscription."""
        groups: dict[str, tuple[Subscription, list[tuple[Any, Any]]]] = {}
        for event, subscription, payload in self._mapped():
            key = f"{subscription.name}\n{subscription.action.slug}"
            groups.setdefault(key, (subscription, []))[1].append((event, payload))
        for subscription, pairs in groups.values():
            yield from self._of(subscription, pairs)
        yield from self._authentication()

    def _authentication(self) -> Iterator[CaseDelivery]:
        if AUTHENTICATION not in self._actions:
            return
        request = self._destination.requests[self._actions[AUTHENTICATION]]
        pairs: list[tuple[Any, Any]] = [({}, {})]
        for interaction, _ in self._sent(request, pairs, 1):
            is_passed = self._verdicts(request, interaction, pairs) == ["delivered"]
            yield CaseDelivery(
                self._case.name,
                self._case.description,
                "",
                AUTHENTICATION,
                self._settings,
                {},
                self._case.clock,
                (),
                (),
                (interaction,),
                ("delivered" if is_passed else "rejected",),
            )

    def _mapped(self) -> Iterator[tuple[Any, Subscription, Any]]:
        at = clock_seconds(self._case.clock)
        for given in self._case.events:
            if not isinstance(given, Mapping):
                continue
            try:
                event = check_event(dict(given))
            except DestinationsError:
                continue
            if self._destination.admit(event) is not None:
                continue
            prepared = self._destination.prepare(event, at)
            for subscription, payload in self._destination.payloads(prepared):
                if subscription is not None and subscription.action.slug in self._actions:
                    yield prepared, subscription, payload

    def _of(
        self, subscription: Subscription, pairs: Sequence[tuple[Any, Any]]
    ) -> Iterator[CaseDelivery]:
        name = self._actions[subscription.action.slug]
        request = self._destination.requests[name]
        valid = [pair for pair in pairs if not isinstance(pair[1], Result)]
        invalid = [pair for pair in pairs if isinstance(pair[1], Result)]
        size = request.definition.batch_size if name in self._batched else 1
        seen: set[int] = set()
        for interaction, those in self._sent(request, valid, size):
            verdicts = self._verdicts(request, interaction, those)
            seen.update(map(id, those))
            yield self._delivery(subscription, those, [interaction], verdicts)
        for pair in valid:
            if id(pair) not in seen and self._is_late(subscription, pair):
                yield self._delivery(subscription, [pair], [], ["rejected"])
        for pair in invalid:
            # With a directive that Segment lacks, there is no such mapping there.
            is_sayable = not any(beyond_segment(self._mapping(subscription)))
            if pair[1].outcome is Outcome.INVALID and is_sayable:
                yield self._delivery(subscription, [pair], [], ["rejected"])

    def _is_late(self, subscription: Subscription, pair: tuple[Any, Any]) -> bool:
        window = subscription.action.window
        at = clock_seconds(self._case.clock)
        return window is not None and window.result(*pair, at) is not None

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
        # Where Segment lacks a directive of the mapping, the payloads stand for the events.
        is_sayable = not any(beyond_segment(mapping))
        return CaseDelivery(
            case.name,
            case.description,
            subscription.name,
            subscription.action.slug,
            self._settings,
            mapping if is_sayable else _of_payloads(pairs),
            case.clock,
            tuple(event if is_sayable else payload for event, payload in pairs),
            tuple(None if isinstance(one, Result) else one for _, one in pairs),
            tuple(interactions),
            tuple(verdicts),
        )


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
    is_there = read.is_there == "event" or (read.is_there is not None and read.nothing_applied)
    return "delivered" if is_there else "rejected"


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


def _body(json: Any, body: str | None) -> Mapping[str, Any]:
    if json is not ABSENT:
        return {"json": json}
    return {} if body is None else {"body": body}
