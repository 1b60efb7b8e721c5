"""Only listed pages are let in, by the names that browsers use."""

from __future__ import annotations

import pytest

from destinations.errors import UsageError
from destinations.server.cors import allowed, parse_origin, preflight

PAGES = frozenset({"https://www.example.com"})


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://www.example.com", "https://www.example.com"),
        ("https://www.example.com/", "https://www.example.com"),
        ("HTTPS://WWW.Example.com", "https://www.example.com"),
        ("https://www.example.com:443", "https://www.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://m\u00fcnchen.example", "https://xn--mnchen-3ya.example"),
    ],
)
def test_origins(text: str, origin: str) -> None:
    """They become what browsers send."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("*", "there are no wildcards; name each origin"),
        ("https://*.example.com", "there are no wildcards; name each origin"),
        ("www.example.com", "expected the origin of a page, such as https://www.example.com"),
        ("null", "expected the origin of a page"),
        ("ftp://example.com", "expected the origin of a page"),
        ("https://www.example.com/shop", "without path or user"),
        ("https://me@www.example.com", "without path or user"),
        ("https://www.example.com?x", "without path or user"),
        ("https://www.example.com:99999", "expected the origin of a page"),
        ("https://[::1", "expected the origin of a page"),
        ("https://\u00fc" + "x" * 70 + ".example", "expected the origin of a page"),
    ],
)
def test_what_is_no_origin(text: str, why: str) -> None:
    """What would be right is said."""
    with pytest.raises(UsageError, match="invalid origin") as caught:
        parse_origin(text)
    assert why in str(caught.value)


def test_what_a_page_may_read() -> None:
    """Of a page that is listed, its own origin is named; caches tell pages apart."""
    origin = b"https://www.example.com"
    assert dict(allowed(origin, PAGES)) == {
        b"access-control-allow-origin": origin,
        b"vary": b"Origin",
    }
    assert dict(allowed(b"https://other.example", PAGES)) == {b"vary": b"Origin"}
    assert allowed(None, PAGES) == allowed(origin, frozenset()) == ()


def test_what_browsers_ask_first() -> None:
    """A listed page is told what it may send, another one is not."""
    asked = {
        b"origin": b"https://www.example.com",
        b"access-control-request-headers": b"content-type",
    }
    reply = preflight(asked, PAGES)
    headers = dict(reply.headers)
    assert reply.status == 204
    assert headers[b"access-control-allow-origin"] == b"https://www.example.com"
    assert headers[b"access-control-allow-headers"] == b"content-type"
    assert b"POST" in headers[b"access-control-allow-methods"]
    refused = preflight({b"origin": b"https://other.example"}, PAGES)
    assert refused.status == 403
    assert b"access-control-allow-origin" not in dict(refused.headers)
    assert preflight({}, PAGES).status == 405


def test_a_server_of_a_private_network() -> None:
    """A page that may send may also do so to a private network, if its browser asks for that."""
    asked = {b"origin": b"https://www.example.com"}
    private = b"access-control-allow-private-network"
    assert private not in dict(preflight(asked, PAGES).headers)
    asked[b"access-control-request-private-network"] = b"true"
    assert dict(preflight(asked, PAGES).headers)[private] == b"true"
    asked[b"origin"] = b"https://other.example"
    assert private not in dict(preflight(asked, PAGES).headers)
