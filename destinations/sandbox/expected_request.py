"""A request of a definition as its partner may receive it, and what is wrong with one that came."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

from destinations.definition import (
    AccessTokenAuth,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    DestinationDefinition,
    GraphQLDefinition,
    IdempotencyKey,
    RequestAuth,
    RequestDefinition,
    RestDefinition,
    Signature,
    TransportDefinition,
)
from destinations.errors import ResolveError, UsageError
from destinations.http import CompiledRequest, compile_request
from destinations.http.envelope import setting_text
from destinations.http.signing import Signer
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
from destinations.segment.mapping.directives.merge import DIRECTIVE as MERGE
from destinations.segment.mapping.directives.path import DIRECTIVE as PATH
from destinations.segment.mapping.parts import members

__all__ = ["ExpectedRequest"]

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_NDJSON: Final = "application/x-ndjson"
_TEXT: Final = "text/plain; charset=utf-8"


class ExpectedRequest:
    """One request of a definition with these settings, in every form that it can have.

    ``is_token`` says whether an access token is good; by default every one is.
    """

    def __init__(
        self,
        definition: DestinationDefinition,
        request: RequestDefinition,
        values: PossibleValues,
        is_token: Callable[[str], bool] = bool,
    ) -> None:
        self.definition = request
        self.name = request.name
        transport = definition.transport
        self.compiled: CompiledRequest = compile_request(request, transport, definition.error_rules)
        self._body: _Body
        headers: dict[str, object] = {}
        call = request.call
        if isinstance(call, GraphQLDefinition):
            self.method = "POST"
            self.address = AddressCheck(values, transport.base_url)
            self._body = DocumentCheck(call, values)
            headers["Content-Type"] = _JSON
        else:
            assert isinstance(call, RestDefinition)  # noqa: S101 - pending ones are left out
            call = _with_key(call, request.idempotency_key)
            self.method = call.method
            base = transport.base_url if call.url is None else call.url
            self.address = AddressCheck(values, base, call.path)
            self._body = _body_of(request, call, values)
            kind = _content_type(call)
            headers |= {} if kind is None else {"Content-Type": kind}
            headers |= {"Content-Encoding": "gzip"} if call.gzip else {}
            headers |= dict(call.headers)
        if request.idempotency_key is not None and request.idempotency_key.header is not None:
            headers[request.idempotency_key.header] = request.idempotency_key.source
        self._query = (
            Parameters(values, call.query, call.array_format)
            if isinstance(call, RestDefinition)
            else Parameters(values, {}, None)
        )
        self._headers = _header_checks(transport, headers, values, is_token)
        if isinstance(self._body, _JsonBody | _TextBody):
            for name in {"content-encoding", "content-type"} & self._headers.keys():
                self._headers[name].optional |= self._body.optional
        self._key = _query_key(transport, values)
        sign = call.sign if isinstance(call, RestDefinition) else None
        self._signature = None if sign is None else _Signature(sign, values)

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
        if self._key is not None:
            issues += self._key.take(query)
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
        parameters = {**self._query.shown, **({} if self._key is None else self._key.shown)}
        if parameters:
            shown["query"] = parameters
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


class _CredentialHeader(_Header):
    """A header made of settings, which is left out without the first of them."""

    def __init__(self, values: PossibleValues, auth: RequestAuth) -> None:
        super().__init__(auth.header or "", values, "")
        texts = [setting_text(values.settings, name) for name in auth.settings]
        shown = [f"{{settings.{name}}}" for name in auth.settings]
        self.optional = not texts[0]
        self.is_credential = True
        if isinstance(auth, BasicAuth):
            # Without a password there is nothing after the colon.
            pair = ":".join([*texts, ""][:2])
            self._expected = "Basic " + b64encode(pair.encode()).decode()
            self.shown = f"Basic base64({':'.join([*shown, ''][:2])})"
        else:
            prefix = "Bearer " if isinstance(auth, BearerAuth) else ""
            self._expected, self.shown = prefix + texts[0], prefix + shown[0]

    def issue(self, place: str, text: str | None) -> RequestIssue | None:
        """Return what is wrong with it; see `TextCheck.issue`."""
        if text == self._expected or (text is None and self.optional):
            return None
        what = "is missing" if text is None else "is wrong"
        return RequestIssue(place, f"{what}: expected {self.shown}", of_credential=True)


class _QueryKey:
    """A key in the query, which is left out without its setting."""

    def __init__(self, values: PossibleValues, name: str, setting: str) -> None:
        self._name = name
        self._expected = setting_text(values.settings, setting)
        self.shown: Mapping[str, str] = {name: f"{{settings.{setting}}}"}

    def take(self, query: list[tuple[str, str]]) -> Iterator[RequestIssue]:
        """Take the key out of a query; yield what is wrong with it."""
        pair = (self._name, self._expected)
        if pair in query:
            query.remove(pair)
        elif self._expected:
            sent = [one for one in query if one[0] == self._name]
            for one in sent:
                query.remove(one)
            what = "is wrong" if sent else "is missing"
            message = f"{what}: expected {self.shown[self._name]}"
            yield RequestIssue(f"query {self._name}", message, of_credential=True)


def _query_key(transport: TransportDefinition, values: PossibleValues) -> _QueryKey | None:
    auth = transport.auth
    if not isinstance(auth, ApiKeyAuth) or auth.query is None:
        return None
    return _QueryKey(values, auth.query, auth.setting)


class _BearerHeader(_Header):
    """The header with an access token."""

    def __init__(self, values: PossibleValues, is_token: Callable[[str], bool]) -> None:
        super().__init__("Authorization", values, "")
        self._is_token = is_token
        self.shown = "Bearer {access token}"
        self.is_credential = True

    def issue(self, place: str, text: str | None) -> RequestIssue | None:
        """Return what is wrong with it; see `TextCheck.issue`."""
        kind, _, token = (text or "").partition(" ")
        if kind == "Bearer" and self._is_token(token):
            return None
        what = "is missing" if text is None else "has no access token that is good now"
        return RequestIssue(place, f"{what}: expected {self.shown}", of_credential=True)


def _header_checks(
    transport: TransportDefinition,
    headers: Mapping[str, object],
    values: PossibleValues,
    is_token: Callable[[str], bool],
) -> dict[str, _Header]:
    # As `Envelope` merges them: a request's own header replaces the common one.
    merged = {name.lower(): (name, value) for name, value in transport.headers.items()}
    merged |= {name.lower(): (name, value) for name, value in headers.items()}
    checks = {key: _Header(name, values, value) for key, (name, value) in merged.items()}
    auth = transport.auth
    if isinstance(auth, AccessTokenAuth):
        checks.setdefault("authorization", _BearerHeader(values, is_token))
    elif auth is not None and auth.header is not None:
        check = _CredentialHeader(values, auth)
        checks.setdefault(check.name.lower(), check)
    return checks


class _Signature:
    """The header that signs the body, and that of its time."""

    def __init__(self, sign: Signature, values: PossibleValues) -> None:
        self._sign = sign
        self._signer = Signer(sign)
        try:
            self._key = self._signer.key({"settings": values.settings})
        except ResolveError as error:
            message = f"no placeholder fits: {error}; give the setting `examples`"
            raise UsageError(message) from None

    def issues(self, request: WireRequest) -> Iterator[RequestIssue]:
        """Yield what is wrong with the signature of a request, whenever it was signed."""
        if self._key is None:
            return
        sign, timestamp = self._sign, ""
        place = f"header {sign.header}"
        if request.headers.get(sign.header.lower()) is None:
            yield RequestIssue(place, f"is missing: expected {self._expected}", of_credential=True)
            return
        if self._signer.has_time:
            found = self._signer.time_of(request.headers)
            if found is None or not (found.isascii() and found.isdigit()):
                own = place if sign.timestamp_header is None else f"header {sign.timestamp_header}"
                message = "has no time: expected whole seconds since 1970"
                yield RequestIssue(own, message, of_credential=True)
                return
            timestamp = found
        expected = self._signer.headers(self._key, request.body, timestamp)[sign.header]
        sent = request.headers[sign.header.lower()]
        if not hmac.compare_digest(sent.encode(), expected.encode()):
            message = f"does not fit the body: expected {self._expected}"
            yield RequestIssue(place, message, of_credential=True)

    @property
    def _expected(self) -> str:
        sign = self._sign
        digits = "hexadecimal digits" if sign.encoding == "hex" else "Base64"
        plain = f"its HMAC-{sign.algorithm.upper()} in {digits}"
        if (sign.message, sign.value) == ("{{body}}", "{{signature}}"):
            return plain
        return f"{sign.value} with the HMAC-{sign.algorithm.upper()} of {sign.message} in {digits}"


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
        self.optional = expected.optional
        self._path = path

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it."""
        if not body:
            issue = RequestIssue("body", "is missing: expected JSON")
            return [] if self.optional else [issue], ReadEvents(())
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


