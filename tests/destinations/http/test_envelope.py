"""What GraphQL and REST share: addresses, headers, bodies, and Retry-After."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import BasicAuth, RetryDefinition, Timeouts, TransportDefinition
from destinations.errors import MappingError, ResolveError
from destinations.http import HttpResponse
from destinations.http.envelope import (
    Envelope,
    body_text,
    error_text,
    parse_body,
    retry_after,
)
from destinations.secrets import Masker, Secret
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.roots import reads

NOW = datetime(2022, 10, 20, 12, 0, 0, tzinfo=UTC)


def _envelope(url: object = None, own: Any = None, **headers: object) -> Envelope:
    transport = TransportDefinition(
        {"@path": "$.settings.url"}, headers, Timeouts(1, 1, 1), RetryDefinition(1, 1, 1), 1
    )
    return Envelope(transport, own or {}, url=url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "https://example.com", "http://[::1]/a?b=c"]
)
def test_urls(url: str) -> None:
    """An absolute URL of HTTP is taken as it is; a request's own comes before the common one."""
    assert _envelope().url({"settings": {"url": url}}) == url
    assert _envelope({"@path": "$.settings.own"}).url({"settings": {"own": url}}) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        7,
        "example.com",
        "/path",
        "ftp://example.com",
        "http://",
        "http:///x",
        "http://[::1",
    ],
)
def test_what_is_no_url(url: object) -> None:
    """Anything else fails the event, with the place of the mapping."""
    with pytest.raises(ResolveError, match="/url"):
        _envelope().url({"settings": {"url": url}})


@pytest.mark.parametrize(
    ("common", "own", "headers"),
    [
        ({"A": "1"}, {}, {"A": "1"}),
        ({"A": "1", "B": "2"}, {"a": "3"}, {"a": "3", "B": "2"}),
        ({"A": {"@path": "$.x"}}, {}, {"A": "text"}),
        ({"A": {"@path": "$.none"}, "B": None}, {}, {}),
        ({"A": 5, "B": True}, {}, {"A": "5", "B": "true"}),
        ({"A": {"@template": "Basic {{x}}"}}, {}, {"A": "Basic text"}),
        ({"A": " padded\t"}, {}, {"A": "padded"}),
        ({"A": "ä"}, {}, {"A": "ä"}),
        ({"A": ""}, {}, {"A": ""}),
    ],
)
def test_headers(common: dict[str, Any], own: dict[str, Any], headers: dict[str, str]) -> None:
    """A request's own header replaces the common one; null and undefined are left out."""
    assert _envelope(None, own, **common).headers({"x": "text"}) == headers


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "ž", "\ud800", "😀"])
def test_what_no_header_can_hold(value: str) -> None:
    """Line breaks and letters beyond Latin-1 fail the event, with the header's name."""
    with pytest.raises(ResolveError, match="/headers/X-Who"):
        _envelope(None, {"X-Who": {"@path": "$.x"}}).headers({"x": value})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"@path": "$.event.userId"}, True),
        ({"@path": "event"}, True),
        ({"@path": "['event'].userId"}, True),
        ({"@template": "x{{event.userId}}"}, True),
        ({"@liquid": "{{ event.userId }}"}, True),
        ([1, {"deep": ({"@path": "$.event"},)}], True),
        ({"@if": {"exists": {"@path": "$.event"}, "then": 1}}, True),
        # Other spellings of the same path.
        ({"@path": "$.ev'ent'.userId"}, True),
        ({"@path": "ev$.ent.userId"}, True),
        ({"@template": '{{ev"ent.userId}}'}, True),
        # The whole context, whatever is taken of it.
        ({"@path": ""}, True),
        ({"@path": "$."}, True),
        ({"@json": {"mode": "encode", "value": {"@path": "."}}}, True),
        ({"@arrayPath": ["", {"a": {"@path": "$.payload"}}]}, True),
        # Paths and templates that are values themselves.
        ({"@path": {"@path": "$.settings.which"}}, True),
        ({"@template": {"@path": "$.settings.which"}}, True),
        ({"@template": "{{{settings.which}}}"}, True),
        ({"@path": "$.payload.eventual"}, False),
        ({"@path": "$.settings.events"}, False),
        ({"@template": "{{payload.id}} and {{settings.id}}"}, False),
        ({"@arrayPath": ["$.payload.items", {"a": {"@path": "$.a"}}]}, False),
        ({"a": "", "b": None, "c": 5}, False),
        ("", False),
        (None, False),
    ],
    ids=str,
)
def test_which_mappings_may_read_the_event(source: object, found: bool) -> None:
    """Where it may be needed it is looked up: a mapping that reads it never finds it empty."""
    assert reads(source, "event") is found


