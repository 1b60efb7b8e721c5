"""Build GraphQL requests, one document for one event or many, and read their answers.

HTTP 200 does not mean success here: each event is judged by the value of its own alias, by the
errors whose path begins with that alias, and by what the definition expects of the value. For an
event with several root fields, the value is an object with the values of all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from destinations.definition import (
    ErrorRule,
    GraphQLDefinition,
    RequestDefinition,
    TransportDefinition,
)
from destinations.definition.graphql_document import (
    Operation,
    alias,
    parse_operation,
    variable_name,
)
from destinations.http.answer import Answer, Context, Failure, HttpRequest, HttpResponse, Part
from destinations.http.envelope import Envelope, error_text, one_line, parse_body, retry_after
from destinations.http.error_rules import ErrorReader, Signal, of_one
from destinations.http.idempotency import HEADER_PART, KeyMaker
from destinations.http.json_bytes import encode_json
from destinations.http.success import SuccessCheck
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.roots import reads

__all__ = ["GraphQLRequest"]

_NOTHING: Final = object()
_HIDDEN: Final = "the answer has no value for this event, as another one of the request failed"
_PAYLOAD = ({"@path": "$.payload"}, {"@path": "payload"})


class GraphQLRequest:
    """One GraphQL operation of a definition, compiled."""

    def __init__(
        self,
        definition: RequestDefinition,
        call: GraphQLDefinition,
        transport: TransportDefinition,
        error_rules: Sequence[ErrorRule],
    ) -> None:
        self.definition = definition
        self._operation = parse_operation(call.document)
        self.is_safe = self._operation.kind == "query" or definition.read_only
        self._names = [name for name, _ in self._operation.variables]
        self._keys = self._operation.keys
        self._variables = compile_value(dict(call.variables))
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._envelope = Envelope(transport, headers)
        rules = (*definition.error_rules, *error_rules)
        fixed = self._envelope.is_fixed
        self._errors = ErrorReader(
            *(definition.answers, rules),
            fixed_address=fixed,
            request=definition.name,
            own=len(definition.error_rules),
        )
        key = definition.idempotency_key
        self._key = None if key is None else KeyMaker(key, definition.name)
        self._success = SuccessCheck(definition)
        self.reads_event = reads(
            [
                *(dict(call.variables), transport.base_url, transport.headers),
                None if key is None else key.source,
            ],
            "event",
        )
        self.takes_payload_bytes = (
            self._envelope.is_fixed
            and key is None
            and len(self._names) == 1
            and dict(call.variables) in [{self._names[0]: path} for path in _PAYLOAD]
        )
        """Whether the only variable is the payload, whose bytes can then be used unchanged."""

    def fixed_url(self, settings: Mapping[str, Any]) -> str | None:
        """Return the URL if it is the same for every event; see `Envelope.fixed_url`."""
        return self._envelope.fixed_url(settings)

    def part(self, context: Context) -> Part:
        """Return the variables for one event; raises `ResolveError`."""
        resolved: Mapping[str, Any] = self._variables.resolve(context)
        part = {name: encode_json(value) for name, value in resolved.items()}
        return part if self._key is None else self._key.added_to(part, context)

    def key(self, part: Part | bytes, context: Context) -> Hashable:
        """Return a key that equal questions share; raises `ResolveError`."""
        own = part if isinstance(part, bytes) else tuple(sorted(part.items()))
        return own, self._envelope.key(context)

    def prepare(self, parts: Sequence[Part | bytes], context: Context) -> HttpRequest:
        """Return the HTTP request that carries the events with these parts, in this order."""
        pieces = []
        for index, part in enumerate(parts):
            if isinstance(part, bytes):
                pieces.append(b'"%s":%s' % (_variable(self._names[0], index), part))
            else:
                pieces += [
                    b'"%s":%s' % (_variable(name, index), part[name])
                    for name in self._names
                    if name in part
                ]
        head = _head(self._operation, len(parts))
        body = b"".join((head, b",".join(pieces), b"}}"))
        url, headers = self._envelope.target(context)
        first = parts[0]
        if self._key is not None and self._key.header is not None and not isinstance(first, bytes):
            headers = {**headers, self._key.header: first[HEADER_PART].decode()}
        may_list = self.is_safe and len(parts) == 1 and not self._keys
        return HttpRequest(
            *("POST", url, headers, body),
            answer_bytes=self.definition.answer_bytes,
            list_path=("data", alias(0)) if may_list else None,
        )

    def read(
        self,
        response: HttpResponse,
        count: int,
        parts: Sequence[Part | bytes] = (),  # noqa: ARG002 - aliases name the events
    ) -> list[Answer | Failure]:
        """Return one answer or failure for each of the ``count`` events of the request."""
        verdicts = [
            of_one(one, count) if _is_whole(one) else one for one in self._read(response, count)
        ]
        if not self._keys:
            return verdicts
        nothing = dict.fromkeys(self._keys)
        return [
            replace(verdict, data=nothing)
            if isinstance(verdict, Answer) and verdict.data is None
            else verdict
            for verdict in verdicts
        ]

    def failure_of(self, rule: ErrorRule, status: int) -> Failure:
        """Return what an error rule makes of an answer with this status, for a single event."""
        return self._errors.failure_of(rule, status)

    def _read(self, response: HttpResponse, count: int) -> list[Answer | Failure]:
        try:
            body = parse_body(response)
        except ValueError:
            body = None
        errors = _errors(body)
        if not 200 <= response.status < 300:
            return [self._whole(response, body, errors)] * count
        if not isinstance(body, dict) or (not errors and not isinstance(body.get("data"), dict)):
            return [_malformed(response, "not a GraphQL answer: expected data or errors")] * count
        keys = self._keys
        if not errors and (keys or self._all_succeeded(body["data"], count)):
            data: Mapping[str, Any] = body["data"]
            if not keys:
                return [Answer("ok", data[name]) for name in _aliases(count)]
            return [self._event(response, body, index, None, None) for index in range(count)]
        own: dict[int, tuple[int, Mapping[str, Any]]] = {}
        whole: Mapping[str, Any] | None = None
        places = _places(count, keys)
        for error in errors:
            path = error.get("path")
            place = places.get(path[0]) if isinstance(path, list) and _is_name(path) else None
            if place is not None:
                index, position = place
                if index not in own or position < own[index][0]:
                    own[index] = (position, error)
            elif whole is None:
                whole = error
        verdicts = [
            self._event(response, body, index, own.get(index), whole) for index in range(count)
        ]
        return verdicts if whole is not None else self._ended(body, own, verdicts)

    def _ended(
        self, body: Mapping[str, Any], own: Iterable[int], verdicts: list[Answer | Failure]
    ) -> list[Answer | Failure]:
        """Return the verdicts where the error of one event left null for all of them.

        Mutations run one after another (GraphQL specification, 6.2.2): those before it have run,
        and without an error. Nothing is known of those after it, nor of questions.
        """
        end = min(own, default=None)
        if end is None or body.get("data", _NOTHING) is not None:
            return verdicts
        ran = not self.is_safe and not self._keys and self._success.takes_anything
        return [
            verdict
            if index == end or not isinstance(verdict, Failure) or not verdict.whole_request
            else Answer("ok")
            if ran and index < end
            else replace(verdict, message=_HIDDEN, nothing_applied=self.is_safe, unplaced=True)
            for index, verdict in enumerate(verdicts)
        ]

    def _all_succeeded(self, data: Mapping[str, Any], count: int) -> bool:
        fits = self._success.fits
        for name in _aliases(count):
            value = data.get(name)
            if value is None or not fits(value):
                return False
        return True

    def _event(
        self,
        response: HttpResponse,
        body: Mapping[str, Any],
        index: int,
        own: tuple[int, Mapping[str, Any]] | None,
        whole: Mapping[str, Any] | None,
    ) -> Answer | Failure:
        """Return the result for the event at ``index``.

        ``own`` is that event's error with the position of the root field that failed, ``whole`` an
        error of the whole request.
        """
        data = body.get("data")
        value = self._value(data, index) if isinstance(data, dict) else None
        if own is not None:
            return self._failed(response, *own, data, value)
        if value is not None and None not in self._members(value):
            verdict = self._success.judge(value, response.status)
            # A refusal is about one root field; the others have run.
            return self._doubtful(verdict) if self._keys else verdict
        if whole is None:
            return _malformed(response, "the answer has no value for this event")
        verdict = self._errors.read(_signal(whole, response.status), whole_request=True)
        # Only an answer without `data` was refused before anything ran (GraphQL specification,
        # 7.1). Otherwise an error of the whole request proves nothing for one event, unless it
        # is about credentials.
        ran = "data" in body
        if ran and isinstance(verdict, Failure) and verdict.error_class != "authentication":
            return replace(verdict, nothing_applied=False)
        return verdict

    def _value(self, data: Mapping[str, Any], index: int) -> Any:
        """Return the value of an event's root field; for several, an object of their values."""
        if not self._keys:
            return data.get(alias(index))
        return {key: data.get(alias(index, key)) for key in self._keys}

    def _members(self, value: Any) -> Iterable[Any]:
        return value.values() if self._keys else ()

    def _failed(
        self, response: HttpResponse, position: int, error: Mapping[str, Any], data: Any, value: Any
    ) -> Answer | Failure:
        """Return the result that an error of one root field means for its event."""
        signal = _signal(error, response.status)
        if not self._keys:
            return self._errors.read(signal, whole_request=False)
        signal = replace(signal, root_field=self._keys[position])
        verdict = self._errors.read(signal, whole_request=False)
        if isinstance(verdict, Answer):
            return replace(verdict, data=value)
        # Root fields before it have run; those after it only if the error left null only for
        # this one.
        is_alone = position == 0 and not isinstance(data, dict)
        return verdict if is_alone else self._doubtful(verdict)

    def _doubtful(self, verdict: Answer | Failure) -> Answer | Failure:
        """Return a verdict that claims nothing about other root fields than its own."""
        if isinstance(verdict, Answer) or self.is_safe:
            return verdict
        return replace(verdict, nothing_applied=False)

    def _whole(
        self, response: HttpResponse, body: Any, errors: Sequence[Mapping[str, Any]]
    ) -> Answer | Failure:
        """Return the failure that an HTTP error status means for every event of the request."""
        signal = replace(
            _signal(errors[0] if errors else {}, response.status),
            message=error_text(response, body),
            body=body,
        )
        wait = retry_after(response)
        verdict = self._errors.read(signal, whole_request=True, retry_after=wait)
        ran = isinstance(body, dict) and body.get("data") is not None
        if ran and isinstance(verdict, Failure):
            return replace(verdict, nothing_applied=False)
        return verdict


