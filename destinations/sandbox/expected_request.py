"""A request of a definition as its partner may receive it, and what is wrong with one that came."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

from destinations.definition import (
    DestinationDefinition,
    GraphQLDefinition,
    RequestDefinition,
    RestDefinition,
    TransportDefinition,
)
from destinations.http import CompiledRequest, compile_request
from destinations.sandbox.form_check import (
    AddressCheck,
    Parameters,
    ReadEvents,
    RequestIssue,
    TextCheck,
    query_of,
)
from destinations.sandbox.graphql_document import DocumentCheck
from destinations.sandbox.possible_values import PossibleValue, PossibleValues
from destinations.sandbox.schema_issues import schema_issues
from destinations.sandbox.wire import WireError, WireRequest, read_json
from destinations.secrets import reveal
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.directives.path import DIRECTIVE as PATH
from destinations.segment.mapping.parts import members

__all__ = ["ExpectedRequest"]

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


class ExpectedRequest:
    """One request of a definition with these settings, in every form that it can have."""

    def __init__(
        self,
        definition: DestinationDefinition,
        request: RequestDefinition,
        values: PossibleValues,
    ) -> None:
        self.definition = request
        self.name = request.name
        transport = definition.transport
        self.compiled: CompiledRequest = compile_request(request, transport, definition.error_rules)
        self._body: _JsonBody | _FormBody | _NoBody | DocumentCheck
        headers: dict[str, object] = {}
        call = request.call
        if isinstance(call, GraphQLDefinition):
            self.method = "POST"
            self.address = AddressCheck(values, transport.base_url)
            self._body = DocumentCheck(call, values)
            headers["Content-Type"] = _JSON
        else:
            assert isinstance(call, RestDefinition)  # noqa: S101 - pending ones are left out
            self.method = call.method
            base = transport.base_url if call.url is None else call.url
            self.address = AddressCheck(values, base, call.path)
            self._body = _body_of(request, call, values)
            if call.json is not None or call.form is not None:
                headers["Content-Type"] = _JSON if call.json is not None else _FORM
            headers |= dict(call.headers)
        self._query = (
            Parameters(values, call.query, call.array_format)
            if isinstance(call, RestDefinition)
            else Parameters(values, {}, None)
        )
        self._headers = _header_checks(transport, headers, values)
        self._signature = _Signature(call, values) if isinstance(call, RestDefinition) else None

    def is_at(self, origin: str | None, path: str) -> bool:
        """Return whether it goes to this path, and to the ``origin`` if that is known."""
        return self.address.fits(origin, path)

    @property
    def document(self) -> DocumentCheck | None:
        """The document of a GraphQL request; None for any other."""
        return self._body if isinstance(self._body, DocumentCheck) else None

    @property
    def secret_headers(self) -> frozenset[str]:
        """The headers that hold a credential, in lower case."""
        return frozenset(name for name, check in self._headers.items() if check.is_credential)

    def read(self, request: WireRequest) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a request to its address, and the events in it."""
        issues = [
            issue
            for name, check in self._headers.items()
            if (issue := check.issue(f"header {check.name}", request.headers.get(name)))
        ]
        query, expected = query_of(request.target), self.address.query
        for name, value in expected:
            if (name, value) in query:
                query.remove((name, value))
            elif not self.address.any_query:
                issues.append(
                    RequestIssue(f"query {name}", "is missing or wrong", of_credential=True)
                )
        issues += self._query.issues("query", query, any_other=self.address.any_query)
        found, events = self._body.read(request.body)
        issues += found
        if self._signature is not None:
            issues += self._signature.issues(request)
        return issues, events

    def to_json(self) -> dict[str, Any]:
        """Return what would be right: the request with names in braces for values of events."""
        shown: dict[str, Any] = {
            "request": self.name,
            "method": self.method,
            "url": self.address.shown,
            "headers": {check.name: check.shown for check in self._headers.values()},
        }
        if self._query.shown:
            shown["query"] = dict(self._query.shown)
        return shown | self._body.to_json()


class _Header(TextCheck):
    """A header, with its name as the definition writes it."""

    def __init__(self, name: str, values: PossibleValues, mapping: object) -> None:
        super().__init__(values, mapping)
        self.name = name

    def issue(self, place: str, text: str | None) -> RequestIssue | None:
        """Return what is wrong with a header; of its type, parameters do not count."""
        if text is not None and self.name.lower() == "content-type":
            text = text.partition(";")[0].strip() if ";" not in self.shown else text
        return super().issue(place, text)


class _BasicHeader(_Header):
    """The header of HTTP Basic, made of two settings."""

    def __init__(self, values: PossibleValues, user: str, password: str) -> None:
        super().__init__("Authorization", values, "")
        self._texts = [str(reveal(values.settings.get(name, ""))) for name in (user, password)]
        self.optional = not self._texts[0]
        self.shown = f"Basic base64({{settings.{user}}}:{{settings.{password}}})"
        self.is_credential = True

    def issue(self, place: str, text: str | None) -> RequestIssue | None:
        """Return what is wrong with it; see `TextCheck.issue`."""
        expected = "Basic " + b64encode(":".join(self._texts).encode()).decode()
        if text == expected or (text is None and self.optional):
            return None
        what = "is missing" if text is None else "is wrong"
        return RequestIssue(place, f"{what}: expected {self.shown}", of_credential=True)