def _depends_on_the_event(source: object) -> bool:
    mapping = compile_value(source)
    made = []
    for user in ("a", "b"):
        event = {"userId": user}
        settings = {"which": "{{event.userId}}", "path": "event.userId"}
        context = {"event": event, "payload": {"text": "x"}, "settings": settings}
        try:
            made.append(repr(mapping.resolve(context)))
        except ResolveError as error:
            made.append(str(error))
    return made[0] != made[1]


_PIECES = st.sampled_from(
    [
        *("event", "userId", "ev", "ent", "payload", "text", "settings", "which", "path"),
        *("$.", "$", ".", "'", '"', "[", "]", "0", " ", "{{", "}}", "{{{", "}}}"),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=8).map("".join)
_MAPPINGS = st.recursive(
    _TEXTS,
    lambda inner: st.one_of(
        st.builds(lambda text: {"@path": text}, inner),
        st.builds(lambda text: {"@template": text}, inner),
        st.builds(lambda path, shape: {"@arrayPath": [path, {"a": shape}]}, inner, inner),
        st.builds(lambda value: {"@json": {"mode": "encode", "value": value}}, inner),
        st.builds(lambda one, two: [one, {"b": two}], inner, inner),
    ),
    max_leaves=4,
)


@given(source=_MAPPINGS)
def test_no_mapping_reads_the_event_in_secret(source: object) -> None:
    """However a path is written or made, a mapping that depends on the event is known to."""
    try:
        depends = _depends_on_the_event(source)
    except MappingError:
        return
    assert reads(source, "event") or not depends


@pytest.mark.parametrize(
    "source",
    [
        {"@path": "ev$.ent.userId"},
        {"@path": "$.ev'ent'.userId"},
        {"@json": {"mode": "encode", "value": {"@path": "."}}},
        {"@path": {"@path": "$.settings.path"}},
        {"@template": {"@path": "$.settings.which"}},
        {"@template": "{{{settings.which}}}"},
    ],
    ids=str,
)
def test_mappings_that_read_the_event_all_the_same(source: object) -> None:
    """These are what the rule is for: they have no word of the event, and depend on it."""
    assert _depends_on_the_event(source)


def test_an_address_of_settings_alone_is_made_once() -> None:
    """What no event has a part in is the same for all; other settings make it anew."""
    envelope = _envelope(None, {"X-Key": {"@path": "$.settings.key"}})
    settings = {"url": "http://a/", "key": "k"}
    assert envelope.is_fixed
    first = envelope.target({"event": {}, "payload": {}, "settings": settings})
    assert first == ("http://a/", {"X-Key": "k"})
    assert envelope.target({"event": {"a": 1}, "payload": {}, "settings": settings}) is first
    others = {"url": "http://b/", "key": "l"}
    second = envelope.target({"event": {}, "payload": {}, "settings": others})
    assert second == ("http://b/", {"X-Key": "l"})


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ({"@template": "http://a/{{payload.id}}"}, {}),
        ({"@template": "http://a/{{event.id}}"}, {}),
        ("http://a/", {"X-Id": {"@path": "$.event.id"}}),
        ("http://a/", {"X-Id": {"@path": {"@path": "$.settings.which"}}}),
    ],
)
def test_an_address_of_an_event_is_made_for_each(url: object, headers: dict[str, Any]) -> None:
    """One event's address or headers never serve another."""
    envelope = _envelope(url, headers)
    settings = {"url": "http://a/", "which": "event.id"}
    made = [
        envelope.target({"event": {"id": one}, "payload": {"id": one}, "settings": settings})
        for one in ("1", "2")
    ]
    assert made == [
        ("http://a/1", {}) if not headers else ("http://a/", {"X-Id": "1"}),
        ("http://a/2", {}) if not headers else ("http://a/", {"X-Id": "2"}),
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff", b"{} {}"])
def test_bodies_that_are_not_json(body: bytes) -> None:
    """They are no answer that could be read."""
    with pytest.raises(ValueError, match=r"line \d"):
        parse_body(HttpResponse(200, {}, body))


@pytest.mark.parametrize("text", ['{"a": "ä"}', "[]", "1", '"x"'])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-32-be"])
def test_a_byte_order_mark(text: str, encoding: str) -> None:
    """It says nothing, before JSON, text, and what a partner says of an error."""
    mark = "\ufeff" if encoding.endswith("-be") else ""
    response = HttpResponse(500, {}, (mark + text).encode(encoding))
    assert parse_body(response) == json.loads(text)
    assert body_text(response) == text
    assert error_text(response, None) == " ".join(text.split())


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("https://other.example.com/graphql", "https://other.example.com/graphql"),
        ("/v2/track", "/v2/track"),
        ("https://user:secret@a.example.com:8443/x", "https://a.example.com:8443/x"),
        ("https://a.example.com/x?token=secret#secret", "https://a.example.com/x?***"),
        ("//a.example.com/x", "//a.example.com/x"),
        ("http://[::1/secret", "an unreadable address"),
        ("https://a.example.com/\x1b[31m", "https://a.example.com/\ufffd[31m"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_where_a_redirect_leads(status: int, location: str, text: str) -> None:
    """The reason names the place, without what may let somebody in."""
    response = HttpResponse(status, {"location": location}, b"<html>moved</html>")
    assert error_text(response, None) == f"redirected to {text}; redirects are not followed"
    assert error_text(HttpResponse(status, {}, b"moved"), None) == "moved"
    assert error_text(HttpResponse(201, {"location": location}, b"made"), None) == "made"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, 999999999.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("١", None),
        ("Thu, 20 Oct 2022 12:00:30 GMT", 30.0),
        ("Thu, 20 Oct 2022 14:00:30 +0200", 30.0),
        ("Thursday, 20-Oct-22 12:00:30 GMT", 30.0),
        ("Thu Oct 20 12:00:30 2022", 30.0),
        ("Thu, 20 Oct 2022 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """A number of seconds or a date of any form that HTTP knows; the past is now."""
    headers = {} if value is None else {"retry-after": value}
    assert retry_after(HttpResponse(429, headers, b""), NOW) == seconds


@given(value=st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_retry_after_is_read_or_ignored(value: str) -> None:
    """No header value makes the reading fail."""
    seconds = retry_after(HttpResponse(429, {"retry-after": value}, b""), NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("body", "data", "text"),
    [
        ({"message": "why"}, b"x", "why"),
        ({"error": "why"}, b"x", "why"),
        ({"error": {"message": "why"}}, b"x", "why"),
        ({"errors": [{"message": "why"}]}, b"x", "why"),
        ({"errors": ["why"]}, b"x", "why"),
        ({"meta": {"error": "why"}}, b"x", "why"),
        ({"error": {"type": "x", "reason": "why"}}, b"x", "why"),
        ({"title": "no", "detail": "why", "status": 400}, b"x", "why"),
        ({"title": "why", "detail": 1}, b"x", "why"),
        ([{"message": "why"}], b"x", "why"),
        ({"errors": []}, b"raw", "raw"),
        ({"message": " "}, b"raw", "raw"),
        (None, b" a\n b ", "a b"),
        (None, b"\xff", "\ufffd"),
        (None, b"", ""),
        # It is cut where it has been masked.
        (None, b"x" * 5000, "x" * 5000),
        ({"message": "y" * 5000}, b"x", "y" * 5000),
        (None, b"x" * 100_000, "x" * 65_536),
    ],
)
def test_error_texts(body: object, data: bytes, text: str) -> None:
    """The partner's own message where the body has one, else its beginning; one short line."""
    assert error_text(HttpResponse(500, {}, data), body) == text


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"user": "Aladdin", "word": Secret("open sesame")}, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ({"user": "t\u00e9st", "word": "123\u00a3"}, "Basic dMOpc3Q6MTIzwqM="),
        ({"user": Secret("key")}, "Basic a2V5Og=="),
        ({"user": 7, "word": "a:b"}, "Basic NzphOmI="),
        ({"word": "x"}, None),
    ],
)
def test_http_basic(settings: dict[str, Any], header: str | None) -> None:
    """User and password make the header of RFC 7617, in UTF-8; without a user there is none."""
    context = {"event": {}, "payload": {}, "settings": settings}
    assert _basic().headers(context).get("Authorization") == header
    if settings.get("word") == "open sesame":
        assert Masker(["open sesame"]).text(header or "").count("***") == 1


def test_an_authorization_of_ones_own_comes_before_http_basic() -> None:
    """A header that a request or the transport has, in whatever case, is the one that is sent."""
    context = {"event": {}, "payload": {}, "settings": {"user": "u", "word": "p"}}
    assert _basic(authorization="Bearer x").headers(context) == {"authorization": "Bearer x"}


def test_a_user_of_http_basic_has_no_colon() -> None:
    """What would be read as another user and password fails before anything is sent."""
    settings = {"user": "a:b", "word": "p"}
    with pytest.raises(ResolveError, match="setting user must not contain a colon"):
        _basic("http://127.0.0.1/").fixed_url(settings)


def _basic(url: object = None, **headers: object) -> Envelope:
    transport = TransportDefinition(
        {"@path": "$.settings.url"},
        {},
        Timeouts(1, 1, 1),
        RetryDefinition(1, 1, 1),
        1,
        auth=BasicAuth("user", "word"),
    )
    return Envelope(transport, headers, url=url)
