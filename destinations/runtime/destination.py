"""Bind a definition to its settings and compile it: a destination that is ready to run."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from destinations._version import __version__
from destinations.definition import (
    ActionDefinition,
    DestinationDefinition,
    IdempotencyKey,
    Preset,
)
from destinations.definition.settings import Settings
from destinations.definition.url_pieces import chosen_urls
from destinations.errors import DefinitionError, Issue, ResolveError
from destinations.http import CompiledRequest, compile_request
from destinations.http.environment import check_address, environment_issues
from destinations.http.json_bytes import decode_json
from destinations.oauth2 import Access, AccessTokens, TokenEndpoint, check_library
from destinations.outcome import Outcome, Result
from destinations.runtime.action import (
    Action,
    Generator,
    Mapper,
    Payload,
    Subscription,
    VersionedMapper,
)
from destinations.runtime.steps import Steps
from destinations.runtime.subscription_key import KEYS_MARK, MARK, SubscriptionKey
from destinations.secrets import reveal
from destinations.segment.event import (
    DELETE,
    EVENT_TYPES,
    Event,
    integrations_allow,
    missing_fields,
    with_timestamp,
    without_blank_traits,
)
from destinations.segment.filters import EventFilters
from destinations.segment.fql import overlap
from destinations.segment.identifiers import IdentifierCheck, blank_check
from destinations.segment.mapping import compile_value
from destinations.segment.patterns import compile_pattern

__all__ = ["Code", "Delivery", "Destination", "missing_code"]

T = TypeVar("T")


class Delivery:
    """One event for one subscription, ready to be sent.

    Built from the payload or its JSON, and from the raw event where needed; JSON is parsed on first
    access. A raw event was first received at ``received_at``, and has still what ``filters`` take
    out. The delivery ``resumes`` if an earlier attempt may have changed something; then it must not
    be sent from the time ``repeat_until`` on.
    """

    __slots__ = (
        "_event",
        "_payload",
        "filters",
        "payload_json",
        "raw",
        "received_at",
        "repeat_until",
        "resumes",
        "subscription",
    )

    def __init__(  # noqa: PLR0913 - the columns of a queue
        self,
        subscription: Subscription,
        event: Event | None = None,
        payload: Payload | None = None,
        *,
        payload_json: bytes = b"",
        raw: bytes | None = None,
        received_at: float | None = None,
        resumes: bool = False,
        filters: EventFilters | None = None,
        repeat_until: float | None = None,
    ) -> None:
        self.repeat_until = repeat_until
        self.filters = filters
        self.received_at = received_at
        self.subscription = subscription
        self._event = event
        self._payload = payload
        self.payload_json = payload_json
        self.raw = raw
        self.resumes = resumes

    @property
    def event(self) -> Event:
        """Return the event; empty if it was not kept because no request reads it."""
        if self._event is None:
            self._event = {} if self.raw is None else decode_json(self.raw)
            if self.received_at is not None:
                self._event = with_timestamp(self._event, self.received_at)
            if self.filters is not None:
                self._event = self.filters.apply(self._event)
        return self._event

    @property
    def payload(self) -> Payload:
        """Return the payload: the fields that the mapping filled from the event."""
        if self._payload is None:
            self._payload = decode_json(self.payload_json)
        return self._payload


@dataclass(frozen=True, slots=True)
class Code:
    """A plugin's generators and mappers, by the names that the definition uses.

    ``source`` says where they come from, for messages; it is set when a plugin is asked for them.
    """

    generators: Mapping[str, Generator] = field(default_factory=dict)
    mappers: Mapping[str, Mapper] = field(default_factory=dict)
    source: str = field(default="", compare=False)


def _place_of(key: IdempotencyKey) -> tuple[str | None, ...]:
    """Return where a key stands; the name of a header is the same in any case."""
    return (key.field,) if key.header is None else (key.field, key.header.lower())


class Destination:
    """A definition bound to settings; one object serves any number of events and threads."""

    def __init__(
        self,
        definition: DestinationDefinition,
        settings: Settings,
        code: Code | None = None,
    ) -> None:
        self.definition = definition
        self.settings = settings
        self.requests = _compiled(_Requests(definition))
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
        self.deletion = _deletion(definition, self.requests)
        """The subscription of events that delete a user; None if the partner is not asked to."""
        placeholders, blank_traits = definition.placeholders, definition.blank_traits
        self._identifiers = IdentifierCheck(placeholders) if placeholders else None
        self._is_blank = None if blank_traits is None else blank_check(blank_traits)
        self._routes = _Routes(self.subscriptions)
        self.filters = EventFilters(definition.filters) if definition.filters else None
        """What is left out of events, or of all of them, before subscriptions see them."""
        self._digest: tuple[float, Sequence[str], str] = (0.0, (), "")
        self._texts: list[str] = []
        self._keys: list[str] = []
        self.public_only = False
        """Whether its requests only go to addresses of the public internet."""
        self.token_owner: str | None = ""
        """The full name of the scope of a customer whose settings these are; see `AccessTokens`."""
        self.tokens: AccessTokens | None = AccessTokens()
        """Its access tokens (OAuth2); they are in memory only unless `keep_tokens` is called."""

    @cached_property
    def access(self) -> Access | None:
        """What sends its requests with access tokens; None if they need none."""
        if self.tokens is None:
            return None
        return self.tokens.of(
            self.definition,
            self.settings,
            public_only=self.public_only,
            owner=self.token_owner,
        )

    def keep_tokens(self, tokens: AccessTokens | None) -> None:
        """Let access tokens be kept elsewhere, also those of what `with_settings` returns.

        With None none are asked for: requests have a placeholder, which no partner takes.
        """
        self.tokens = tokens
        self.__dict__.pop("access", None)

    def with_settings(
        self, settings: Settings, code: Code | None = None, *, public_only: bool = False
    ) -> Destination:
        """Return the same destination with other settings, and the mappers of ``code`` if given.

        What is compiled is shared, so that there can be one for each of thousands of customers.
        With ``public_only``, as a stranger chose where requests go, they only go to addresses of
        the public internet.
        """
        other = copy.copy(self)
        other.public_only = public_only
        for name in ("access", "by_key", "actions", "_versioned_mappers", "_static_digest"):
            other.__dict__.pop(name, None)
        other._bind(settings, code)  # noqa: SLF001 - its own
        return other

    def _bind(self, settings: Settings, code: Code | None) -> None:
        """Take other settings and mappers."""
        self.settings = settings
        self._digest = (0.0, (), "")
        if code is None:
            return
        shared = self.subscriptions
        self.subscriptions = tuple(
            one.with_mapper(_mapper(one.action.definition, code)) for one in shared
        )
        if any(one is not own for one, own in zip(self.subscriptions, shared, strict=True)):
            self._routes = _Routes(self.subscriptions)

    def request_issues(self) -> Sequence[str]:
        """Return the issues in the settings that prevent requests, each of them once."""
        prevented: dict[str, list[str]] = {}
        for name, request in self.requests.items():
            try:
                url = request.fixed_url(self.settings)
            except ResolveError as error:
                issue: str | None = str(error)
            else:
                issue = None if url is None else check_address(url)
            if issue is not None:
                prevented.setdefault(self.settings.masker.text(issue), []).append(name)
        found = [
            f"with these settings the {_requests(names)} cannot be sent: {issue}"
            for issue, names in prevented.items()
        ]
        if self.definition.oauth2 is not None:
            check_library()
            why = TokenEndpoint(self.definition.oauth2, self.settings).issue()
            found += [self.settings.masker.text(why)] if why else []
        return found

    def environment_issues(self) -> Sequence[str]:
        """Return the issues in the environment that prevent connections."""
        urls: dict[str, None] = {}
        for request in self.requests.values():
            with contextlib.suppress(ResolveError):  # reported by `request_issues`
                url = request.fixed_url(self.settings)
                if url is not None:
                    urls[url] = None
        return environment_issues(list(urls))

    def admit(self, event: Event) -> Result | None:
        """Return why no action may receive this event; None if they may."""
        key = self.definition.integrations_key
        # Most events have no integrations object.
        if event.get("integrations") and not integrations_allow(event, key):
            reason = f"the event's integrations object excludes {key}"
            return Result(Outcome.FILTERED, reason)
        deletes = event["type"] == DELETE
        if deletes and self.deletion is None:
            reason = f"{self.definition.name} cannot be asked to delete users"
            return Result(Outcome.FILTERED, reason)
        # A rule to drop or sample events is not meant for the wish to be deleted.
        if self.filters is not None and not deletes and (why := self.filters.reason(event)):
            return Result(Outcome.FILTERED, why)
        required = () if deletes else self.definition.required_event_fields
        for name in required:
            if not event.get(name):
                missing = ", ".join(missing_fields(event, required))
                reason = f"{self.definition.name} needs {missing}"
                return Result.invalid(reason, "BAD_REQUEST")
        user = event.get("userId")
        if user and self._identifiers is not None and not self._identifiers.holds(user):
            return Result.invalid(f"userId {self._identifiers.fault(user)}", "BAD_REQUEST")
        return None

    def prepare(self, event: Event, received_at: float) -> Event:
        """Return the event for subscriptions and mappings: with a timestamp, without blank traits.

        See `plan` for ``received_at``; the definition says which traits are blank. What filters
        take out is not in it.
        """
        event = self.carry(event, received_at)
        return event if self._is_blank is None else without_blank_traits(event, self._is_blank)

    def carry(self, event: Event, received_at: float) -> Event:
        """Return the event for requests: with a timestamp, without what filters take out."""
        event = with_timestamp(event, received_at)
        return event if self.filters is None else self.filters.apply(event)

    def payloads(
        self, event: Event, *, only: SubscriptionKey | None = None
    ) -> list[tuple[Subscription | None, Payload | Result]]:
        """Return, for each matching subscription, the payload or the result that ends the event.

        ``only`` restricts this to one subscription, which may be that of an operator action; these
        match no event otherwise. If no subscription matches, the only pair has None and the result
        ``filtered``.
        """
        asked = None if only is None else self.operator_subscriptions.get(only)
        if asked is not None:
            return [(asked, asked.payload(event))]
        if event["type"] == DELETE:
            one = self.deletion
            if one is None or only not in {None, one.key}:
                return [(None, not_taken(DELETE))]
            return [(one, one.payload(event))]
        routes = self._routes.of(event["type"])
        found: list[tuple[Subscription | None, Payload | Result]] = [
            (subscription, subscription.payload(event))
            for matches, subscription in routes
            if (only is None or only == subscription.key) and (matches is None or matches(event))
        ]
        return found or [(None, not_taken(event["type"] if not routes else ""))]

    @cached_property
    def by_key(self) -> Mapping[SubscriptionKey, Subscription]:
        """Return all subscriptions by their keys, those of operator actions included."""
        of_events = {subscription.key: subscription for subscription in self.subscriptions}
        of_deletion = {} if self.deletion is None else {self.deletion.key: self.deletion}
        return {**of_events, **of_deletion, **self.operator_subscriptions}

    def successors(self, key: SubscriptionKey) -> Sequence[Subscription]:
        """Return the subscriptions that a delivery for ``key`` can belong to today.

        That is the subscription with this key; if it is gone or was renamed, those of its action.
        """
        own = self.by_key.get(key)
        if own is not None:
            return (own,)
        return [one for one in self.by_key.values() if one.key.action == key.action]

    @cached_property
    def counts_once(self) -> frozenset[str]:
        """Return the actions that count an event at most once, whichever subscription takes it.

        They add to an amount, and no two of their subscriptions receive the same event, unless
        that is asked for. So what another subscription has sent is known when one is renamed, or
        when two take its place.
        """
        definition = self.definition
        if definition.allow_overlap:
            return frozenset()
        adding = [one for one in self.subscriptions if definition.adds(one.action.definition)]
        overlapping = {
            one.key.action
            for one, other in itertools.combinations(adding, 2)
            # A connection without them was checked.
            if one.key.action == other.key.action
            and not definition.connection
            and overlap(one.fql, other.fql) is not None
        }
        return frozenset(one.key.action for one in adding) - overlapping

    @cached_property
    def actions(self) -> Mapping[str, Action]:
        """Return the actions with a subscription, and operator actions, by slug."""
        return {one.action.slug: one.action for one in self.by_key.values()}

    @property
    def plan_digest(self) -> str:
        """Return the digest of all that a plan depends on: definition, settings, rules, package.

        It ends with an @ and the version of the connection, if there is one, see `connection_of`.
        An event with another digest has to be planned again. The digest may lag behind the rules
        for a moment, but is never ahead of them: at worst an event is planned twice with the same
        result.
        """
        mappers = self._versioned_mappers
        if not mappers:
            return self._named(self._static_digest)
        now = time.monotonic()
        until, known, digest = self._digest
        if now >= until:
            versions = [mapper.version for mapper in mappers]
            if versions != known:
                text = "\0".join([self._static_digest, *versions])
                digest = self._named(hashlib.blake2b(text.encode(), digest_size=8).hexdigest())
            self._digest = (now + _DIGEST_SECONDS, versions, digest)
        return digest

    @property
    def keys_digest(self) -> str:
        """Return the digest of how requests get their idempotency keys; empty if none has any.

        What was sent under another one must not be sent again: its key may be another one now.
        """
        if not self._keys:
            keys = {
                name: (one.idempotency_key.source, *_place_of(one.idempotency_key))
                for name, one in sorted(self.definition.requests.items())
                if one.idempotency_key is not None
            }
            text = json.dumps(keys, sort_keys=True, default=repr)
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4)
            self._keys.append(digest.hexdigest() if keys else "")
        return self._keys[0]

    def _named(self, digest: str) -> str:
        connection = self.definition.connection
        if self.keys_digest:
            digest = f"{digest}{KEYS_MARK}{self.keys_digest}"
        return f"{digest}{MARK}{connection}" if connection else digest

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
        parts = [__version__, self._text, json.dumps(settings, sort_keys=True)]
        data = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    @property
    def _text(self) -> str:
        """The definition as text, made once for all settings: it is long."""
        if not self._texts:
            self._texts.append(repr(self.definition))
        return self._texts[0]

    @property
    def endpoint(self) -> str:
        """Return the URL that the settings or a stand-in give; secrets in it are masked."""
        if self.definition.transport.stand_in is not None:
            return self.definition.transport.stand_in
        context = {"event": {}, "payload": {}, "settings": self.settings}
        base = self.definition.transport.base_url
        chosen = chosen_urls(base)
        if chosen is not None:
            base = chosen[1].get(str(self.settings.get(chosen[0])))
        url = str(compile_value(base).resolve(context))
        return self.settings.masker.text(url)

    @property
    def environments(self) -> list[str]:
        """Return the partner's environments that the settings may be for."""
        properties: Mapping[str, Mapping[str, Any]] = self.definition.settings["properties"]
        return [
            name
            for key, spec in properties.items()
            for name, pattern in spec.get("x-environments", {}).items()
            if compile_pattern(pattern)(reveal(self.settings.get(key, "")))
        ]

    def _action(self, definition: ActionDefinition, code: Code) -> Action:
        perform = definition.perform
        mapper = _mapper(definition, code)
        requests = {name: self.requests[name] for name in perform.names}
        generator: Generator | None = None
        if perform.steps:
            changing = {name for name, request in requests.items() if not request.is_safe}
            generator = Steps(perform, changing)
        elif perform.generator is not None:
            name = perform.generator
            generator = _named("generator", code.generators, name, definition, code.source)
        return Action(definition, requests, generator, mapper, code.source)