class _TextBody:
    """A body of plain text."""

    def __init__(self, values: PossibleValues, mapping: object) -> None:
        self._check = TextCheck(values, mapping)
        self.optional = self._check.optional

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it: one."""
        try:
            text = body.decode() if body else None
        except UnicodeDecodeError:
            return [RequestIssue("body", "is not text in UTF-8")], ReadEvents(())
        issue = self._check.issue("body", text)
        return [] if issue is None else [issue], ReadEvents(())

    def to_json(self) -> dict[str, Any]:
        """Return the text to show."""
        return {"text": self._check.shown}


class _LinesBody:
    """A body of NDJSON: the lines of each event, one event after the other."""

    def __init__(self, lines: Sequence[PossibleValue], most: int) -> None:
        self._validators = [Draft202012Validator(one.schema) for one in lines]
        self._needed = [not one.optional for one in lines]
        self._most = most

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the events in it."""
        if not body:
            return [RequestIssue("body", "is missing: expected NDJSON")], ReadEvents(())
        issues: list[RequestIssue] = []
        if not body.endswith(b"\n"):
            issues.append(RequestIssue("body", "must end with a line break"))
        values = []
        for number, line in enumerate(body.removesuffix(b"\n").split(b"\n"), start=1):
            try:
                values.append(read_json(line, f"Line {number}"))
            except WireError as error:
                return [RequestIssue("body", str(error))], ReadEvents(())
        events: list[list[Any]] = []
        at = 0
        while at < len(values):
            taken, found = self._take(values, at)
            issues += found
            taken = max(1, taken)
            events.append(values[at : at + taken])
            at += taken
        if len(events) > self._most:
            message = f"has {len(events)} events: expected at most {self._most}"
            issues.append(RequestIssue("body", message))
        items = [one[0] for one in events] if len(self._validators) == 1 else events
        return issues, ReadEvents(items)

    def _take(
        self, values: Sequence[Any], at: int, line: int = 0
    ) -> tuple[int, list[RequestIssue]]:
        """Return how many lines from this one on are of one event, and what is wrong with them.

        ``line`` is the next one of the event. A line that may be left out was, if less is wrong so.
        """
        if line == len(self._validators):
            return 0, []
        ways = [self._with(values, at, line)]
        if not self._needed[line]:
            ways.append(self._take(values, at, line + 1))
        return min(ways, key=lambda way: (len(way[1]), -way[0]))

    def _with(self, values: Sequence[Any], at: int, line: int) -> tuple[int, list[RequestIssue]]:
        """Return the same where this line of the event was not left out."""
        place = f"body line {at + 1}"
        if at >= len(values):
            return 0, [RequestIssue(place, "is missing")]
        found = [
            RequestIssue(f"{place} {one.path}".rstrip(), one.message)
            for one in schema_issues(self._validators[line], values[at])
        ]
        taken, issues = self._take(values, at + 1, line + 1)
        return taken + 1, [*found, *issues]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON Schemas to show, of each line of an event."""
        schemas: Any = json.loads(json.dumps([one.schema for one in self._validators]))
        return {"lineSchemas": schemas}


_Body = _JsonBody | _FormBody | _NoBody | _TextBody | _LinesBody | DocumentCheck


def _content_type(call: RestDefinition) -> str | None:
    if call.json is not None:
        return _JSON
    if call.form is not None:
        return _FORM
    if call.text is not None:
        return _TEXT
    return _NDJSON if call.ndjson else None


def _with_key(call: RestDefinition, key: IdempotencyKey | None) -> RestDefinition:
    """Return the call with the idempotency key in the field that has it, if one has."""
    if key is None or key.field is None:
        return call
    own = {key.field: key.source}
    if call.form is not None:
        return replace(call, form={**call.form, **own})
    if members(call.json) is not None:
        return replace(call, json={**(members(call.json) or {}), **own})
    return replace(call, json={MERGE.name: {"direction": "right", "objects": [call.json, own]}})


def _body_of(
    request: RequestDefinition, call: RestDefinition, values: PossibleValues
) -> _JsonBody | _FormBody | _NoBody | _TextBody | _LinesBody:
    if call.form is not None:
        return _FormBody(call, values)
    if call.text is not None:
        return _TextBody(values, call.text)
    if call.ndjson:
        return _LinesBody([values.of(one) for one in call.ndjson], request.batch_size)
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
