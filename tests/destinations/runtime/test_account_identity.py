"""Which account settings lead to: the same for all spellings, another for all that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.runtime.account_identity import AccountIdentity, identity_of, normalised
from destinations.runtime.destination import Destination

Bind = Callable[..., Destination]


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("HTTPS://API.Example.COM/v1", "https://api.example.com/v1"),
        ("https://api.example.com:443/v1", "https://api.example.com/v1"),
        ("http://api.example.com:80/v1", "http://api.example.com/v1"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("https://api.example.com./v1", "https://api.example.com/v1"),
        ("https://api.example.com/v1#part", "https://api.example.com/v1"),
        ("https://api.example.com:/v1", "https://api.example.com/v1"),
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1?a=B", "https://api.example.com/v1?a=B"),
        ("https://api.example.com/V1", "https://api.example.com/V1"),
        ("https://api.example.com:80/v1", "https://api.example.com:80/v1"),
        ("http://api.example.com:443/v1", "http://api.example.com:443/v1"),
        ("https://api.example.com:8443/v1", "https://api.example.com:8443/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://127.0.0.1:8080"),
        ("http://LocalHost:8080/", "http://127.0.0.1:8080"),
        ("http://localhost.:8080/", "http://127.0.0.1:8080"),
        ("http://app.localhost:8080/", "http://127.0.0.1:8080"),
        ("http://127.0.0.2:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://127.0.0.1:8080"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://127.0.0.1"),
        ("http://localhost:80/", "http://127.0.0.1"),
        ("http://mylocalhost/", "http://mylocalhost"),
        ("http://localhost.example.com/", "http://localhost.example.com"),
        ("http://10.0.0.1/", "http://10.0.0.1"),
        ("http://[2001:DB8::5]:81/x/", "http://[2001:db8::5]:81/x"),
        ("http://[2001:db8::5]/x", "http://[2001:db8::5]/x"),
        # RFC 3986, 6.2.2: case, percent-encoding, and path segments.
        ("https://api.example.com/%67raphql", "https://api.example.com/graphql"),
        ("https://api.example.com/%7Eme/%2f", "https://api.example.com/~me/%2F"),
        ("https://api.example.com/x/../graphql", "https://api.example.com/graphql"),
        ("https://api.example.com/x/%2e%2E/graphql", "https://api.example.com/graphql"),
        ("https://api.example.com/./graphql/.", "https://api.example.com/graphql"),
        ("https://api.example.com/../graphql", "https://api.example.com/graphql"),
        ("https://api.example.com//graphql", "https://api.example.com/graphql"),
        ("https://api.example.com/a//b//", "https://api.example.com/a/b"),
        ("https://api.example.com/a b/\u00fc", "https://api.example.com/a%20b/%C3%BC"),
        ("https://api.example.com/v1?q=%7e%2f", "https://api.example.com/v1?q=~%2F"),
        ("https://api.example.com/v1?q=a//b", "https://api.example.com/v1?q=a//b"),
        ("https://api.example.com/v1?", "https://api.example.com/v1"),
        ("https://%61pi.example.com/", "https://api.example.com"),
        ("https://B\u00fccher.example/", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example"),
        # Addresses, in every form that systems take.
        ("http://127.1/", "http://127.0.0.1"),
        ("http://0x7f000001/", "http://127.0.0.1"),
        ("http://2130706433:81/", "http://127.0.0.1:81"),
        ("http://0.0.0.0/", "http://127.0.0.1"),
        ("http://[::]/", "http://127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/", "http://127.0.0.1"),
        ("http://[::FFFF:7f00:1]/", "http://127.0.0.1"),
        ("http://[::ffff:10.0.0.1]/", "http://10.0.0.1"),
        ("http://10.1/", "http://10.0.0.1"),
        ("http://[2001:db8:0:0::5]/", "http://[2001:db8::5]"),
        # What is no URL has no other spelling.
        ("", ""),
        ("None", "None"),
        ("api.example.com/v1/", "api.example.com/v1/"),
        ("http://api.example.com:port/", "http://api.example.com:port/"),
        ("http://api.example.com:99999/", "http://api.example.com:99999/"),
        ("http://[::1/", "http://[::1/"),
    ],
)
def test_spellings(url: str, form: str) -> None:
    """All spellings of a URL have one form, which is its own; what differs keeps differing."""
    assert normalised(url) == form
    assert normalised(form) == form


def _environments(documents: Any) -> None:
    properties = documents["destination"]["settings"]["properties"]
    properties["apiKey"]["x-environments"] = {"test": "_test_", "live": "_live_"}


@pytest.mark.parametrize(
    ("key", "endpoint", "shown", "environment"),
    [
        ("sk_test_0123456789", "http://a/", "http://a", "test"),
        ("sk_live_0123456789", "http://a/", "http://a", "live"),
        ("sk_0123456789", "http://a/", "http://a", ""),
        ("sk_test_live_1234", "http://a/", "http://a", "test live"),
        ("sk_live_0123456789", "http://a/?key=sk_live_0123456789", "http://a?key=***", "live"),
        ("sk_test_0123456789", "http://[::1", "http://[::1", "test"),
    ],
)
def test_what_an_account_is_known_by(
    bind: Bind, key: str, endpoint: str, shown: str, environment: str
) -> None:
    """Endpoint and environment, without a secret in them, beside the credentials themselves."""
    identity = identity_of(bind(_environments, apiKey=key, endpoint=endpoint))
    assert (identity.slug, identity.name) == ("sample", None)
    assert (identity.endpoint, identity.environment) == (shown, environment)
    assert key in identity.credentials
    assert key not in repr(identity) + identity.partner


def _second_credential(documents: Any) -> None:
    properties = documents["destination"]["settings"]["properties"]
    properties["project"] = {"title": "Project", "description": "It.", "type": "string"}
    documents["destination"]["authentication"]["fields"] = ["apiKey", "project"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({"apiKey": "sk_test_1111111111"}, {"apiKey": "sk_test_2222222222"}, False),
        ({"project": "a"}, {"project": "b"}, False),
        ({"project": "a"}, {}, False),
        ({"limit": 1}, {"limit": 2}, True),
        ({"endpoint": "http://a/"}, {"endpoint": "http://A:80"}, True),
        ({"endpoint": "http://a/"}, {"endpoint": "http://b/"}, False),
    ],
    ids=str,
)
def test_accounts_are_apart(
    bind: Bind, *, one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    """Other credentials or another endpoint are another account; other settings are not."""
    first = identity_of(bind(_second_credential, **one))
    second = identity_of(bind(_second_credential, **other))
    assert (first == second) is same


def test_an_account_may_have_a_name(bind: Bind) -> None:
    """The name that an operator gives it is part of it."""
    assert identity_of(bind(), "main").name == "main"


def test_what_accounts_at_one_endpoint_share(bind: Bind) -> None:
    """The partner is the same whatever the credentials are, and another for another endpoint."""
    one, other = (identity_of(bind(apiKey=f"sk_test_{digit * 10}")) for digit in "12")
    assert one.partner == other.partner == "sample http://127.0.0.1:9/graphql"
    assert identity_of(bind(endpoint="http://b/")).partner != one.partner


def test_credentials_are_never_shown() -> None:
    """They are not part of what is printed of an account."""
    identity = AccountIdentity("sample", "http://a", "", "the credentials")
    assert "the credentials" not in repr(identity)