def _mapper(definition: ActionDefinition, code: Code) -> Mapper | None:
    """Return the mapper that an action names; raises `DefinitionError` if there is none."""
    unmapped = definition.unmapped
    if unmapped is None or unmapped.mapper is None:
        return None
    return _named("mapper", code.mappers, unmapped.mapper, definition, code.source)


class _Requests:
    """The part of a definition that its requests are made of, as a key.

    Keys are equal if they have the very same parts: other transport settings make no difference.
    """

    __slots__ = ("_parts", "definition")

    def __init__(self, definition: DestinationDefinition) -> None:
        transport = definition.transport
        self.definition = definition
        # They live as long as the key, so that no other object gets their identity.
        self._parts = (
            *(id(definition.requests), id(definition.error_rules)),
            *(id(transport.base_url), id(transport.headers), transport.auth),
            transport.stand_in,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Requests) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)


@lru_cache(maxsize=8)
def _compiled(key: _Requests) -> Mapping[str, CompiledRequest]:
    """Compile a definition's requests, which are the same with all settings."""
    definition = key.definition
    return {
        name: compile_request(request, definition.transport, definition.error_rules)
        for name, request in definition.requests.items()
    }


def _deletion(
    definition: DestinationDefinition, requests: Mapping[str, CompiledRequest]
) -> Subscription | None:
    """Return the subscription that ``onDelete`` makes; FQL is never asked for such events."""
    action = definition.deletion
    if action is None:
        return None
    made = {name: requests[name] for name in action.perform.names}
    preset = Preset(action.slug, action.slug, f'type = "{DELETE}"', action.default_mapping)
    return Subscription(preset, Action(action, made), definition.placeholders)


