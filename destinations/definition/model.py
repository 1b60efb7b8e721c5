"""A destination as data: its YAML, checked and typed, before anything is compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from destinations.definition.oauth2_model import OAuth2Definition
from destinations.definition.request_model import (
    ErrorRule,
    JsonSchema,
    PendingDefinition,
    RequestDefinition,
)
from destinations.errors import Issue
from destinations.segment.filters import EventFilter

__all__ = [
    "AUTHORIZATION",
    "DELETION",
    "PATHS",
    "SUCCESS",
    "AccessTokenAuth",
    "ActionDefinition",
    "ApiKeyAuth",
    "Authentication",
    "BasicAuth",
    "BearerAuth",
    "DestinationDefinition",
    "Perform",
    "Preset",
    "RateLimit",
    "RequestAuth",
    "RetryDefinition",
    "Step",
    "Timeouts",
    "TransportDefinition",
    "Unmapped",
    "UsageDefinition",
    "UsageQuestion",
    "UsageStep",
    "Window",
]


AUTHORIZATION: Final = "Authorization"
"""The header of most credentials (RFC 9110, 11.6.2)."""

SUCCESS: Final = "ok"
"""The name of an answer that is a success."""

DELETION: Final = "onDelete"
"""The slug of the action that ``onDelete`` makes, and the name of its only subscription."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two reads, and for a whole request with its answer."""

    connect: float
    read: float
    total: float


@dataclass(frozen=True, slots=True)
class RetryDefinition:
    """The waits before a request is sent again; all times in seconds.

    The longest wait is ``base``, doubled with each attempt up to ``cap``. A ``Retry-After`` counts
    as ``max_retry_after`` at most.
    """

    base: float
    cap: float
    max_retry_after: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``requests`` requests in ``per`` seconds."""

    requests: int
    per: float


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """HTTP Basic, by the settings of user and password; without ``password`` it is empty."""

    header: ClassVar[str] = AUTHORIZATION
    query: ClassVar[None] = None

    user: str
    password: str | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that it is made of."""
        return (self.user,) if self.password is None else (self.user, self.password)


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """The header ``Authorization: Bearer ...`` with the value of a setting."""

    header: ClassVar[str] = AUTHORIZATION
    query: ClassVar[None] = None

    setting: str

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that it is made of."""
        return (self.setting,)


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """The value of a setting in a header, or as a parameter of the query."""

    setting: str
    header: str | None = None
    query: str | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that it is made of."""
        return (self.setting,)


@dataclass(frozen=True, slots=True)
class AccessTokenAuth:
    """The header ``Authorization: Bearer ...`` with an access token (OAuth2)."""

    header: ClassVar[str] = AUTHORIZATION
    query: ClassVar[None] = None
    settings: ClassVar[tuple[str, ...]] = ()


RequestAuth = BasicAuth | BearerAuth | ApiKeyAuth | AccessTokenAuth
"""How requests show whose they are."""


@dataclass(frozen=True, slots=True)
class TransportDefinition:
    """Settings that all requests share; ``headers`` is a mapping.

    ``base_url`` is a mapping, or an object that chooses a URL by a setting; see `chosen_urls`.
    ``auth`` says which settings are sent as credentials. ``stand_in`` is the origin of a stand-in
    for the partner, such as ``http://127.0.0.1:4000``, to which all requests go instead; no file
    says it.
    """

    base_url: object
    headers: Mapping[str, object]
    timeouts: Timeouts
    retry: RetryDefinition
    concurrency: int
    rate_limit: RateLimit | None = None
    auth: RequestAuth | None = None
    stand_in: str | None = None


