"""REST requests: one HTTP call for one event, or for many whose answer tells them apart."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from destinations.definition import (
    ErrorRule,
    RequestDefinition,
    RestDefinition,
    TransportDefinition,
)
from destinations.errors import ResolveError
from destinations.http.answer import Answer, Context, Failure, HttpRequest, HttpResponse
from destinations.http.envelope import Envelope, encode, error_text, parse_body, retry_after
from destinations.http.error_rules import ErrorReader, Signal
from destinations.http.failed_items import FailedItemReader
from destinations.http.success import Expectation
from destinations.segment.javascript import UNDEFINED, to_string
from destinations.segment.mapping import compile_value

__all__ = ["RestRequest"]


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
        headers: dict[str, object] = {"Accept": "application/json"}
        if call.json is not None:
            headers["Content-Type"] = "application/json"
        elif call.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._envelope = Envelope(transport, call.url, headers | dict(call.headers))
        form = None if call.form is None else dict(call.form)
        self._parts = compile_value({"query": dict(call.query), "json": call.json, "form": form})
        self._batch_json = None if call.batch_json is None else compile_value(call.batch_json)
        self._sign = call.sign
        self._secret = None if call.sign is None else compile_value(call.sign.secret)
        self._failed_items = (
            None if call.failed_items is None else FailedItemReader(call.failed_items)
        )
        self._errors = ErrorReader(definition.answers, (*definition.error_rules, *error_rules))
        self._expectation = Expectation(definition)

    def parts(self, context: Context) -> Mapping[str, Any]:
        """Query and body for one event; raises `ResolveError`."""
        resolved: Mapping[str, Any] = self._parts.resolve(context)
        return resolved

    def prepare(self, parts: Sequence[Mapping[str, Any]], context: Context) -> HttpRequest:
        """The HTTP request for the events with these parts, in this order."""
        first = parts[0]
        url = self._envelope.url(context)
        query = _urlencoded(first.get("query"))
        if query:
            url += ("&" if "?" in url else "?") + query
        body = None
        if first.get("json") is not None:
            body = encode(self._json(parts, context))
        elif first.get("form") is not None:
            body = _urlencoded(first["form"]).encode()
        headers = {**self._envelope.headers(context), **self._signature(body or b"", context)}
        of_event = self._envelope.has_host_of_event(url, context)
        return HttpRequest(self._method, url, headers, body, of_event)

    def _json(self, parts: Sequence[Mapping[str, Any]], context: Context) -> Any:
        if self.definition.batch_size == 1:
            return parts[0]["json"]
        items = [part.get("json") for part in parts]
        if self._batch_json is None:
            return items
        return self._batch_json.resolve({"items": items, "settings": context["settings"]})

    def _signature(self, body: bytes, context: Context) -> Mapping[str, str]:
        if self._sign is None or self._secret is None:
            return {}
        secret = self._secret.resolve(context)
        if not isinstance(secret, str) or not secret:
            return {}
        key = "".join(secret).encode()
        return {self._sign.header: hmac.new(key, body, self._sign.algorithm).hexdigest()}

    def read(self, response: HttpResponse, count: int) -> list[Answer | Failure]:
        """One answer or failure for each of the ``count`` events of the request."""
        try:
            body = parse_body(response) if response.body.strip() else None
        except ValueError:
            # Partners answer "ok" in plain text; `expect` decides whether that is a success.
            body = response.body.decode("utf-8", "replace")
        if self._failed_items is not None:
            told_apart = self._failed_items.read(response.status, body, count)
            if told_apart is not None:
                return told_apart
        if 200 <= response.status < 300:
            return [self._expectation.judge(body, response.status)] * count
        signal = Signal(response.status, error_text(response, body), body=body)
        wait = retry_after(response)
        return [self._errors.read(signal, whole_request=True, retry_after=wait)] * count


def _urlencoded(values: object) -> str:
    """A query or form as text; what is null or undefined is left out. Raises `ResolveError`."""
    if not isinstance(values, dict):
        return ""
    pairs = [
        # A secret is text here, but prints itself masked.
        (name, "".join(value) if isinstance(value, str) else to_string(value))
        for name, value in values.items()
        if value is not None and value is not UNDEFINED
    ]
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise ResolveError("", "a parameter holds one half of a surrogate pair") from None