def _of_operator(action: Action, placeholders: Sequence[str]) -> Subscription:
    """Return the subscription of an operator action.

    Its name is the action's slug. No route leads to it, so its FQL is never tested.
    """
    definition = action.definition
    preset = Preset(action.slug, action.slug, 'type = "none"', definition.default_mapping)
    return Subscription(preset, action, placeholders)


@lru_cache(maxsize=16)
def not_taken(kind: str = "") -> Result:
    """Return the result of an event that no subscription takes; ``kind`` if none takes its type."""
    what = f"{kind} events" if kind else "this event"
    return Result(Outcome.FILTERED, f"no subscription takes {what}")


class _Route(NamedTuple):
    """A subscription with its test of events; None if only the type decides."""

    matches: Callable[[Event], bool] | None
    subscription: Subscription


_DIGEST_SECONDS: Final = 0.05
"""Seconds between two checks of the rules in a store."""


def _requests(names: Sequence[str]) -> str:
    """Return how a message calls these requests: the first of many stand for all."""
    shown = ", ".join(names[:3])
    more = len(names) - 3
    if more > 0:
        return f"requests {shown} and {more} more"
    return f"request{'s' * (len(names) > 1)} {shown}"


class _Routes:
    """Finds the subscriptions that may take an event, by its type and in their order."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        routes: list[_Route] = [
            _Route(None if one.fql.asks_type_only else one.fql.matches, one)
            for one in subscriptions
        ]
        self._by_type = {
            kind: tuple(route for route in routes if kind in route.subscription.fql.types)
            for kind in EVENT_TYPES
        }

    def of(self, kind: str) -> tuple[_Route, ...]:
        """Return the subscriptions that may match an event of that type."""
        return self._by_type[kind]


def _named(
    kind: str, known: Mapping[str, T], name: str, action: ActionDefinition, source: str
) -> T:
    if name not in known:
        raise DefinitionError([Issue(missing_code(kind, name, known, source), "", action.slug)])
    return known[name]


def missing_code(kind: str, name: str, known: Iterable[str], source: str) -> str:
    """Return the message for a generator or mapper that a plugin does not have.

    ``source`` is that of its `Code`, empty if no plugin is installed.
    """
    has_none = f"{source} has no {kind}" if source else f"no plugin has the {kind}"
    return f"{has_none} {name!r}; known: {', '.join(known) or 'none'}"