PATHS: Final = "{paths}"


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Ends a payload that lacks the field ``missing`` as ``unmapped``, with this reason.

    `PATHS` in it stands for the paths that the mapping of the subscription reads for the field.

    The plugin's ``mapper`` of that name gets a chance to fill the field first.
    """

    missing: str
    reason: str
    mapper: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One of several requests of an event, which is made if all earlier answers fit ``when``.

    It holds, by the name of an earlier step, the name of an answer or the JSON Schema of a success.
    """

    name: str
    request: str
    when: Mapping[str, str | JsonSchema] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        """What must have been answered before, in words; empty if it is always made."""
        found = []
        for name, wanted in self.when.items():
            if isinstance(wanted, str):
                answer = "a success" if wanted == SUCCESS else wanted
                found.append(f"the answer to {name} is {answer}")
            else:
                schema = json.dumps(wanted, ensure_ascii=False, default=str)
                found.append(f"the answer to {name} fits {schema}")
        return " and ".join(found)


@dataclass(frozen=True, slots=True)
class Perform:
    """One request, steps, or a plugin's generator with the requests it may make.

    ``batch_size`` events at most go through a generator or steps together; see
    `destinations.runtime.generator_run`. ``repeatable`` steps may be made again after a lost
    answer, from the first one on, once ``repeat_after`` seconds are over. ``otherwise`` is what
    becomes of an event if steps are left out and none has changed anything; None rejects it.
    """

    request: str | None = None
    generator: str | None = None
    requests: tuple[str, ...] = ()
    batch_size: int = 1
    steps: tuple[Step, ...] = ()
    repeatable: bool = False
    repeat_after: float = 120.0
    otherwise: Literal["delivered", "filtered"] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all requests that it may make, each once."""
        if self.request is not None:
            return (self.request,)
        return tuple(dict.fromkeys((*self.requests, *(one.request for one in self.steps))))

    @property
    def with_payload(self) -> tuple[str, ...]:
        """The names of the requests that are made with the action's own payload."""
        return () if self.generator is not None else self.names


@dataclass(frozen=True, slots=True)
class Window:
    """The time within which the partner takes an event, by the mapping ``source``.

    ``source`` reads ``event`` and ``payload``. An event may be ``grace`` seconds old and ``ahead``
    seconds in the future; None sets no limit. ``then`` says what happens to any other event.
    ``grace_setting`` names the setting whose value is the grace of an account; ``grace`` is then
    its default.
    """

    source: object
    then: Literal["hold", "reject"]
    grace: float | None = None
    ahead: float | None = None
    grace_setting: str | None = None


@dataclass(frozen=True, slots=True)
class UsageStep:
    """A request on the way to what the partner has counted; its answer is called ``name``.

    With ``items``, a mapping on the answer, only the item counts whose members have the values of
    ``where``. ``next`` gives what the next page of that list is asked with.
    """

    name: str
    request: str
    items: object = None
    where: Mapping[str, object] = field(default_factory=dict)
    next: object = None


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """The question what the partner has counted; the last of its ``steps`` has the amount.

    ``shown`` and ``next`` are mappings on ``answer`` and ``answers``. The answers named in
    ``nothing`` mean 0. The partner counts by ``aligned`` seconds, and may take ``settles_after``
    seconds to do it; None where any time is fine, and where nothing is known.
    """

    steps: tuple[UsageStep, ...]
    shown: object
    next: object = None
    nothing: tuple[str, ...] = ()
    aligned: float | None = None
    settles_after: float | None = None


@dataclass(frozen=True, slots=True)
class UsageDefinition:
    """The usage that an event of an action is at the partner.

    ``user``, ``feature`` and ``amount`` are mappings on ``payload`` and ``settings``; ``at``, the
    time, reads ``event`` as well.
    """

    user: object
    feature: object
    ask: UsageQuestion
    at: object
    amount: object = 1


