"""What GraphQL and REST share: addresses, headers, bodies, and Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import RetryPolicy, Timeouts, TransportDefinition
from destinations.errors import ResolveError
from destinations.http import HttpResponse
from destinations.http.envelope import Envelope, encode, error_text, parse_body, retry_after

NOW = datetime(2022, 10, 20, 12, 0, 0, tzinfo=UTC)


def _envelope(url: object = None, own: Any = None, **headers: object) -> Envelope:
    transport = TransportDefinition(
        {"@path": "$.settings.url"}, headers, Timeouts(1, 1, 1), RetryPolicy(1, 1, 1, 1, 1), 1
    )
    return Envelope(transport, url, own or {})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "https://example.com", "http://[::1]/a?b=c"]
)
def test_urls(url: str) -> None:
    """An absolute URL of HTTP is taken as it is; a request's own comes before the common one."""
    assert _envelope().url({"settings": {"url": url}}) == url
    assert _envelope({"@path": "$.own"}).url({"own": url}) == url


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
    ("value", "data"),
    [({"a": [1, None]}, b'{"a":[1,null]}'), ("ž😀", '"ž😀"'.encode()), (1.5, b"1.5")],
)
def test_bodies_are_compact_utf8(value: object, data: bytes) -> None:
    """JSON without spaces, and text as it is."""
    assert encode(value) == data


@pytest.mark.parametrize(
    "value",
    [float("inf"), float("nan"), "\ud800", {"\udc00": 1}, pytest.param(10**5000, id="huge")],
)
def test_what_json_cannot_hold(value: object) -> None:
    """Such values are an error of the event."""
    with pytest.raises(ResolveError, match="the body"):
        encode(value)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff", b"{} {}"])
def test_bodies_that_are_not_json(body: bytes) -> None:
    """They are no answer that could be read."""
    with pytest.raises(ValueError, match=r"line \d"):
        parse_body(HttpResponse(200, {}, body))


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
        ([{"message": "why"}], b"x", "why"),
        ({"errors": []}, b"raw", "raw"),
        ({"message": " "}, b"raw", "raw"),
        (None, b" a\n b ", "a b"),
        (None, b"\xff", "\ufffd"),
        (None, b"", ""),
        (None, b"x" * 5000, "x" * 200),
        ({"message": "y" * 5000}, b"x", "y" * 300),
    ],
)
def test_error_texts(body: object, data: bytes, text: str) -> None:
    """The partner's own message where the body has one, else its beginning; one short line."""
    assert error_text(HttpResponse(500, {}, data), body) == text
