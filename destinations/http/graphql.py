"""GraphQL requests: one document for one event or for many, and the reading of its answer.

An HTTP 200 says nothing about success here: each event is judged by its own alias, by the errors
whose path begins with it, and by what the definition expects of its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from destinations.definition import (
    ErrorRule,
    GraphQLDefinition,
    RequestDefinition,
    TransportDefinition,
)
from destinations.definition.graphql_document import alias, parse_operation, variable_name
from destinations.http.answer import Answer, Context, Failure, HttpRequest, HttpResponse
from destinations.http.envelope import Envelope, encode, error_text, parse_body, retry_after
from destinations.http.error_rules import ErrorReader, Signal
from destinations.http.success import Expectation
from destinations.segment.mapping import compile_value

__all__ = ["GraphQLRequest"]


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
        self._variables = compile_value(dict(call.variables))
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._envelope = Envelope(transport, None, headers)
        self._errors = ErrorReader(definition.answers, (*definition.error_rules, *error_rules))
        self._expectation = Expectation(definition)

    def parts(self, context: Context) -> Mapping[str, Any]:
        """The variables for one event; raises `ResolveError`."""
        resolved: Mapping[str, Any] = self._variables.resolve(context)
        return resolved

    def prepare(self, parts: Sequence[Mapping[str, Any]], context: Context) -> HttpRequest:
        """The HTTP request that carries the events with these variables, in this order."""
        variables = {
            variable_name(name, index): part[name]
            for index, part in enumerate(parts)
            for name, _ in self._operation.variables
            if name in part
        }
        body = {"query": self._operation.document(len(parts)), "variables": variables}
        url = self._envelope.url(context)
        of_event = self._envelope.has_host_of_event(url, context)
        return HttpRequest("POST", url, self._envelope.headers(context), encode(body), of_event)

    def read(self, response: HttpResponse, count: int) -> list[Answer | Failure]:
        """One answer or failure for each of the ``count`` events of the request."""
        try:
            body = parse_body(response)
        except ValueError:
            body = None
        errors = _errors(body)
        if not 200 <= response.status < 300:
            return [self._whole(response, body, errors)] * count
        if not isinstance(body, dict) or (not errors and not isinstance(body.get("data"), dict)):
            return [_malformed(response, "the answer is not one of GraphQL")] * count
        own: dict[str, Mapping[str, Any]] = {}
        whole: Mapping[str, Any] | None = None
        names = [alias(index) for index in range(count)]
        for error in errors:
            path = error.get("path")
            if isinstance(path, list) and path and path[0] in names:
                own.setdefault(path[0], error)
            elif whole is None:
                whole = error
        return [self._event(response, body, name, own.get(name), whole) for name in names]

    def _event(
        self,
        response: HttpResponse,
        body: Mapping[str, Any],
        name: str,
        own: Mapping[str, Any] | None,
        whole: Mapping[str, Any] | None,
    ) -> Answer | Failure:
        """The answer for the event under the alias ``name``, given its own and a common error."""
        if own is not None:
            return self._errors.read(_signal(own, response.status), whole_request=False)
        data = body.get("data")
        value = data.get(name) if isinstance(data, dict) else None
        if value is not None:
            return self._expectation.judge(value, response.status)
        if whole is None:
            return _malformed(response, "the answer says nothing of this event")
        verdict = self._errors.read(_signal(whole, response.status), whole_request=True)
        # Only an answer without `data` was refused before anything ran (GraphQL specification,
        # 7.1): after that, an error of the whole cannot vouch for one event. Credentials can.
        ran = "data" in body
        if ran and isinstance(verdict, Failure) and verdict.error_class != "authentication":
            return replace(verdict, nothing_applied=False)
        return verdict

    def _whole(
        self, response: HttpResponse, body: Any, errors: Sequence[Mapping[str, Any]]
    ) -> Answer | Failure:
        """The failure that an HTTP error status means for every event of the request."""
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
    message = error.get("message") or exception.get("message") or "an error without a message"
    return Signal(
        status=status,
        message=" ".join(str(message).split())[:500],
        code=_text(extensions.get("code")),
        exception=_text(exception.get("name")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _malformed(response: HttpResponse, message: str) -> Failure:
    return Failure(message, "internal", response.status, retryable=True, nothing_applied=False)
