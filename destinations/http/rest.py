"""Build REST requests, one HTTP call for one event or a batch, and read their answers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from destinations.definition import (
    ErrorRule,
    RequestDefinition,
    RestDefinition,
    TransportDefinition,
)
from destinations.definition.url_pieces import varies
from destinations.errors import ResolveError
from destinations.http.answer import Answer, Context, Failure, HttpRequest, HttpResponse, Part
from destinations.http.envelope import (
    Envelope,
    body_text,
    error_text,
    parse_body,
    retry_after,
)
from destinations.http.error_rules import ErrorReader, Signal, of_one
from destinations.http.failed_items import FailedItemReader
from destinations.http.idempotency import HEADER_PART, KeyMaker
from destinations.http.json_bytes import decode_json, encode_json
from destinations.http.parameters import revealed_text, write_parameters
from destinations.http.signing import Signer
from destinations.http.success import SuccessCheck
from destinations.segment.javascript import UNDEFINED, article, type_name
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.roots import reads

__all__ = ["RestRequest"]

_CONTENT: Final = "content-type"
_PAYLOAD: Final = ({"@path": "$.payload"}, {"@path": "payload"})


class RestRequest:
    """One REST call of a definition, compiled."""

    def __init__(
        self,
        definition: RequestDefinition,
        call: RestDefinition,
        transport: TransportDefinition,
        error_rules: Sequence[ErrorRule],
    ) -> None:
        self.definition = definition
        self._method = call.method
        self.is_safe = call.method == "GET" or definition.read_only
        headers: dict[str, object] = {"Accept": "application/json"}
        if call.json is not None:
            headers["Content-Type"] = "application/json"
        elif call.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif call.text is not None:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        elif call.ndjson:
            headers["Content-Type"] = "application/x-ndjson"
        self._envelope = Envelope(
            transport, headers | dict(call.headers), url=call.url, path=call.path
        )
        self._query = compile_value(dict(call.query))
        self._array_format = call.array_format
        self._json = None if call.json is None else compile_value(call.json)
        self._form = None if call.form is None else compile_value(dict(call.form))
        self._text = None if call.text is None else compile_value(call.text)
        self._lines = tuple(map(compile_value, call.ndjson))
        self._has_body = call.json is not None or call.text is not None
        """Whether there is a body, unless its mapping gives nothing."""
        self._gzip = call.gzip
        self._batch_json = None if call.batch_json is None else compile_value(call.batch_json)
        self._signer = None if call.sign is None else Signer(call.sign)
        rules = (*definition.error_rules, *error_rules)
        fixed = self._envelope.is_fixed and not varies(dict(call.query))
        self._errors = ErrorReader(
            *(definition.answers, rules),
            fixed_address=fixed,
            request=definition.name,
            own=len(definition.error_rules),
        )
        self._failed_items = (
            None
            if call.failed_items is None
            else FailedItemReader(
                *(call.failed_items, self._errors, f"requests.{definition.name}.batch.failures"),
                all_or_nothing=call.all_or_nothing,
            )
        )
        self._all_or_nothing = call.all_or_nothing
        key = definition.idempotency_key
        self._key = None if key is None else KeyMaker(key, definition.name)
        self._success = SuccessCheck(definition)
        address = [transport.base_url, call.url, list(call.path)]
        sources = [dict(call.headers), dict(call.query), call.json, call.form, transport.headers]
        sources += [call.text, list(call.ndjson), None if key is None else key.source]
        self.reads_event = reads([*address, *sources], "event")
        self.takes_payload_bytes = (
            self._envelope.is_fixed
            and call.json in _PAYLOAD
            and not call.query
            and self._batch_json is None
            and key is None
        )
        """Whether the body is the payload, whose bytes can then be used unchanged."""

    def fixed_url(self, settings: Mapping[str, Any]) -> str | None:
        """Return the URL if it is the same for every event; see `Envelope.fixed_url`."""
        if self._signer is not None:
            self._signer.key({"event": {}, "payload": {}, "settings": settings})
        return self._envelope.fixed_url(settings)

    def part(self, context: Context) -> Part:
        """Return one event's part of the request: its parameters, and its part of the body.

        Raises `ResolveError`.
        """
        part = {}
        query = write_parameters(self._query.resolve(context), self._array_format)
        if query:
            part["query"] = query.encode()
        if self._json is not None:
            value = self._with_key(self._json.resolve(context), context)
            if value is not None and value is not UNDEFINED:
                part["json"] = encode_json(value)
        elif self._form is not None:
            form = self._with_key(self._form.resolve(context), context)
            part["form"] = write_parameters(form, self._array_format).encode()
        elif self._lines:
            part["ndjson"] = self._written_lines(context)
        elif self._text is not None:
            text = self._text.resolve(context)
            if text is not None and text is not UNDEFINED:
                part["text"] = _written_text(text)
        if self._key is not None and self._key.header is not None:
            return self._key.added_to(part, context)
        return part

    def _with_key(self, body: Any, context: Context) -> Any:
        """Return an event's body with its idempotency key, if that stands there."""
        if self._key is None or self._key.field is None:
            return body
        return self._key.member_of(body, context)

    def key(self, part: Part | bytes, context: Context) -> Hashable:
        """Return a key that equal questions share; raises `ResolveError`."""
        own = part if isinstance(part, bytes) else tuple(sorted(part.items()))
        return own, self._envelope.key(context)

    def _written_lines(self, context: Context) -> bytes:
        """Return the lines of an event, each with its end; null and undefined are no lines."""
        values = [line.resolve(context) for line in self._lines]
        lines = [encode_json(one) for one in values if one is not None and one is not UNDEFINED]
        if not lines:
            raise ResolveError("/ndjson", "gives no line; expected at least one for each event")
        return b"\n".join([*lines, b""])

    def prepare(self, parts: Sequence[Part | bytes], context: Context) -> HttpRequest:
        """Return the HTTP request for the events with these parts, in this order."""
        first = parts[0]
        url, headers = self._envelope.target(context)
        body = self._whole(parts, context)
        if not isinstance(first, bytes):
            if "query" in first:
                url += ("&" if "?" in url else "?") + first["query"].decode()
            if self._key is not None and self._key.header is not None:
                headers = {**headers, self._key.header: first[HEADER_PART].decode()}
        if body is None and self._has_body:  # there is nothing that the header would describe
            headers = {name: text for name, text in headers.items() if name.lower() != _CONTENT}
        if self._signer is not None:
            headers = {**headers, **self._signer.sign(body or b"", context)}
        if self._gzip and body is not None:
            headers = {**headers, "Content-Encoding": "gzip"}
            return HttpRequest(
                *(self._method, url, headers, body),
                answer_bytes=self.definition.answer_bytes,
                gzip=True,
            )
        return HttpRequest(
            self._method, url, headers, body, answer_bytes=self.definition.answer_bytes
        )

    def _whole(self, parts: Sequence[Part | bytes], context: Context) -> bytes | None:
        """Return the body of a request; None if it has none."""
        first = parts[0]
        # An event without a value has null in a batch: the others have theirs, in their places.
        is_list = self._json is not None and self.definition.batch_size > 1
        if is_list or isinstance(first, bytes) or "json" in first:
            return self._body(parts, context)
        if "form" in first:
            return first["form"]
        if "ndjson" in first:
            return b"".join([part["ndjson"] for part in parts if not isinstance(part, bytes)])
        return first.get("text")

    def _body(self, parts: Sequence[Part | bytes], context: Context) -> bytes:
        items = _bodies(parts)
        if self.definition.batch_size == 1:
            return items[0]
        joined = b"[" + b",".join(items) + b"]"
        if self._batch_json is None:
            return joined
        values = decode_json(joined)
        settings = context["settings"]
        return encode_json(self._batch_json.resolve({"items": values, "settings": settings}))

    def _values(self, parts: Sequence[Part | bytes]) -> list[bytes]:
        """Return what mappings on events read: their JSON, or of several lines a list."""
        if not self._lines:
            return _bodies(parts)
        texts = [
            part if isinstance(part, bytes) else part["ndjson"].removesuffix(b"\n")
            for part in parts
        ]
        if len(self._lines) == 1:
            return texts
        return [
            text if isinstance(part, bytes) else b"[" + text.replace(b"\n", b",") + b"]"
            for text, part in zip(texts, parts, strict=True)
        ]

    def read(
        self, response: HttpResponse, count: int, parts: Sequence[Part | bytes] = ()
    ) -> list[Answer | Failure]:
        """Return one answer or failure for each of the ``count`` events of the request.

        ``parts`` are the request's parts; an answer may identify events by their content.
        """
        try:
            body = parse_body(response) if body_text(response).strip() else None
        except ValueError:
            # Partners answer "ok" in plain text; `expect` decides whether that is a success.
            body = body_text(response)
        if self._failed_items is not None:
            told_apart = self._failed_items.read(
                response.status,
                body,
                count,
                lambda: [decode_json(one) for one in self._values(parts)],
            )
            if told_apart is not None:
                return told_apart
        if 200 <= response.status < 300:
            return [self._success.judge(body, response.status, whole_request=True)] * count
        signal = Signal(response.status, error_text(response, body), body=body)
        wait = retry_after(response)
        verdict = self._errors.read(signal, whole_request=True, retry_after=wait)
        return [of_one(verdict, count, is_refused=self._is_refused(response.status))] * count

    def failure_of(self, rule: ErrorRule, status: int) -> Failure:
        """Return what an error rule makes of an answer with this status, for a single event."""
        failure = self._errors.failure_of(rule, status)
        read = of_one(failure, 1, is_refused=self._is_refused(status))
        return read if isinstance(read, Failure) else failure

    def _is_refused(self, status: int) -> bool:
        return self._all_or_nothing and 400 <= status < 500


def _written_text(value: Any) -> bytes:
    if isinstance(value, dict | list):
        raise ResolveError("/text", f"must be text, not {article(type_name(value))}")
    try:
        return revealed_text(value).encode()
    except UnicodeEncodeError:
        raise ResolveError("/text", "holds a lone surrogate (half of a character)") from None


def _bodies(parts: Sequence[Part | bytes]) -> list[bytes]:
    """Return the JSON of each event."""
    return [part if isinstance(part, bytes) else part.get("json", b"null") for part in parts]
