"""Signatures of requests: what is signed, with what, and when."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from destinations.clock import frozen_at
from destinations.errors import ResolveError
from destinations.http import CompiledRequest
from destinations.secrets import Secret

Compiled = Callable[..., CompiledRequest]

SECRET = "correct horse"
RAW = bytes(range(32))
BODY = b"page=\xc5\xbe"
NOW = 1_772_721_000.9
TIME = b"1772721000"


def _digest(message: bytes, algorithm: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    return hmac.new(key, message, getattr(hashlib, algorithm)).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _made(compiled: Compiled, secret: object = SECRET, **sign: Any) -> Any:
    rest = {
        "method": "POST",
        "url": "https://example.com/in",
        "text": {"@template": "page={{payload.page}}"},
        "sign": {
            "header": "X-Sign",
            "algorithm": "sha256",
            "secret": {"@path": "$.settings.apiKey"},
            **sign,
        },
    }
    gzip = {"gzip": True} if sign.pop("gzip", False) else {}
    rest["sign"].pop("gzip", None)  # type: ignore[attr-defined]  # the value is a dict
    request = compiled("save", rest={**rest, **gzip})
    context = {"event": {}, "payload": {"page": "\u017e"}, "settings": {"apiKey": secret}}
    with frozen_at(NOW):
        return request.prepare([request.part(context)], context)


FORMS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "as before": ({}, {"X-Sign": _digest(BODY).hex()}),
    "sha1": ({"algorithm": "sha1"}, {"X-Sign": _digest(BODY, "sha1").hex()}),
    "sha512": ({"algorithm": "sha512"}, {"X-Sign": _digest(BODY, "sha512").hex()}),
    "Base64": ({"encoding": "base64"}, {"X-Sign": _base64(_digest(BODY))}),
    "with a prefix": (
        {"value": "sha256={{signature}}"},
        {"X-Sign": f"sha256={_digest(BODY).hex()}"},
    ),
    "with a time in the header": (
        {"message": "{{timestamp}}.{{body}}", "value": "t={{timestamp}},v1={{ signature }}"},
        {"X-Sign": f"t=1772721000,v1={_digest(TIME + b'.' + BODY).hex()}"},
    ),
    "with a time in a header of its own": (
        {"message": "v0:{{ timestamp }}:{{body}}", "timestampHeader": "X-Time"},
        {"X-Sign": _digest(b"v0:" + TIME + b":" + BODY).hex(), "X-Time": "1772721000"},
    ),
    "with a time that is only sent": (
        {"timestampHeader": "X-Time"},
        {"X-Sign": _digest(BODY).hex(), "X-Time": "1772721000"},
    ),
    "of the body before it is compressed": ({"gzip": True}, {"X-Sign": _digest(BODY).hex()}),
}


@pytest.mark.parametrize(("sign", "expected"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [SECRET, Secret(SECRET)], ids=["plain", "masked"])
def test_forms(
    compiled: Compiled, sign: dict[str, Any], expected: dict[str, str], secret: str
) -> None:
    """Each form has the headers that a receiver makes of the same body, key and time."""
    message = _made(compiled, secret, **sign)
    assert message.body == BODY
    found = {name: value for name, value in message.headers.items() if name in {"X-Sign", "X-Time"}}
    assert found == expected


def test_a_secret_in_base64(compiled: Compiled) -> None:
    """The key is what the secret stands for, which may be any bytes."""
    message = _made(compiled, Secret(_base64(RAW)), secretEncoding="base64")
    assert message.headers["X-Sign"] == _digest(BODY, key=RAW).hex()


@pytest.mark.parametrize("secret", ["", None])
def test_without_a_secret(compiled: Compiled, secret: object) -> None:
    """Nothing is signed: there is no header of the time either."""
    message = _made(compiled, secret, timestampHeader="X-Time")
    assert not {"X-Sign", "X-Time"} & message.headers.keys()


@pytest.mark.parametrize("secret", ["not base64!", "YWJj\n", "YWJ"])
def test_a_secret_that_is_no_base64(compiled: Compiled, secret: str) -> None:
    """It is found before anything is sent, and is not shown."""
    request = compiled(
        "save",
        rest={
            "method": "POST",
            "url": "https://example.com/in",
            "sign": {
                "header": "X-Sign",
                "algorithm": "sha256",
                "secret": {"@path": "$.settings.apiKey"},
                "secretEncoding": "base64",
            },
        },
    )
    with pytest.raises(ResolveError) as caught:
        request.fixed_url({"apiKey": Secret(secret)})
    assert str(caught.value) == "/sign/secret: must be Base64, as secretEncoding says"
    assert request.fixed_url({"apiKey": Secret(_base64(RAW))}) == "https://example.com/in"
    # Without settings a request is shown as if the name of the setting were the key.
    assert request.fixed_url({"apiKey": "<apiKey>"}) == "https://example.com/in"


def test_each_attempt_has_its_own_time(compiled: Compiled) -> None:
    """What is made again later is signed again, so that no receiver takes it for an old one."""
    rest = {
        "method": "POST",
        "url": "https://example.com/in",
        "text": "x",
        "sign": {
            "header": "X-Sign",
            "algorithm": "sha256",
            "secret": {"@path": "$.settings.apiKey"},
            "message": "{{timestamp}}.{{body}}",
            "timestampHeader": "X-Time",
        },
    }
    request = compiled("save", rest=rest)
    context = {"event": {}, "payload": {}, "settings": {"apiKey": SECRET}}
    parts = [request.part(context)]
    found = []
    for now in (NOW, NOW + 60):
        with frozen_at(now):
            found.append(request.prepare(parts, context).headers)
    assert [one["X-Time"] for one in found] == ["1772721000", "1772721060"]
    assert found[1]["X-Sign"] == _digest(b"1772721060.x").hex()