@dataclass(frozen=True, slots=True)
class ActionDefinition:
    """One action: its fields (JSON Schema; each default is a mapping) and what it performs.

    ``touches`` are mappings from a payload to the names of further accounts that an event touches.
    With ``operator``, only commands run the action, and no subscription may have it. Outside of its
    ``window`` no event is sent. ``usage`` says what its events count for, if that can be compared.
    """

    slug: str
    title: str
    description: str
    fields: JsonSchema
    perform: Perform
    method: str | None = None
    default_subscription: str | None = None
    unmapped: Unmapped | None = None
    touches: tuple[object, ...] = ()
    operator: bool = False
    window: Window | None = None
    usage: UsageDefinition | None = None

    @property
    def default_mapping(self) -> dict[str, object]:
        """Return the mapping made of the fields' defaults."""
        properties: Mapping[str, Mapping[str, object]] = self.fields["properties"]
        return {key: spec["default"] for key, spec in properties.items() if "default" in spec}


@dataclass(frozen=True, slots=True)
class Preset:
    """A subscription: which events (FQL) an action receives, and the mapping to its payload."""

    name: str
    partner_action: str
    subscribe: str
    mapping: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Authentication:
    """The settings that are credentials, and the request that tests them.

    ``account`` is a mapping on its answer: the partner's ID of the account; None if there is none.
    ``oauth2`` says how access tokens are got, if requests are sent with one.
    """

    scheme: str
    fields: tuple[str, ...]
    test: str
    account: object = None
    oauth2: OAuth2Definition | None = None


@dataclass(frozen=True, slots=True)
class DestinationDefinition:
    """A whole destination: the content of its folder."""

    name: str
    slug: str
    version: str
    description: str
    settings: JsonSchema
    transport: TransportDefinition
    requests: Mapping[str, RequestDefinition]
    actions: Mapping[str, ActionDefinition]
    presets: tuple[Preset, ...]
    error_rules: tuple[ErrorRule, ...]
    required_event_fields: tuple[str, ...]
    placeholders: tuple[str, ...]
    blank_traits: tuple[str, ...] | None
    integrations_key: str
    authentication: Authentication | None
    catalog: Mapping[str, Any]
    filters: tuple[EventFilter, ...] = ()
    """What a connection leaves out of events, or of all of them."""
    connection: str = ""
    """The version of its connection, see `Connection.version`; empty for its own presets.

    Where a part is that of another connection, the versions of both with a + between them.
    """
    allow_overlap: bool = False
    """Whether subscriptions of a connection that add to an amount may receive the same event."""
    deletion: ActionDefinition | None = None
    """The action of events that delete a user; None if the partner is not asked to."""
    warnings: tuple[Issue, ...] = field(default=(), repr=False, compare=False)
    """Issues that `check_folder` reports, but that do not stop loading, as they do no harm."""

    @property
    def all_actions(self) -> Mapping[str, ActionDefinition]:
        """Return all actions by slug, with the one that deletes users."""
        if self.deletion is None:
            return self.actions
        return {**self.actions, self.deletion.slug: self.deletion}

    @property
    def event_actions(self) -> Mapping[str, ActionDefinition]:
        """Return the actions that events can reach, by slug: all but operator actions."""
        return {slug: action for slug, action in self.actions.items() if not action.operator}

    @property
    def oauth2(self) -> OAuth2Definition | None:
        """Return how access tokens are got; None if requests have none."""
        return None if self.authentication is None else self.authentication.oauth2

    def adds(self, action: ActionDefinition) -> bool:
        """Return whether an action must take an event once.

        It adds to an amount at the partner, so that twice is double; or the partner recognises the
        event by a key, and takes the second one for a repeat.
        """
        requests = [self.requests[name] for name in action.perform.names]
        return any(one.reconcile is not None or one.idempotency_key is not None for one in requests)

    @property
    def pending_requests(self) -> tuple[str, ...]:
        """Return the names of the requests that are not written yet, in order."""
        pending = (r for r in self.requests.values() if isinstance(r.call, PendingDefinition))
        return tuple(request.name for request in pending)

    @property
    def secret_settings(self) -> tuple[str, ...]:
        """Return the names of the settings whose values are masked in all output."""
        properties: Mapping[str, Mapping[str, object]] = self.settings["properties"]
        return tuple(key for key, spec in properties.items() if spec.get("format") == "password")
