"""The requests of a definition: what they send, and how their answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from destinations.outcome import WaitFor

__all__ = [
    "AnswerRule",
    "ArrayFormat",
    "ErrorClass",
    "ErrorCondition",
    "ErrorRule",
    "FailedItems",
    "GraphQLDefinition",
    "JsonSchema",
    "PendingDefinition",
    "ReconcileDefinition",
    "Refusal",
    "RequestDefinition",
    "RestDefinition",
    "Signature",
]

JsonSchema = Mapping[str, Any]
ArrayFormat = Literal["repeat", "brackets", "comma", "json"]
ErrorClass = Literal[
    "authentication",
    "permission",
    "not_found",
    "invalid",
    "conflict",
    "rate_limit",
    "timeout",
    "unavailable",
    "internal",
]


@dataclass(frozen=True, slots=True)
class ErrorCondition:
    """All that is not None must hold. ``status`` holds codes (429) and classes (``5xx``).

    ``root_field`` is the alias of the one that failed, where a GraphQL request has several.
    """

    status: tuple[int | str, ...] | None = None
    code: str | None = None
    exception: str | None = None
    message: str | None = None
    body: JsonSchema | None = None
    root_field: str | None = None

    def __str__(self) -> str:
        parts = [] if self.status is None else [f"status {' or '.join(map(str, self.status))}"]
        parts += [
            f"{name} {value}"
            for name, value in (("code", self.code), ("exception", self.exception))
            if value is not None
        ]
        parts += [] if self.message is None else [f"message like {self.message}"]
        parts += [] if self.body is None else ["a body that fits"]
        parts += [] if self.root_field is None else [f"root field {self.root_field}"]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """How one kind of error is read.

    ``retryable``: the same request may succeed later. ``nothing_applied``: the error proves that
    the request changed nothing, so even one that is not idempotent may be sent again.
    ``attempts`` bounds the attempts for this error, the first one included. ``concerns`` says what
    a refusal of a whole request is about, None if the status does. ``wait_for`` is what a server
    waits for, instead of counting ``attempts``.
    """

    when: ErrorCondition
    error_class: ErrorClass
    retryable: bool
    nothing_applied: bool
    description: str = ""
    attempts: int | None = None
    concerns: Literal["event", "request"] | None = None
    wait_for: WaitFor | None = None


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """An error that is an answer: the action's generator receives it under ``name``."""

    name: str
    when: ErrorCondition


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer without an error that says no for good; ``message`` is a mapping on ``answer``."""

    when: JsonSchema
    message: object


@dataclass(frozen=True, slots=True)
class GraphQLDefinition:
    """One operation, with one root field or several in order, and its variables as mappings."""

    document: str
    variables: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Signature:
    """A header with the hex HMAC of the body; ``secret`` is a mapping on ``settings``."""

    header: str
    algorithm: Literal["sha1", "sha256"]
    secret: object


@dataclass(frozen=True, slots=True)
class FailedItems:
    """How an answer to a batch names the events that it says no to; the others are delivered.

    ``items`` is a mapping on the body, the others are mappings on an item, but ``event_id``, which
    is one on the ``json`` of an event. An event is named by its ``index`` (from 0), or by
    ``item_id``, which is equal to its ``event_id``, or else by the item's own place. An
    ``item_status`` of 2xx is no failure. Only answers with one of ``statuses`` are read so.
    """

    statuses: tuple[int, ...]
    items: object
    index: object = None
    message: object = None
    item_id: object = None
    event_id: object = None
    item_status: object = None
    code: object = None


@dataclass(frozen=True, slots=True)
class RestDefinition:
    """An HTTP call; everything but the method is a mapping. At most one of ``json``, ``form``.

    ``array_format`` is how lists and objects in ``query`` and ``form`` are written.

    It goes to ``url``, or else to the transport's base URL, with each item of ``path`` as one
    segment below.
    ``batch_json`` makes the body of a batch, as a mapping on ``items`` (the events' ``json``) and
    ``settings``; without it, the body is the list of them.
    """

    method: str
    url: object = None
    path: tuple[object, ...] = ()
    query: Mapping[str, object] = field(default_factory=dict)
    array_format: ArrayFormat | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, object] | None = None
    sign: Signature | None = None
    batch_json: object = None
    failed_items: FailedItems | None = None


@dataclass(frozen=True, slots=True)
class PendingDefinition:
    """A call that is not written yet, and what is missing; it is never sent."""

    missing: str


@dataclass(frozen=True, slots=True)
class ReconcileDefinition:
    """How a lost answer is settled: the request ``ask`` asks the partner for the balance.

    ``key`` and ``amount`` are mappings on ``payload``; ``shown``, ``period`` and ``until`` on
    ``answer``. ``nothing`` are the names of answers that mean an amount of 0. ``after`` so many
    seconds a request has arrived, or never will: then it is asked.
    """

    ask: str
    key: object
    amount: object
    shown: object
    period: object = None
    until: object = None
    nothing: tuple[str, ...] = ()
    after: float = 120.0


@dataclass(frozen=True, slots=True)
class RequestDefinition:
    """One named request; ``call`` is its GraphQL or REST part, ``example`` an answer to it.

    ``atomic`` tells that it leaves nothing half done, if it is one of several for an event.
    ``on_lost_answer`` says what follows a lost answer that the partner cannot be asked about. A
    batch has ``batch_size`` events at most, and a body of ``batch_bytes`` if it has several.
    """

    name: str
    description: str
    idempotent: bool
    call: GraphQLDefinition | RestDefinition | PendingDefinition
    atomic: bool = False
    batch_size: int = 1
    batch_bytes: int | None = None
    remember: bool = False
    expect: JsonSchema | None = None
    refusals: tuple[Refusal, ...] = ()
    answers: tuple[AnswerRule, ...] = ()
    error_rules: tuple[ErrorRule, ...] = ()
    reconcile: ReconcileDefinition | None = None
    on_lost_answer: Literal["hold", "resend"] = "hold"
    example: Any = None
