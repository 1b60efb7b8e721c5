"""A destination ready to run: a definition with its settings, compiled once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final, TypeVar

from destinations._version import __version__
from destinations.definition import ActionDefinition, DestinationDefinition, Preset
from destinations.definition.settings import Settings
from destinations.errors import DefinitionError, Fault, ResolveError
from destinations.http import CompiledRequest, compile_request
from destinations.http.environment import check_address, environment_faults
from destinations.http.json_bytes import decode_json
from destinations.outcome import Outcome, Result
from destinations.runtime.action import (
    Action,
    Generator,
    Mapper,
    Payload,
    Subscription,
    SubscriptionKey,
    VersionedMapper,
)
from destinations.secrets import reveal
from destinations.segment.event import (
    Event,
    integrations_allow,
    missing_fields,
    with_timestamp,
    without_blank_traits,
)
from destinations.segment.identifiers import blank_check, identifier_check
from destinations.segment.mapping import compile_value
from destinations.segment.patterns import compile_pattern

__all__ = ["Code", "Delivery", "Destination"]

T = TypeVar("T")


class Delivery:
    """One event for one subscription, ready to be sent.

    Made of the payload or of its JSON, and of the raw event where that may be needed; either is
    read when it is asked for. An event of bytes was received first at ``received_at``. The delivery
    ``resumes`` where an earlier attempt may have changed something.
    """

    __slots__ = (
        "_event",
        "_payload",
        "payload_json",
        "raw",
        "received_at",
        "resumes",
        "subscription",
    )

    def __init__(  # noqa: PLR0913 - what a queue keeps of it
        self,
        subscription: Subscription,
        event: Event | None = None,
        payload: Payload | None = None,
        *,
        payload_json: bytes = b"",
        raw: bytes | None = None,
        received_at: float | None = None,
        resumes: bool = False,
    ) -> None:
        self.received_at = received_at
        self.subscription = subscription
        self._event = event
        self._payload = payload
        self.payload_json = payload_json
        self.raw = raw
        self.resumes = resumes

    @property
    def event(self) -> Event:
        """The event; empty where it is not at hand, as no request reads it."""
        if self._event is None:
            self._event = {} if self.raw is None else decode_json(self.raw)
            if self.received_at is not None:
                self._event = with_timestamp(self._event, self.received_at)
        return self._event

    @property
    def payload(self) -> Payload:
        """What the mapping made of the event."""
        if self._payload is None:
            self._payload = decode_json(self.payload_json)
        return self._payload


@dataclass(frozen=True, slots=True)
class Code:
    """What a plugin adds to a definition, by the names that the definition uses."""

    generators: Mapping[str, Generator] = field(default_factory=dict)
    mappers: Mapping[str, Mapper] = field(default_factory=dict)


class Destination:
    """A definition bound to settings; the same object serves any number of events and threads."""

    def __init__(
        self,
        definition: DestinationDefinition,
        settings: Settings,
        code: Code | None = None,
    ) -> None:
        self.definition = definition
        self.settings = settings
        self.requests: Mapping[str, CompiledRequest] = {
            name: compile_request(request, definition.transport, definition.error_rules)
            for name, request in definition.requests.items()
        }
        actions = {
            slug: self._action(action, code or Code())
            for slug, action in definition.actions.items()
        }
        self.subscriptions = tuple(
            Subscription(preset, actions[preset.partner_action], definition.placeholders)
            for preset in definition.presets
        )
        self.operator_subscriptions = {
            one.key: one
            for one in (
                _of_operator(actions[slug], definition.placeholders)
                for slug, action in definition.actions.items()
                if action.operator
            )
        }
        placeholders, blank_traits = definition.placeholders, definition.blank_traits
        self._identifier_fault = identifier_check(placeholders) if placeholders else None
        self._is_blank = None if blank_traits is None else blank_check(blank_traits)
        self._routes = _Routes(self.subscriptions)
        self._digest = (0.0, "")

    def request_faults(self) -> Sequence[str]:
        """Return why requests cannot be sent, whatever the event is: by what the settings hold."""
        faults: dict[str, None] = {}
        for name, request in self.requests.items():
            try:
                url = request.fixed_url(self.settings)
            except ResolveError as error:
                fault: str | None = str(error)
            else:
                fault = None if url is None else check_address(url)
            if fault is not None:
                text = self.settings.masker.text(fault)
                faults[f"with these settings the request {name} cannot be sent: {text}"] = None
        return list(faults)

    def environment_faults(self) -> Sequence[str]:
        """Return why this process cannot connect to the partner: by what its environment holds."""
        urls: dict[str, None] = {}
        for request in self.requests.values():
            with contextlib.suppress(ResolveError):  # one of `request_faults`
                url = request.fixed_url(self.settings)
                if url is not None:
                    urls[url] = None
        return environment_faults(list(urls))

    def admit(self, event: Event) -> Result | None:
        """Why no action may see this event; None if they may."""
        key = self.definition.integrations_key
        # Most events say nothing of integrations.
        if event.get("integrations") and not integrations_allow(event, key):
            reason = f"the event's integrations object keeps it from {key}"
            return Result(Outcome.FILTERED, reason)
        required = self.definition.required_event_fields
        for name in required:
            if not event.get(name):
                missing = ", ".join(missing_fields(event, required))
                reason = f"{self.definition.name} needs {missing}"
                return Result.invalid(reason, "BAD_REQUEST")
        user = event.get("userId")
        if user and self._identifier_fault is not None:
            fault = self._identifier_fault(user)
            if fault:
                return Result.invalid(f"userId {fault}", "BAD_REQUEST")
        return None

    def prepare(self, event: Event, received_at: float) -> Event:
        """Return an event as its subscriptions and mappings see it; see `plan`.

        It has a timestamp, and none of the traits that the definition takes for blank.
        """
        event = with_timestamp(event, received_at)
        return event if self._is_blank is None else without_blank_traits(event, self._is_blank)

    def payloads(
        self, event: Event, *, only: SubscriptionKey | None = None
    ) -> list[tuple[Subscription | None, Payload | Result]]:
        """Return, for each subscription that matches, the payload or why the event ends there.

        ``only`` restricts this to one subscription: it alone leads to an action that only an
        operator asks for. If none matches there is exactly one pair without a subscription,
        ``filtered``.
        """
        asked = None if only is None else self.operator_subscriptions.get(only)
        if asked is not None:
            return [(asked, asked.payload(event))]
        found: list[tuple[Subscription | None, Payload | Result]] = []
        for matches, subscription in self._routes.of(event.get("type")):
            if (only is None or only == subscription.key) and (matches is None or matches(event)):
                found.append((subscription, subscription.payload(event)))
        return found or [(None, _filtered(event["type"]))]

    @cached_property
    def by_key(self) -> Mapping[SubscriptionKey, Subscription]:
        """All subscriptions by their keys, also those that stand for what operators ask for."""
        of_events = {subscription.key: subscription for subscription in self.subscriptions}
        return {**of_events, **self.operator_subscriptions}

    def heirs(self, key: SubscriptionKey) -> Sequence[Subscription]:
        """Return the subscriptions that a delivery for ``key`` may be for today.

        That is the one of this key; where it is gone, as it was renamed, those of its action.
        """
        own = self.by_key.get(key)
        if own is not None:
            return (own,)
        return [one for one in self.by_key.values() if one.key.action == key.action]

    @cached_property
    def actions(self) -> Mapping[str, Action]:
        """The actions that have a subscription, by their slugs; and those of operators."""
        return {one.action.slug: one.action for one in self.by_key.values()}

    @property
    def plan_digest(self) -> str:
        """What a payload that was kept was made by: definition, settings, rules, this package.

        Another digest tells that the event has to be planned again. It may be a moment behind the
        rules, never before them: what they made is then planned once more, to the same end.
        """
        mappers = self._versioned_mappers
        if not mappers:
            return self._static_digest
        now = time.monotonic()
        until, digest = self._digest
        if now >= until:
            versions = [mapper.version for mapper in mappers]
            text = "\0".join([self._static_digest, *versions])
            digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            self._digest = (now + _DIGEST_SECONDS, digest)
        return digest

    @cached_property
    def _versioned_mappers(self) -> Sequence[VersionedMapper]:
        mappers: list[object] = [one.action.mapper for one in self.subscriptions]
        return [mapper for mapper in mappers if isinstance(mapper, VersionedMapper)]

    @cached_property
    def _static_digest(self) -> str:
        settings = {
            key: reveal(value) if isinstance(value, str) else value
            for key, value in self.settings.items()
        }
        parts = [__version__, repr(self.definition), json.dumps(settings, sort_keys=True)]
        data = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    @property
    def endpoint(self) -> str:
        """The URL that the settings lead to; secrets in it are masked."""
        context = {"event": {}, "payload": {}, "settings": self.settings}
        url = str(compile_value(self.definition.transport.base_url).resolve(context))
        return self.settings.masker.text(url)

    @property
    def environments(self) -> list[str]:
        """The partner's environments that the settings are for, as far as they tell."""
        properties: Mapping[str, Mapping[str, Any]] = self.definition.settings["properties"]
        return [
            name
            for key, spec in properties.items()
            for name, pattern in spec.get("x-environments", {}).items()
            if compile_pattern(pattern)(reveal(self.settings.get(key, "")))
        ]

    def _action(self, definition: ActionDefinition, code: Code) -> Action:
        perform, unmapped = definition.perform, definition.unmapped
        mapper = None
        if unmapped is not None and unmapped.mapper is not None:
            mapper = _named("mapper", code.mappers, unmapped.mapper, definition)
        if perform.generator is None:
            assert perform.request is not None  # noqa: S101 - one of both, says the schema
            requests = {perform.request: self.requests[perform.request]}
            return Action(definition, requests, mapper=mapper)
        requests = {name: self.requests[name] for name in perform.requests}
        generator = _named("generator", code.generators, perform.generator, definition)
        return Action(definition, requests, generator, mapper)


