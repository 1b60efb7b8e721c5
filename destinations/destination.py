"""A destination ready to run: a definition with its settings, compiled once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from destinations.action import Action, Generator, Payload, Subscription
from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.errors import DefinitionError, Fault
from destinations.event import Event, integrations_allow, missing_fields
from destinations.outcome import Outcome, Result
from destinations.request import CompiledRequest, compile_request
from destinations.settings import Settings

__all__ = ["Delivery", "Destination"]


@dataclass(slots=True)
class Delivery:
    """One event through one subscription, ready to be sent."""

    subscription: Subscription
    event: Event
    payload: Payload


class Destination:
    """A definition bound to settings; the same object serves any number of events and threads."""

    def __init__(
        self,
        definition: DestinationDefinition,
        settings: Settings,
        generators: Mapping[str, Generator] | None = None,
    ) -> None:
        self.definition = definition
        self.settings = settings
        self.requests: Mapping[str, CompiledRequest] = {
            name: compile_request(request, definition.transport, definition.error_rules)
            for name, request in definition.requests.items()
        }
        actions = {
            slug: self._action(action, generators or {})
            for slug, action in definition.actions.items()
        }
        self.subscriptions = tuple(
            Subscription(preset, actions[preset.partner_action]) for preset in definition.presets
        )

    def admit(self, event: Event) -> Result | None:
        """Why no action may see this event; None if they may."""
        key = self.definition.integrations_key
        if not integrations_allow(event, key):
            reason = f"the event's integrations object keeps it from {key}"
            return Result(Outcome.FILTERED, reason)
        missing = missing_fields(event, self.definition.required_event_fields)
        if missing:
            reason = f"400 Bad Request: {self.definition.name} needs {', '.join(missing)}"
            return Result.invalid(reason, "BAD_REQUEST")
        return None

    def deliveries(
        self, event: Event, *, only: str | None = None
    ) -> Iterator[tuple[str | None, Delivery | Result]]:
        """For each subscription that matches: its action's slug, and a delivery or its end.

        ``only`` restricts this to one action. Exactly one pair without a slug, ``filtered``, comes
        if no subscription matches.
        """
        matched = False
        for subscription in self.subscriptions:
            slug = subscription.action.definition.slug
            if (only is None or only == slug) and subscription.fql.matches(event):
                matched = True
                payload = subscription.payload(event)
                if isinstance(payload, Result):
                    yield slug, payload
                else:
                    yield slug, Delivery(subscription, event, payload)
        if not matched:
            reason = f"no subscription takes {event['type']} events"
            yield None, Result(Outcome.FILTERED, reason)

    def _action(self, definition: ActionDefinition, generators: Mapping[str, Generator]) -> Action:
        perform = definition.perform
        if perform.generator is None:
            assert perform.request is not None  # noqa: S101 - one of both, says the schema
            return Action(definition, {perform.request: self.requests[perform.request]})
        if perform.generator not in generators:
            known = ", ".join(generators) or "none"
            message = f"no plugin has the generator {perform.generator!r}; known are: {known}"
            raise DefinitionError([Fault(message, "/perform/generator", definition.slug)])
        requests = {name: self.requests[name] for name in perform.requests}
        return Action(definition, requests, generators[perform.generator])
