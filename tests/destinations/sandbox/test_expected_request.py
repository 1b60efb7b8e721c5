"""Each form of a request: query, form, Basic, signature, batches, GraphQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.definition.document import Document
from destinations.definition.settings import Settings, check_settings
from destinations.http import Answer
from destinations.sandbox.definition_account import success_for
from destinations.sandbox.expected_request import ExpectedRequest
from destinations.sandbox.possible_values import values_of
from destinations.sandbox.wire import WireRequest

Load = Callable[..., DestinationDefinition]
Change = Callable[[dict[str, Any]], None]

PAGE = {"@path": "$.payload.page"}
KEY = {"@path": "$.settings.apiKey"}


def _rest(**parts: Any) -> Change:
    """Replace the REST request ``save``."""
    rest = {"method": "POST", "url": "http://127.0.0.1:9", "path": ["pages"], **parts}

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["save"] |= {"rest": rest}

    return change


def _auth(auth: object) -> Change:
    """Send credentials by ``transport.auth`` with the request ``save``."""

    def change(documents: dict[str, Any]) -> None:
        _rest(json={"page": PAGE})(documents)
        user = {"title": "User", "description": "A user.", "type": "string", "default": "me"}
        documents["destination"]["settings"]["properties"]["user"] = user
        documents["destination"]["transport"] |= {"auth": auth, "headers": {}}
        documents["destination"]["authentication"]["scheme"] = "custom"

    return change


def _settings(definition: DestinationDefinition) -> Settings:
    given = {"apiKey": "k-12345678", "endpoint": "http://127.0.0.1:9/graphql"}
    return check_settings(definition, Document("settings", given, {}))


def _expected(load: Load, change: Change | None, name: str) -> tuple[ExpectedRequest, Settings]:
    definition = load(change)
    settings = _settings(definition)
    values = values_of(definition, settings, name)
    return ExpectedRequest(definition, definition.requests[name], values), settings


def _sent(
    expected: ExpectedRequest, settings: Settings, *payloads: Mapping[str, Any]
) -> WireRequest:
    """The request that the runtime makes for these payloads."""
    contexts = [{"event": {}, "payload": one, "settings": settings} for one in payloads]
    parts = [expected.compiled.part(one) for one in contexts]
    made = expected.compiled.prepare(parts, contexts[0])
    headers = {name.lower(): value for name, value in made.headers.items()}
    target = "/" + made.url.split("/", 3)[3]
    return WireRequest(made.method, target, headers, made.body or b"")


SIGN = {"header": "X-Sign", "algorithm": "sha256", "secret": KEY}

FORMS: dict[str, Change] = {
    "query": _rest(query={"page": PAGE, "key": KEY, "v": 2}),
    "lists in a query": _rest(query={"pages": PAGE}, arrayFormat="brackets"),
    "form": _rest(form={"page": PAGE, "kind": "page"}),
    "signature": _rest(
        json={"page": PAGE}, sign={"header": "X-Sign", "algorithm": "sha256", "secret": KEY}
    ),
    "signature with a time": _rest(
        json={"page": PAGE},
        gzip=True,
        sign={
            **SIGN,
            "message": "{{timestamp}}.{{body}}",
            "value": "t={{timestamp}},v={{signature}}",
        },
    ),
    "signature with a time in a header": _rest(
        text=PAGE,
        sign={
            **SIGN,
            "algorithm": "sha512",
            "encoding": "base64",
            "message": "{{body}}{{timestamp}}",
            "timestampHeader": "X-Time",
        },
    ),
    "headers": _rest(headers={"X-Page": PAGE, "X-Fixed": "yes", "Content-Type": "text/x-page"}),
    "path": _rest(path=["pages", PAGE, {"@template": "v{{settings.apiKey}}"}]),
    "text": _rest(text={"@template": "page={{payload.page}}"}),
    "text that may be absent": _rest(text={"@path": "$.payload.none"}, gzip=True),
    "a line": _rest(ndjson=[{"page": PAGE}]),
    "lines": _rest(ndjson=[{"index": {}}, {"@path": "$.payload.none"}, {"page": PAGE}]),
    "compressed": _rest(json={"page": PAGE}, gzip=True),
    "key as user": _auth({"basic": {"user": "apiKey"}}),
    "user and key": _auth({"basic": {"user": "user", "password": "apiKey"}}),
    "bearer": _auth({"bearer": "apiKey"}),
    "key in a header": _auth({"apiKey": {"setting": "apiKey", "header": "X-Key"}}),
    "key in the query": _auth({"apiKey": {"setting": "apiKey", "query": "key"}}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("page", ["home", "a b/c?d&e=f", "é", "100%"])
def test_what_is_sent_is_expected(load: Load, form: str, page: str) -> None:
    """Whatever the values of an event are."""
    expected, settings = _expected(load, FORMS[form], "save")
    wire = _sent(expected, settings, {"page": [page] if form.startswith("lists") else page})
    assert expected.is_at(None, wire.path), (wire.path, expected.address.shown)
    issues, events = expected.read(wire)
    assert ([str(issue) for issue in issues], events.count) == ([], 1)


@pytest.mark.parametrize(
    ("form", "change", "issue", "of_credential"),
    [
        ("query", {"target": "/pages?key=k-12345678&v=3"}, "query v: is wrong: expected 2", False),
        ("query", {"target": "/pages?key=k-1&v=2"}, "query key: is wrong: expected ***", True),
        ("query", {"target": "/pages?v=2"}, "query key: is missing: expected ***", True),
        ("query", {"target": "/pages?key=k-12345678&v=2&w=1"}, "query w: is unexpected", False),
        ("form", {"body": b"page=a"}, "form kind: is missing: expected page", False),
        ("form", {"body": b"page=a&kind=page&x=1"}, "form x: is unexpected", False),
        ("signature", {"body": b'{"page": "b"}'}, "header X-Sign: does not fit the body", True),
        ("signature", {"headers": {}}, "header X-Sign: is missing", True),
        (
            "signature with a time",
            {"body": b"{}"},
            "header X-Sign: does not fit the body: expected t={{timestamp}},v={{signature}}",
            True,
        ),
        (
            "signature with a time",
            {"headers": {"x-sign": "00"}},
            "header X-Sign: has no time: expected whole seconds since 1970",
            True,
        ),
        (
            "signature with a time in a header",
            {"headers": {"x-sign": "00"}},
            "header X-Time: has no time: expected whole seconds since 1970",
            True,
        ),
        (
            "signature with a time in a header",
            {"headers": {"x-sign": "00", "x-time": "5"}},
            "header X-Sign: does not fit the body: expected {{signature}} with the HMAC-SHA512 of",
            True,
        ),
        ("headers", {"headers": {}}, "header X-Fixed: is missing: expected yes", False),
        ("path", {"body": b"{}"}, "body: is unexpected: expected none", False),
        ("text", {"body": b"pag=a"}, "body: is wrong: expected page={payload.page}", False),
        ("text", {"body": b""}, "body: is missing: expected page={payload.page}", False),
        ("text", {"body": b"\xff"}, "body: is not text in UTF-8", False),
        ("a line", {"body": b""}, "body: is missing: expected NDJSON", False),
        ("a line", {"body": b'{"page":"a"}'}, "body: must end with a line break", False),
        ("a line", {"body": b'{"page":"a"}\n{\n'}, "body: Line 2 is not JSON", False),
        (
            "a line",
            {"body": b'{"pag":"a"}\n'},
            "body line 1: Additional properties are not allowed ('pag'",
            False,
        ),
        (
            "a line",
            {"body": b'{"page":"a"}\n' * 2},
            "body: has 2 events: expected at most 1",
            False,
        ),
        ("lines", {"body": b'{"index":{}}\n'}, "body line 2: is missing", False),
        (
            "compressed",
            {"headers": {}},
            "header Content-Encoding: is missing: expected gzip",
            False,
        ),
        (
            "key as user",
            {"headers": {}},
            "header Authorization: is missing: expected Basic base64({settings.apiKey}:)",
            True,
        ),
        (
            "user and key",
            {"headers": {"authorization": "Basic eDp5"}},
            "header Authorization: is wrong: expected Basic base64({settings.user}:{settings",
            True,
        ),
        (
            "bearer",
            {"headers": {"authorization": "k-12345678"}},
            "header Authorization: is wrong: expected Bearer {settings.apiKey}",
            True,
        ),
        (
            "key in a header",
            {"headers": {"x-key": "k"}},
            "header X-Key: is wrong: expected {settings.apiKey}",
            True,
        ),
        (
            "key in the query",
            {"target": "/pages"},
            "query key: is missing: expected {settings.apiKey}",
            True,
        ),
        (
            "key in the query",
            {"target": "/pages?key=k-1"},
            "query key: is wrong: expected {settings.apiKey}",
            True,
        ),
    ],
)
def test_what_is_not_sent(
    load: Load, form: str, change: dict[str, Any], issue: str, of_credential: bool
) -> None:
    """Each part is told by its place, and what is about credentials is known."""
    expected, settings = _expected(load, FORMS[form], "save")
    wire = _sent(expected, settings, {"page": "a"})
    parts = {name: getattr(wire, name) for name in ("method", "target", "headers", "body")}
    found, _ = expected.read(WireRequest(**{**parts, **change}))
    matching = [one for one in found if str(one).startswith(issue)]
    assert [one.of_credential for one in matching] == [of_credential], list(map(str, found))


@pytest.mark.parametrize("path", ["/pages/a", "/pages/a/v", "/pages/a/b/vk-12345678", "/page"])
def test_other_paths(load: Load, path: str) -> None:
    """A value of an event is one segment, and a secret is itself."""
    expected, _ = _expected(load, FORMS["path"], "save")
    assert expected.is_at(None, "/pages/a/vk-12345678")
    assert not expected.is_at(None, path)


def _basic(documents: dict[str, Any]) -> None:
    destination = documents["destination"]
    del destination["transport"]["headers"]
    destination["authentication"] = {
        "scheme": "basic",
        "fields": ["endpoint", "apiKey"],
        "test": "find",
    }
    destination["settings"]["properties"]["endpoint"]["default"] = "me"
    destination["transport"]["baseUrl"] = "http://127.0.0.1:9/graphql"


def test_basic(load: Load) -> None:
    """The header of HTTP Basic is checked as a whole."""
    definition = load(_basic)
    document = Document("settings", {"apiKey": "k-12345678", "endpoint": "me"}, {})
    settings = check_settings(definition, document)
    expected = ExpectedRequest(
        definition, definition.requests["find"], values_of(definition, settings, "find")
    )
    wire = _sent(expected, settings, {"id": "u1"})
    assert expected.read(wire)[0] == []
    headers = {**wire.headers, "authorization": "Basic bWU6b3RoZXI="}
    (issue,) = expected.read(WireRequest(wire.method, wire.target, headers, wire.body))[0]
    assert issue.of_credential
    assert "k-12345678" not in str(issue)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_events_of_a_graphql_batch(load: Load, count: int) -> None:
    """The document is that of so many events, and its answer has a success for each."""
    expected, settings = _expected(load, None, "count")
    wire = _sent(expected, settings, *({"by": at, "thing": "x"} for at in range(count)))
    issues, events = expected.read(wire)
    assert ([str(issue) for issue in issues], events.count) == ([], count)
    verdicts = expected.compiled.read(success_for(expected, events), count)
    assert [isinstance(one, Answer) for one in verdicts] == [True] * count


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        (lambda body: {**body, "query": "{ x }"}, "body /query: is not the operation Count"),
        (lambda body: {**body, "query": "{"}, "body /query: is not the operation Count"),
        (lambda body: {**body, "variables": {}}, "body /variables/by_0: is missing"),
        (
            lambda body: {**body, "variables": {"by_0": "1"}},
            "body /variables/by_0: must be integer",
        ),
        (
            lambda body: {**body, "variables": {"by_0": 1, "x": 2}},
            "body /variables/x: is unexpected",
        ),
        (lambda body: {"variables": body["variables"]}, "body: must be a JSON object"),
        (lambda body: [body], "body: must be a JSON object"),
    ],
)
def test_other_graphql(load: Load, change: Callable[[Any], Any], issue: str) -> None:
    """Documents and variables that the definition does not send."""
    expected, settings = _expected(load, None, "count")
    wire = _sent(expected, settings, {"by": 1, "thing": "x"})
    body = json.dumps(change(json.loads(wire.body))).encode()
    found, _ = expected.read(WireRequest(wire.method, wire.target, wire.headers, body))
    assert [one for one in map(str, found) if one.startswith(issue)], list(map(str, found))


ITEMS = {"status": [200, 207], "items": {"@path": "$.results"}}


@pytest.mark.parametrize(
    "failures",
    [
        {**ITEMS, "itemStatus": {"@path": "$.status"}},
        {**ITEMS, "itemStatus": {"@path": "$.status"}, "index": {"@path": "$.at"}},
        {
            **ITEMS,
            "itemStatus": {"@path": "$.status"},
            "id": {"item": {"@path": "$.id"}, "event": {"@path": "$.page"}},
        },
    ],
    ids=str,
)
def test_answers_that_list_all_events(load: Load, failures: dict[str, Any]) -> None:
    """Where only an answer with an item for each event is a success, that is made."""

    def change(documents: dict[str, Any]) -> None:
        _rest(json={"page": PAGE})(documents)
        request = documents["destination"]["requests"]["save"]
        request["batch"] = {"size": 5, "failures": failures}
        request["expect"] = {"type": "object", "required": ["results"]}

    expected, settings = _expected(load, change, "save")
    wire = _sent(expected, settings, *({"page": f"p{at}"} for at in range(3)))
    issues, events = expected.read(wire)
    assert ([str(issue) for issue in issues], events.count) == ([], 3)
    response = success_for(expected, events)
    parts = [json.dumps(one).encode() for one in events.items]
    verdicts = expected.compiled.read(response, 3, parts)
    assert [isinstance(one, Answer) for one in verdicts] == [True] * 3, response


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("text", {"text": "page={payload.page}"}),
        ("key in the query", {"query": {"key": "{settings.apiKey}"}}),
    ],
)
def test_what_is_shown(load: Load, form: str, shown: dict[str, Any]) -> None:
    """The nearest request is shown with names in place of values, also of keys."""
    expected, _ = _expected(load, FORMS[form], "save")
    found = expected.to_json()
    assert {name: found[name] for name in shown} == shown
    assert "k-12345678" not in json.dumps(found)


def test_the_schemas_of_lines_are_shown(load: Load) -> None:
    """Each line of an event has its own."""
    expected, _ = _expected(load, FORMS["lines"], "save")
    first, _, last = expected.to_json()["lineSchemas"]
    assert first["properties"] == {"index": {"type": "object", "properties": {}, "required": [],
                                             "additionalProperties": False}}  # fmt: skip
    assert list(last["properties"]) == ["page"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_events_in_lines(load: Load, count: int) -> None:
    """A batch of lines is read event by event, whether optional lines are there or not."""
    rest = {"method": "POST", "url": "http://127.0.0.1:9/x", "ndjson": [{"a": 1}, PAGE]}

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["save"] |= {"rest": rest, "batch": {"size": 3}}

    expected, settings = _expected(load, change, "save")
    wire = _sent(expected, settings, *[{"page": f"p{at}"} for at in range(count)])
    issues, events = expected.read(wire)
    assert list(map(str, issues)) == []
    assert list(events.items) == [[{"a": 1}, f"p{at}"] for at in range(count)]