def _of_operator(action: Action, placeholders: Sequence[str]) -> Subscription:
    """Return what stands for a subscription of an action that only an operator asks for.

    It is known by the slug, and no route leads to it: what it would match is never asked.
    """
    definition = action.definition
    preset = Preset(action.slug, action.slug, 'type = "none"', definition.default_mapping)
    return Subscription(preset, action, placeholders)


@lru_cache(maxsize=16)
def _filtered(kind: str) -> Result:
    return Result(Outcome.FILTERED, f"no subscription takes {kind} events")


_Route = tuple[Callable[[Event], bool] | None, Subscription]
"""Whether an event matches (None: its type says so), and where to."""


_DIGEST_SECONDS: Final = 0.05
"""So long it is not asked again whether the rules of a store have changed."""


class _Routes:
    """The subscriptions by the event types that they ask for, in their order."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        routes: list[_Route] = [
            (None if one.fql.asks_type_only else one.fql.matches, one) for one in subscriptions
        ]
        self._by_type = {
            kind: tuple(
                route for route in routes if (types := route[1].fql.types) is None or kind in types
            )
            for kind in {kind for one in subscriptions for kind in one.fql.types or ()}
        }
        self._others = tuple(route for route in routes if route[1].fql.types is None)

    def of(self, kind: object) -> tuple[_Route, ...]:
        """Return those that may match an event of that type; all others do not."""
        return self._by_type.get(kind, self._others) if isinstance(kind, str) else self._others


def _named(kind: str, known: Mapping[str, T], name: str, action: ActionDefinition) -> T:
    if name not in known:
        names = ", ".join(known) or "none"
        message = f"no plugin has the {kind} {name!r}; known: {names}"
        raise DefinitionError([Fault(message, "", action.slug)])
    return known[name]
