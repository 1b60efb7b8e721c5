"""The keys that say where requests go, whose they are and what body they have, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    DestinationDefinition,
    RequestAuth,
    RestDefinition,
    Signature,
    check_folder,
)
from destinations.definition.setting_uses import account_settings, address_settings, host_settings
from destinations.errors import ResolveError
from destinations.http.address import Address

Load = Callable[..., DestinationDefinition]
Write = Callable[..., Path]
Change = Callable[[Any], None]

URLS = {"us": "https://api.example.com/v1", "eu": "https://api.eu.example.com/v1"}
REGION: dict[str, Any] = {
    "title": "Region",
    "description": "Where the account is.",
    "type": "string",
    "enum": ["us", "eu"],
    "default": "us",
}
SECRET = {"title": "Secret", "description": "A secret.", "type": "string", "format": "password"}


def _region(urls: object, setting: str = "region", **spec: Any) -> Change:
    """Choose the base URL by a region, whose setting has these changes; None takes a key out."""
    made = {key: value for key, value in {**REGION, **spec}.items() if value is not None}

    def change(documents: Any) -> None:
        destination = documents["destination"]
        destination["settings"]["properties"]["region"] = made
        destination["transport"]["baseUrl"] = {"setting": setting, "urls": urls}

    return change


def _auth(auth: object, scheme: str = "custom", **headers: object) -> Change:
    """Send credentials by ``transport.auth``, beside these headers."""

    def change(documents: Any) -> None:
        destination = documents["destination"]
        destination["settings"]["properties"]["word"] = SECRET
        destination["authentication"]["scheme"] = scheme
        destination["transport"] |= {"auth": auth, "headers": headers}

    return change


def _rest(batch: object = None, **rest: object) -> Change:
    def change(documents: Any) -> None:
        request = documents["destination"]["requests"]["save"]
        request["rest"] = {"method": "POST", "url": "http://127.0.0.1:9/pages", **rest}
        if batch is not None:
            request["batch"] = batch

    return change


def _sign(**sign: object) -> Change:
    """Sign the request ``save`` with these changes."""
    key = {"@path": "$.settings.apiKey"}
    return _rest(text="x", sign={"header": "X-Sign", "algorithm": "sha256", "secret": key, **sign})


def _both(*changes: Change) -> Change:
    def change(documents: Any) -> None:
        for one in changes:
            one(documents)

    return change


BASE = "/transport/baseUrl"
AUTH = "/transport/auth"
SAVE = "/requests/save/rest"
KEY_IN_QUERY = {"apiKey": {"query": "key", "setting": "apiKey"}}
LINE = {"page": {"@path": "$.payload.page"}}
WRONG: dict[str, tuple[Change, str, str]] = {
    "a value without a URL": (
        _region({"us": URLS["us"]}),
        f"{BASE}/urls",
        "has no URL for 'eu', a value of the setting region",
    ),
    "a URL of no value": (
        _region({**URLS, "ue": URLS["eu"]}),
        f"{BASE}/urls/ue",
        "unknown value of the setting region 'ue'; known: us, eu",
    ),
    "a setting that is not there": (
        _region(URLS, "regoin"),
        f"{BASE}/setting",
        "unknown setting 'regoin'; known: apiKey, endpoint, limit, region; did you mean region?",
    ),
    "a setting without choices": (
        _region(URLS, enum=None),
        f"{BASE}/setting",
        "region must be a setting of type string with an enum of texts, each with a URL",
    ),
    "a setting that may be absent": (
        _region(URLS, default=None),
        f"{BASE}/setting",
        "region must be required or have a default, to choose a URL",
    ),
    "a setting of a choice that may be absent": (
        _region({**URLS, "eu": {"@template": "https://eu-{{settings.limit}}.example.com"}}),
        f"{BASE}/urls/eu",
        "is made of the setting limit: make limit required, also by x-requiredWhen, or give it a",
    ),
    "a mistyped setting of a choice": (
        _region({**URLS, "eu": {"@path": "$.settings.endpont"}}),
        f"{BASE}/urls/eu/@path",
        "did you mean endpoint?",
    ),
    "a relative URL of a choice": (
        _region({**URLS, "eu": "/v1"}),
        f"{BASE}/urls/eu",
        "must be an absolute URL that begins with https:// or http://",
    ),
    "a value of the event in a choice": (
        _region({**URLS, "eu": {"@template": "https://{{event.userId}}.example.com"}}),
        BASE,
        "must read only settings: put values into rest.path",
    ),
    "a choice without URLs": (
        lambda documents: documents["destination"]["transport"].update(
            baseUrl={"setting": "limit"}
        ),
        BASE,
        "lacks 'urls'",
    ),
    "another key of a choice": (
        lambda documents: documents["destination"]["transport"].update(
            baseUrl={"setting": "limit", "urls": URLS, "url": "x"}
        ),
        f"{BASE}/url",
        "is not a key here; known: setting, urls; did you mean urls?",
    ),
    "no credential": (_auth({}), AUTH, "must have exactly one of: basic | bearer | apiKey"),
    "two credentials": (
        _auth({"bearer": "apiKey", "basic": {"user": "apiKey"}}),
        AUTH,
        "must have exactly one of: basic | bearer | apiKey",
    ),
    "a key in two places": (
        _auth({"apiKey": {"setting": "apiKey", "header": "A", "query": "b"}}),
        f"{AUTH}/apiKey",
        "must have exactly one of: header | query",
    ),
    "a key in no place": (
        _auth({"apiKey": {"setting": "apiKey"}}),
        f"{AUTH}/apiKey",
        "must have exactly one of: header | query",
    ),
    "a header of no name": (
        _auth({"apiKey": {"setting": "apiKey", "header": "X Key"}}),
        f"{AUTH}/apiKey/header",
        "must be the name of a header, such as X-Api-Key, not 'X Key'",
    ),
    "a bearer that is not there": (
        _auth({"bearer": "apikey"}),
        f"{AUTH}/bearer",
        "unknown setting 'apikey'; known: apiKey, endpoint, limit, word; did you mean apiKey?",
    ),
    "a password that is not there": (
        _auth({"basic": {"user": "endpoint", "password": "wrod"}}),
        f"{AUTH}/basic/password",
        "unknown setting 'wrod'",
    ),
    "a key that would be shown": (
        _auth({"apiKey": {"setting": "endpoint", "query": "key"}}),
        f"{AUTH}/apiKey/setting",
        "endpoint is a credential: give it format: password, so that it is masked",
    ),
    "a user that is the key and would be shown": (
        _auth({"basic": {"user": "endpoint"}}),
        f"{AUTH}/basic/user",
        "endpoint is a credential: give it format: password, so that it is masked",
    ),
    "another scheme": (
        _auth({"bearer": "apiKey"}, "basic"),
        "/authentication/scheme",
        "is not what transport.auth says: write bearer",
    ),
    "a header beside a bearer": (
        _auth({"bearer": "apiKey"}, authorization="Bearer x"),
        "/transport/headers/authorization",
        "is made by transport.auth as well: keep one of them",
    ),
    "a header beside a key": (
        _auth({"apiKey": {"setting": "apiKey", "header": "X-Key"}}, **{"x-key": "x"}),
        "/transport/headers/x-key",
        "is made by transport.auth as well: keep one of them",
    ),
    "a parameter beside a key": (
        _both(_auth(KEY_IN_QUERY), _rest(query={"key": "x"})),
        f"{SAVE}/query/key",
        "is made by transport.auth as well: keep one of them",
    ),
    **{
        f"{one} and {other}": (
            _rest(**{one: value, other: another}),
            SAVE,
            f"must not have {one} and {other} together",
        )
        for (one, value), (other, another) in [
            (("json", LINE), ("form", LINE)),
            (("json", LINE), ("text", "x")),
            (("json", LINE), ("ndjson", [LINE])),
            (("form", LINE), ("text", "x")),
            (("form", LINE), ("ndjson", [LINE])),
            (("text", "x"), ("ndjson", [LINE])),
        ]
    },
    "text of a GET request": (
        _rest(method="GET", text="x"),
        f"{SAVE}/text",
        "must not be set: a GET request has no body",
    ),
    "lines of a GET request": (
        _rest(method="GET", ndjson=[LINE]),
        f"{SAVE}/ndjson",
        "must not be set: a GET request has no body",
    ),
    "no lines": (_rest(ndjson=[]), f"{SAVE}/ndjson", "must not be empty"),
    "a line that reads nothing": (
        _rest(ndjson=[LINE, {"id": {"@path": "$.settings.nope"}}]),
        f"{SAVE}/ndjson/1/id/@path",
        "unknown setting 'nope'",
    ),
    "text that reads nothing": (
        _rest(text={"@template": "{{properties.plan}}"}),
        f"{SAVE}/text/@template",
        "write $.event.properties",
    ),
    "gzip of nothing": (
        _rest(gzip=True),
        f"{SAVE}/gzip",
        "has no effect: the request has no body",
    ),
    "gzip beside its header": (
        _rest(gzip=True, text="x", headers={"content-encoding": "gzip"}),
        f"{SAVE}/headers/content-encoding",
        "must not be set: gzip makes this header",
    ),
    "an unknown placeholder of a message": (
        _sign(message="{{tiemstamp}}.{{body}}"),
        f"{SAVE}/sign/message",
        "unknown placeholder 'tiemstamp'; known: timestamp, body; did you mean timestamp?",
    ),
    "an unknown placeholder of a value": (
        _sign(value="{{body}}{{signature}}"),
        f"{SAVE}/sign/value",
        "unknown placeholder 'body'; known: timestamp, signature",
    ),
    "a message without the body": (
        _sign(message="{{timestamp}}", timestampHeader="X-Time"),
        f"{SAVE}/sign/message",
        "must have {{body}}: a signature of anything else fits every body",
    ),
    "a value without the signature": (
        _sign(value="t={{timestamp}}"),
        f"{SAVE}/sign/value",
        "must have {{signature}}: else nothing is signed",
    ),
    "a time that is not sent": (
        _sign(message="{{timestamp}}.{{body}}"),
        f"{SAVE}/sign/message",
        "signs a time that is not sent: set timestampHeader, or put it into value",
    ),
    "a time in the header of the signature": (
        _sign(timestampHeader="x-sign"),
        f"{SAVE}/sign/timestampHeader",
        "must be another header than header",
    ),
    "a header of a signature of no name": (
        _sign(header="X-Sign\n"),
        f"{SAVE}/sign/header",
        "must be the name of a header, such as X-Api-Key",
    ),
    "a value that no header can have": (
        _sign(value="{{signature}}\n"),
        f"{SAVE}/sign/value",
        "must be text of printable ASCII characters",
    ),
    "another hash": (
        _sign(algorithm="md5"),
        f"{SAVE}/sign/algorithm",
        "must be one of sha1, sha256, sha512",
    ),
    "another encoding": (
        _sign(encoding="base32"),
        f"{SAVE}/sign/encoding",
        "must be one of hex, base64",
    ),
    "a secret that is not there": (
        _sign(secret={"@path": "$.settings.sharedSecret"}),
        f"{SAVE}/sign/secret/@path",
        "unknown setting 'sharedSecret'",
    ),
    "a batch of text": (
        _rest({"size": 5}, text="x"),
        "/requests/save/batch",
        "needs rest.json or rest.ndjson: its body is made from it",
    ),
    "a body of a batch of lines": (
        _rest({"size": 5, "json": {"all": {"@path": "$.items"}}}, ndjson=[LINE]),
        "/requests/save/batch/json",
        "has no effect: the body is the lines of rest.ndjson",
    ),
}


@pytest.mark.parametrize(("change", "place", "message"), WRONG.values(), ids=WRONG)
def test_what_can_never_work(
    write_definition: Write, change: Change, place: str, message: str
) -> None:
    """It is an issue with file, line and place, which says what would be right."""
    issues = check_folder(write_definition(change))
    found = [issue for issue in issues if issue.path == place and message in issue.message]
    assert found, list(map(str, issues))
    assert found[0].file is not None
    assert found[0].line is not None


RIGHT: dict[str, Change] = {
    "a region with a default": _region(URLS),
    "a choice with settings in its URLs": _region(
        {"us": {"@template": "{{settings.endpoint}}/us"}, "eu": URLS["eu"]}
    ),
    "a request with an address of its own": _both(
        _region(URLS), _rest(url={"setting": "region", "urls": URLS}, text="x")
    ),
    "a user and a password": _auth({"basic": {"user": "endpoint", "password": "apiKey"}}, "basic"),
    "a key as the user": _auth({"basic": {"user": "apiKey"}}, "basic"),
    "a bearer": _auth({"bearer": "apiKey"}, "bearer"),
    "a key in a header": _auth({"apiKey": {"setting": "apiKey", "header": "X-Key"}}),
    "a key in the query": _both(_auth(KEY_IN_QUERY), _rest(query={"other": "x"})),
    "a plain signature": _sign(),
    "a signature with a time": _sign(
        message="{{timestamp}}.{{body}}", value="t={{timestamp}},v1={{signature}}"
    ),
    "a signature with a time in a header": _sign(
        message="v0:{{ timestamp }}:{{ body }}", timestampHeader="X-Time", encoding="base64"
    ),
    "a signature of another key": _sign(algorithm="sha512", secretEncoding="base64"),
    "text": _rest(text={"@template": "{{payload.page}}"}, gzip=True),
    "lines": _rest(ndjson=[{"create": {}}, LINE], gzip=True),
    "a batch of lines": _rest({"size": 5}, ndjson=[LINE]),
    "a body without gzip": _rest(json=LINE, gzip=False),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_what_works(write_definition: Write, change: Change) -> None:
    """Each key as it is meant is no issue, and no warning: no credential counts as unused."""

    def without_code(documents: Any) -> None:
        del documents["sync"]
        documents["destination"]["presets"].pop()
        documents["destination"]["authentication"]["fields"] = ["apiKey"]
        change(documents)

    assert list(map(str, check_folder(write_definition(without_code)))) == []


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"basic": {"user": "endpoint", "password": "apiKey"}}, BasicAuth("endpoint", "apiKey")),
        ({"basic": {"user": "apiKey"}}, BasicAuth("apiKey")),
        ({"bearer": "apiKey"}, BearerAuth("apiKey")),
        ({"apiKey": {"setting": "apiKey", "header": "X"}}, ApiKeyAuth("apiKey", header="X")),
        ({"apiKey": {"setting": "apiKey", "query": "x"}}, ApiKeyAuth("apiKey", query="x")),
    ],
)
def test_how_credentials_are_read(load: Load, auth: object, expected: RequestAuth) -> None:
    """The model has one class for each way, and each setting of it is one of the account."""
    definition = load(_auth(auth))
    assert definition.transport.auth == expected
    assert address_settings(definition) >= set(expected.settings)


def test_a_scheme_of_basic_is_the_same_as_before(load: Load) -> None:
    """Two fields of ``authentication`` still make the header of HTTP Basic."""

    def change(documents: Any) -> None:
        documents["destination"]["transport"]["headers"] = {}
        documents["destination"]["authentication"] |= {
            "scheme": "basic",
            "fields": ["endpoint", "apiKey"],
        }

    assert load(change).transport.auth == BasicAuth("endpoint", "apiKey")


def test_a_region_is_where_requests_go(load: Load) -> None:
    """The setting that chooses a URL is one of the host, and tells accounts apart."""
    assert "region" in host_settings(load(_region(URLS)))
    assert "region" in address_settings(load(_region(URLS)))
    of_request = _both(_region(URLS), _rest(url={"setting": "region", "urls": URLS}, text="x"))
    assert "region" in host_settings(load(of_request))
    assert "region" not in host_settings(load())


def test_what_a_test_of_credentials_asks_with(load: Load) -> None:
    """Settings in a body of text or of lines tell accounts apart, as those in JSON do."""
    for body in (
        {"text": {"@path": "$.settings.limit"}},
        {"ndjson": [{"@path": "$.settings.limit"}]},
    ):
        remembered = _both(
            _rest(**body),
            lambda documents: documents["destination"]["requests"]["save"].update(remember=True),
        )
        assert "limit" in account_settings(load(remembered))
    assert "limit" not in account_settings(load())


def test_signatures_are_read(load: Load) -> None:
    """What the file says is in the model, with the defaults of before."""
    call = load(_sign()).requests["save"].call
    assert isinstance(call, RestDefinition)
    key = {"@path": "$.settings.apiKey"}
    assert call.sign == Signature("X-Sign", "sha256", key, "hex", None, "{{body}}", "{{signature}}")
    made = _sign(timestampHeader="X-Time", secretEncoding="base64", encoding="base64")
    call = load(made).requests["save"].call
    assert isinstance(call, RestDefinition)
    assert call.sign is not None
    assert (call.sign.timestamp_header, call.sign.secret_encoding, call.sign.encoding) == (
        "X-Time",
        "base64",
        "base64",
    )


def test_a_key_of_signatures_that_is_shown(load: Load) -> None:
    """A setting that is no secret may sign, as it did before: it is a warning."""
    definition = load(_sign(secret={"@path": "$.settings.endpoint"}))
    assert [(one.path, one.message) for one in definition.warnings] == [
        (
            "/requests/save/rest/sign/secret",
            "endpoint is a key: give it format: password, so that it is masked",
        )
    ]


def test_bodies_are_read(load: Load) -> None:
    """What the file says is in the model."""
    call = load(_rest(ndjson=[LINE, {"a": 1}], gzip=True)).requests["save"].call
    assert isinstance(call, RestDefinition)
    assert (call.ndjson, call.gzip, call.text) == ((LINE, {"a": 1}), True, None)
    call = load(_rest(text="x")).requests["save"].call
    assert isinstance(call, RestDefinition)
    assert (call.ndjson, call.gzip, call.text) == ((), False, "x")


OPEN = "is not encrypted, so that others can read the credentials: write https"
OPEN_URLS: list[tuple[object, bool]] = [
    ("http://api.example.com", True),
    ("HTTP://api.example.com", True),
    ("http://203.0.113.5/v1", False),  # for documentation, and nowhere else
    ("http://8.8.8.8", True),
    ({"@template": "http://{{settings.apiKey}}.example.com"}, False),  # not known before
    ("http://127.0.0.1:9", False),
    ("http://localhost:9", False),
    ("http://[::1]:9", False),
    # What is not of the internet has its own ways.
    ("http://10.0.0.7", False),
    ("http://billing", False),
    ("http://billing.internal", False),
    ("https://api.example.com", False),
]


@pytest.mark.parametrize(("url", "is_open"), OPEN_URLS, ids=str)
@pytest.mark.parametrize("place", ["baseUrl", "urls", "url"])
def test_urls_that_are_not_encrypted(
    write_definition: Write, place: str, url: object, is_open: bool
) -> None:
    """Credentials that anybody can read on their way are a mistake, at each place of a URL."""
    change = {
        "baseUrl": lambda documents: documents["destination"]["transport"].update(baseUrl=url),
        "urls": _region({**URLS, "eu": url}),
        "url": _rest(url=url, json={}),
    }[place]
    issues = [one for one in check_folder(write_definition(change)) if one.message == OPEN]
    assert bool(issues) is is_open
    assert all(one.line is not None for one in issues)
    places = {"baseUrl": BASE, "urls": f"{BASE}/urls/eu", "url": f"{SAVE}/url"}
    assert {one.path for one in issues} == ({places[place]} if is_open else set())


def _required_when(documents: Any) -> None:
    """The limit is required where the endpoint is missing."""
    condition = {"field": "endpoint", "operator": "is"}
    limit = documents["destination"]["settings"]["properties"]["limit"]
    limit["x-requiredWhen"] = {"conditions": [condition]}


def test_a_url_of_a_setting_that_may_be_absent(write_definition: Write) -> None:
    """It is a warning: those who give the setting have a URL."""
    path = {"@path": "$.settings.limit"}
    (issue,) = check_folder(write_definition(_rest(url=path, json={})))
    assert issue.path == f"{SAVE}/url"
    assert issue.message.startswith("is made of the setting limit: make limit required")
    assert not check_folder(write_definition(_both(_required_when, _rest(url=path, json={}))))
    either = {"@if": {"exists": path, "then": path, "else": "https://api.example.com"}}
    assert not check_folder(write_definition(_rest(url=either, json={})))


MISSING: list[tuple[object, dict[str, Any], str]] = [
    (
        {"setting": "region", "urls": {"eu": {"@path": "$.settings.euUrl"}}},
        {"region": "eu"},
        "; the URL of region eu is made of the setting euUrl, which is not given",
    ),
    (
        {
            "setting": "region",
            "urls": {"eu": {"@template": "https://{{settings.a}}{{settings.b}}"}},
        },
        {"region": "eu"},
        "; the URL of region eu is made of the setting a and b, which is not given",
    ),
    (
        {"setting": "region", "urls": {"eu": "https://api.example.com"}},
        {},
        "; the setting region, which chooses it, is not given",
    ),
    (
        {"setting": "region", "urls": {"eu": "https://api.example.com"}},
        {"region": "mars"},
        "has no URL for this setting; known: eu",
    ),
    (
        {"@path": "$.settings.endpoint"},
        {},
        "; the URL is made of the setting endpoint, which is not given",
    ),
    ({"@path": "$.settings.endpoint"}, {"endpoint": "x"}, "must be an absolute http or https URL"),
]


@pytest.mark.parametrize(("url", "settings", "message"), MISSING, ids=lambda one: str(one)[:40])
def test_a_url_without_its_setting(url: object, settings: Any, message: str) -> None:
    """What is never checked may lack a setting: the message says which, and of which URL."""
    with pytest.raises(ResolveError) as caught:
        Address(url).url({"event": {}, "payload": {}, "settings": settings})
    assert caught.value.path == "/url"
    assert caught.value.message.endswith(message)
