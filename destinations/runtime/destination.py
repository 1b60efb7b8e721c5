"""A destination ready to run: a definition with its settings, compiled once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.definition.settings import Settings
from destinations.errors import DefinitionError, Fault
from destinations.http import CompiledRequest, compile_request
from destinations.outcome import Outcome, Result
from destinations.runtime.action import Action, Generator, Mapper, Payload, Subscription
from destinations.segment.event import Event, integrations_allow, missing_fields
from destinations.segment.mapping import compile_value
from destinations.segment.patterns import compile_pattern

__all__ = ["Code", "Delivery", "Destination", "slug_of"]

T = TypeVar("T")


@dataclass(slots=True)
class Delivery:
    """One event through one subscription, ready to be sent."""

    subscription: Subscription
    event: Event
    payload: Payload


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
        *,
        account: str | None = None,
    ) -> None:
        self.definition = definition
        self.settings = settings
        self._account = account
        self.requests: Mapping[str, CompiledRequest] = {
            name: compile_request(request, definition.transport, definition.error_rules)
            for name, request in definition.requests.items()
        }
        actions = {
            slug: self._action(action, code or Code())
            for slug, action in definition.actions.items()
        }
        self.subscriptions = tuple(
            Subscription(preset, actions[preset.partner_action]) for preset in definition.presets
        )
        self._routes = _Routes(self.subscriptions)

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
                reason = f"400 Bad Request: {self.definition.name} needs {missing}"
                return Result.invalid(reason, "BAD_REQUEST")
        return None

    def deliveries(
        self, event: Event, *, only: str | None = None
    ) -> list[tuple[str | None, Delivery | Result]]:
        """For each subscription that matches: its key, and a delivery or its end.

        The key is the action's slug, with the subscription's name (``slug: name``) where several
        subscriptions use that action. ``only`` restricts this to one key. Exactly one pair without
        a key, ``filtered``, comes if no subscription matches.
        """
        found: list[tuple[str | None, Delivery | Result]] = []
        for key, matches, subscription in self._routes.of(event.get("type")):
            if (only is None or only == key) and (matches is None or matches(event)):
                payload = subscription.payload(event)
                if isinstance(payload, dict):
                    found.append((key, Delivery(subscription, event, payload)))
                else:
                    found.append((key, payload))
        return found or [(None, _filtered(event["type"]))]

    @property
    def keys(self) -> Collection[str]:
        """The keys that `deliveries` gives, but for None."""
        return self._routes.keys

    def keys_beside(self, key: str) -> list[str]:
        """The keys of the action that a key is of, whether that is one of today's or was once."""
        return [one for one in self._routes.keys if slug_of(one) == slug_of(key)]

    @property
    def account(self) -> str:
        """Whose data this is: destination, endpoint, and environment where the settings tell.

        What is kept for one account is never used for another: test events must not reach live
        customers. A sandbox that lives as long as a run is given a name of its own instead.
        """
        if self._account is not None:
            return self._account
        return " ".join([self.definition.slug, self.endpoint, *self.environments])

    @property
    def endpoint(self) -> str:
        """The URL that the settings lead to; secrets in it are masked."""
        context = {"event": {}, "payload": {}, "settings": self.settings}
        url = str(compile_value(self.definition.transport.url).resolve(context))
        return self.settings.masker.text(url)

    @property
    def environments(self) -> list[str]:
        """The partner's environments that the settings are for, as far as they tell."""
        properties: Mapping[str, Mapping[str, Any]] = self.definition.settings["properties"]
        return [
            name
            for key, spec in properties.items()
            for name, pattern in spec.get("x-environments", {}).items()
            if compile_pattern(pattern)("".join(self.settings.get(key, "")))
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


def slug_of(key: str) -> str:
    """The slug of the action in a key of `Destination.deliveries`."""
    return key.partition(": ")[0]


@lru_cache(maxsize=16)
def _filtered(kind: str) -> Result:
    return Result(Outcome.FILTERED, f"no subscription takes {kind} events")


_Route = tuple[str, Callable[[Event], bool] | None, Subscription]
"""What rows are told apart by, whether an event matches (None: the type says so), where to."""


class _Routes:
    """The subscriptions by the event types that they ask for, in their order."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        slugs = [subscription.action.definition.slug for subscription in subscriptions]
        times = Counter(slugs)
        routes: list[_Route] = [
            (
                # The action, and where several subscriptions use it, which.
                slug if times[slug] == 1 else f"{slug}: {one.name}",
                None if one.fql.asks_type_only else one.fql.matches,
                one,
            )
            for slug, one in zip(slugs, subscriptions, strict=True)
        ]
        self.keys = frozenset(key for key, _, _ in routes)
        self._by_type = {
            kind: tuple(
                route for route in routes if (types := route[2].fql.types) is None or kind in types
            )
            for kind in {kind for one in subscriptions for kind in one.fql.types or ()}
        }
        self._others = tuple(route for route in routes if route[2].fql.types is None)

    def of(self, kind: object) -> tuple[_Route, ...]:
        """Those that may match an event of that type; all others do not."""
        return self._by_type.get(kind, self._others) if isinstance(kind, str) else self._others


def _named(kind: str, known: Mapping[str, T], name: str, action: ActionDefinition) -> T:
    if name not in known:
        names = ", ".join(known) or "none"
        message = f"no plugin has the {kind} {name!r}; known are: {names}"
        raise DefinitionError([Fault(message, "", action.slug)])
    return known[name]