def _header_checks(
    transport: TransportDefinition, headers: Mapping[str, object], values: PossibleValues
) -> dict[str, _Header]:
    # As `Envelope` merges them: a request's own header replaces the common one.
    merged = {name.lower(): (name, value) for name, value in transport.headers.items()}
    merged |= {name.lower(): (name, value) for name, value in headers.items()}
    checks = {key: _Header(name, values, value) for key, (name, value) in merged.items()}
    if transport.basic is not None and "authorization" not in checks:
        checks["authorization"] = _BasicHeader(values, *transport.basic)
    return checks


class _Signature:
    """The header that signs the body."""

    def __init__(self, call: RestDefinition, values: PossibleValues) -> None:
        self._sign = call.sign
        secret = None
        if call.sign is not None:
            secret = compile_value(call.sign.secret).resolve({"settings": values.settings})
        self._key = reveal(secret).encode() if isinstance(secret, str) else b""

    def issues(self, request: WireRequest) -> Iterator[RequestIssue]:
        """Yield what is wrong with the signature of a request."""
        if self._sign is None or not self._key:
            return
        place, algorithm = f"header {self._sign.header}", self._sign.algorithm
        expected = hmac.new(self._key, request.body, algorithm).hexdigest()
        sent = request.headers.get(self._sign.header.lower())
        if sent is None or not hmac.compare_digest(sent.encode(), expected.encode()):
            what = "is missing" if sent is None else "does not fit the body"
            message = f"{what}: expected its HMAC-{algorithm.upper()} in hexadecimal digits"
            yield RequestIssue(place, message, of_credential=True)


class _NoBody:
    """A request without a body."""

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it: one."""
        return [RequestIssue("body", "is unexpected: expected none")] if body else [], ReadEvents(
            ()
        )

    def to_json(self) -> dict[str, Any]:
        """Return nothing to show."""
        return {}


class _FormBody:
    """The body of an HTML form."""

    def __init__(self, call: RestDefinition, values: PossibleValues) -> None:
        self._form = Parameters(values, dict(call.form or {}), call.array_format)

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it: one."""
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True)
        except ValueError:
            return [RequestIssue("body", "is not a form in UTF-8")], ReadEvents(())
        return list(self._form.issues("form", pairs)), ReadEvents(())

    def to_json(self) -> dict[str, Any]:
        """Return the fields to show."""
        return {"form": dict(self._form.shown)}


class _JsonBody:
    """A body of JSON, of one event or a batch; ``path`` leads to the items of a batch."""

    def __init__(self, expected: PossibleValue, path: tuple[str, ...] | None) -> None:
        self._validator = Draft202012Validator(expected.schema)
        self._optional = expected.optional
        self._path = path

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it."""
        if not body:
            issue = RequestIssue("body", "is missing: expected JSON")
            return [] if self._optional else [issue], ReadEvents(())
        try:
            value = read_json(body)
        except WireError as error:
            return [RequestIssue("body", str(error))], ReadEvents(())
        issues = [
            RequestIssue(f"body {issue.path}".rstrip(), issue.message)
            for issue in schema_issues(self._validator, value)
        ]
        return issues, ReadEvents(self._items(value))

    def _items(self, value: Any) -> Sequence[Any]:
        if self._path is None:
            return (value,)
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, list) else ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON Schema to show."""
        schema: Any = json.loads(json.dumps(self._validator.schema))
        return {"bodySchema": schema}


def _body_of(
    request: RequestDefinition, call: RestDefinition, values: PossibleValues
) -> _JsonBody | _FormBody | _NoBody:
    if call.form is not None:
        return _FormBody(call, values)
    if call.json is None:
        return _NoBody()
    one = values.of(call.json)
    if request.batch_size == 1:
        return _JsonBody(one, None)
    items = {"type": "array", "minItems": 1, "maxItems": request.batch_size, "items": one.schema}
    listed = PossibleValue(items, optional=False)
    if call.batch_json is None:
        return _JsonBody(listed, ())
    whole = PossibleValues(values.settings, values.settled, given={"items": listed})
    return _JsonBody(whole.of(call.batch_json), _path_of_items(call.batch_json))


def _path_of_items(mapping: object) -> tuple[str, ...] | None:
    """Return where the items of a batch are in its body; None if that is not plain."""
    if mapping in ({PATH.name: "$.items"}, {PATH.name: "items"}):
        return ()
    for name, value in (members(mapping) or {}).items():
        below = _path_of_items(value)
        if below is not None:
            return (name, *below)
    return None
