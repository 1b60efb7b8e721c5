"""Who may post: every form of a key, several of each, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from destinations.secrets import Secret
from destinations.server import Authenticator


def _basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        (_basic("key-1:"), True),
        (_basic("key-2:"), True),
        (b"basic  " + base64.b64encode(b"key-1:"), True),
        (_basic("key-1"), True),
        (b"Bearer key-1", True),
        (b"bearer key-2", True),
        (b"key-1", True),
        (b" key-2 ", True),
        (_basic("key-1:password"), False),
        (_basic("key-3:"), False),
        (_basic(":key-1"), False),
        (_basic(""), False),
        (b"Basic !", False),
        (b"Basic", False),
        (b"Bearer", False),
        (b"Digest key-1", False),
        (b"key", False),
        (b"key-11", False),
        (b"KEY-1", False),
        (b"\xff", False),
        (b"", False),
        (None, False),
    ],
)
def test_keys(header: bytes | None, fits: bool) -> None:
    """As Segment sends it, as a bearer's, or alone; any of the keys is good."""
    assert Authenticator([Secret("key-1"), Secret("key-2")]).has_key(header) is fits


@pytest.mark.parametrize("key", ["a:b", "a:", ":", "::b"])
@pytest.mark.parametrize("form", ["Basic", "Bearer", "alone"])
def test_keys_with_colons(key: str, form: str) -> None:
    """Of what Basic carries, the last colon alone is none of the key."""
    header = {"Basic": _basic(f"{key}:"), "Bearer": f"Bearer {key}".encode()}
    authenticator = Authenticator([Secret(key)])
    assert authenticator.has_key(header.get(form, key.encode()))
    assert not authenticator.has_key(_basic(f"{key}::"))
    assert not Authenticator([Secret("a")]).has_key(_basic("a:b:"))


def test_keys_that_are_not_ascii() -> None:
    """A key is compared as UTF-8."""
    assert Authenticator([Secret("schlüssel")]).has_key("schlüssel".encode())


def _signed(secret: str, data: bytes) -> bytes:
    return hmac.new(secret.encode(), data, hashlib.sha1).hexdigest().encode()


BODY = '[{"a": "ä"}, {"b": 1}]'.encode()


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        (_signed("s1", BODY), True),
        (_signed("s2", BODY), True),
        (_signed("s3", BODY), False),
        (_signed("s1", b'{"b": 1}'), False),
        (_signed("s1", BODY).upper(), False),
        (_signed("s1", BODY)[:-1], False),
        (b"\xe4", False),
        (b"", False),
        (None, False),
    ],
)
def test_signatures(signature: bytes | None, fits: bool) -> None:
    """Of exactly these bytes, by any of the secrets."""
    authenticator = Authenticator(signature_secrets=[Secret("s1"), Secret("s2")])
    assert authenticator.is_signed(signature, BODY) is fits


def test_every_comparison_is_constant_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All secrets are compared whether or not one fits, by the function that is made for it."""
    calls: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def noted(left: bytes, right: bytes) -> bool:
        calls.append((left, right))
        return compare(left, right)

    monkeypatch.setattr("destinations.server.auth.hmac.compare_digest", noted)
    authenticator = Authenticator(
        [Secret("a1"), Secret("a2"), Secret("a3")], [Secret("s1"), Secret("s2")]
    )
    for header in (b"a1", b"a3", b"a much longer key that is wrong"):
        calls.clear()
        authenticator.has_key(header)
        assert [(len(left), len(right)) for left, right in calls] == [(32, 32)] * 3
    calls.clear()
    assert authenticator.is_signed(_signed("s1", BODY), BODY)
    assert len(calls) == 2


def test_an_authenticator_shows_no_secret() -> None:
    """Neither its text nor what it keeps of keys holds one."""
    authenticator = Authenticator([Secret("a-secret-key")])
    assert "a-secret-key" not in repr(authenticator) + repr(authenticator._digests)
    assert not Authenticator().has_key(b"x")
    assert Authenticator().is_open
    assert not authenticator.is_open
