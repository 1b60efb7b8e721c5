"""The requests of a definition as data: calls, and the rules that read their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.outcome import WaitFor

__all__ = [
    "ANSWER_BYTES",
    "AnswerRule",
    "ArrayFormat",
    "ErrorClass",
    "ErrorCondition",
    "ErrorRule",
    "FailedItems",
    "GraphQLDefinition",
    "IdempotencyKey",
    "JsonSchema",
    "ListedDefinition",
    "PendingDefinition",
    "ReconcileDefinition",
    "Refusal",
    "RequestDefinition",
    "RestDefinition",
    "Signature",
]

ANSWER_BYTES: Final = 16 * 1024 * 1024
"""The largest answer by default: more than most need, less than would hurt."""

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
    """The condition of a rule: every part that is not None must hold.

    ``status`` holds codes (429) and classes (``5xx``). ``root_field`` is the alias of the root
    field that failed, for a GraphQL request with several.
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
    """The treatment of one kind of error.

    ``retryable``: the same request may succeed later. ``nothing_applied``: the error proves that
    the request changed nothing, so even a request that is not idempotent may be sent again.
    ``attempts`` is the highest number of attempts for this error, including the first.
    ``concerns`` says what refused a whole request is about; None derives it from the status.
    ``wait_for`` names what a server waits for, instead of counting ``attempts``.
    ``repeat_means`` says what the event is if an earlier attempt may have been applied: the error
    proves that the partner has it.
    """

    when: ErrorCondition
    error_class: ErrorClass
    retryable: bool
    nothing_applied: bool
    description: str = ""
    attempts: int | None = None
    concerns: Literal["event", "request"] | None = None
    wait_for: WaitFor | None = None
    repeat_means: Literal["delivered"] | None = None


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """An error that counts as an answer; the action's generator receives it as ``name``."""

    name: str
    when: ErrorCondition


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that refuses for good, not an error; ``message`` is a mapping on ``answer``."""

    when: JsonSchema
    message: object


@dataclass(frozen=True, slots=True)
class GraphQLDefinition:
    """One GraphQL operation and the mappings of its variables."""

    document: str
    variables: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Signature:
    """A header with an HMAC; ``secret`` is a mapping on ``settings``.

    ``message`` is what is signed, with the placeholders ``body`` and ``timestamp``. ``value`` is
    what the header holds, with ``signature`` and ``timestamp``. The time is in whole seconds, and
    is also sent in ``timestamp_header``. The body is signed before it is compressed.
    """

    header: str
    algorithm: Literal["sha1", "sha256", "sha512"]
    secret: object
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: str | None = None
    message: str = "{{body}}"
    value: str = "{{signature}}"
    secret_encoding: Literal["text", "base64"] = "text"  # noqa: S105 - the name of an encoding


@dataclass(frozen=True, slots=True)
class FailedItems:
    """The form in which an answer lists failed events; the others are delivered.

    ``items`` is a mapping on the body, ``event_id`` one on an event's ``json``; the others are
    mappings on an item. An item names its event by ``index`` (from 0), or by an ``item_id`` equal
    to the event's ``event_id``, or else by its own position. An ``item_status`` of 2xx is a
    success. Only answers with one of ``statuses`` are read this way.
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
    """An HTTP call; every part but ``method`` and ``gzip`` is a mapping.

    It has at most one body: ``json``, ``form``, ``text``, or ``ndjson``, the lines of one event.
    ``gzip`` says that it is sent compressed. The URL is ``url``, or the transport's base URL
    followed by each item of ``path`` as one segment. ``array_format`` is the format of lists and
    objects in ``query`` and ``form``. ``batch_json`` maps ``items`` (the events' ``json``) and
    ``settings`` to the body of a batch; without it, the body is the list of items. With
    ``all_or_nothing`` nothing of a batch is applied if one of its events fails.
    """

    method: str
    url: object = None
    path: tuple[object, ...] = ()
    query: Mapping[str, object] = field(default_factory=dict)
    array_format: ArrayFormat | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, object] | None = None
    text: object = None
    ndjson: tuple[object, ...] = ()
    gzip: bool = False
    sign: Signature | None = None
    batch_json: object = None
    failed_items: FailedItems | None = None
    all_or_nothing: bool = False


@dataclass(frozen=True, slots=True)
class PendingDefinition:
    """A call that is not written yet, with the missing information; it is never sent."""

    missing: str


@dataclass(frozen=True, slots=True)
class ReconcileDefinition:
    """The way to settle a lost answer: the request ``ask`` asks for the balance.

    ``key`` and ``amount`` are mappings on ``payload``; ``shown``, ``period`` and ``until`` on
    ``answer``. The answers named in ``nothing`` mean a balance of 0. The partner is asked
    ``after`` seconds, when the lost request has either arrived or never will.
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
class IdempotencyKey:
    """A key by which the partner recognises a repeated request for ``seconds``.

    ``source`` is a mapping on ``event`` and ``payload``. The key stands in a ``header``, or in the
    ``field`` of each event's ``json`` or ``form``.
    """

    source: object
    seconds: float
    header: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ListedDefinition:
    """Another source of answers to a request: the list that ``request`` returns.

    The answer is the object whose ``key`` equals ``value``, a mapping on the request's ``payload``.
    If there is none, it is the one of the request's ``answers`` that is called ``absent``.
    """

    request: str
    key: str
    value: object
    absent: str


@dataclass(frozen=True, slots=True)
class RequestDefinition:
    """One named request; ``call`` is its GraphQL or REST part, ``example`` an answer to it.

    ``read_only`` says that it changes nothing, though its method may.
    ``atomic`` says that it never leaves an event half done when an event needs several requests.
    ``on_lost_answer`` decides after a lost answer that the partner cannot be asked about. A batch
    has at most ``batch_size`` events and, unless it is a single event, ``batch_bytes`` bytes. Its
    answer has at most ``answer_bytes``.
    """

    name: str
    description: str
    idempotent: bool
    call: GraphQLDefinition | RestDefinition | PendingDefinition
    read_only: bool = False
    atomic: bool = False
    batch_size: int = 1
    batch_bytes: int | None = None
    listed: ListedDefinition | None = None
    answer_bytes: int = ANSWER_BYTES
    remember: bool = False
    expect: JsonSchema | None = None
    refusals: tuple[Refusal, ...] = ()
    answers: tuple[AnswerRule, ...] = ()
    error_rules: tuple[ErrorRule, ...] = ()
    reconcile: ReconcileDefinition | None = None
    on_lost_answer: Literal["hold", "resend"] = "hold"
    idempotency_key: IdempotencyKey | None = None
    example: Any = None