@lru_cache(maxsize=4096)
def _head(operation: Operation, count: int) -> bytes:
    """Return the body up to the first variable."""
    return b'{"query":%s,"variables":{' % encode_json(operation.document(count))


@lru_cache(maxsize=16_384)
def _variable(name: str, index: int) -> bytes:
    return variable_name(name, index).encode()


def _is_name(path: Sequence[object]) -> bool:
    """Return whether an error's path begins with a name, as the specification demands."""
    return bool(path) and isinstance(path[0], str)


@lru_cache(maxsize=4096)
def _places(count: int, keys: tuple[str, ...]) -> Mapping[str, tuple[int, int]]:
    """Return (index of the event, position of the root field) by alias."""
    return {
        alias(index, key): (index, position)
        for index in range(count)
        for position, key in enumerate(keys or ("",))
    }


@lru_cache(maxsize=4096)
def _aliases(count: int) -> tuple[str, ...]:
    return tuple(alias(index) for index in range(count))


def _is_whole(verdict: Answer | Failure) -> bool:
    """Return whether a verdict is on the whole request, and says that the partner has an event."""
    return isinstance(verdict, Failure) and verdict.whole_request and verdict.is_there is not None


def _errors(body: Any) -> list[Mapping[str, Any]]:
    errors = body.get("errors") if isinstance(body, dict) else None
    return (
        [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    )


def _signal(error: Mapping[str, Any], status: int) -> Signal:
    extensions = error.get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    exception = extensions.get("exception")
    exception = exception if isinstance(exception, dict) else {}
    message = one_line(str(error.get("message") or exception.get("message") or ""))
    return Signal(
        status=status,
        message=message or "an error without a message",
        code=_text(extensions.get("code")),
        exception=_text(exception.get("name")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _malformed(response: HttpResponse, message: str) -> Failure:
    return Failure(message, "internal", response.status, retryable=True, nothing_applied=False)
