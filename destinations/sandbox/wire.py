"""Requests as they come over the wire to a stand-in, and its answers in JSON."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from destinations.http.answer import HttpResponse
from destinations.http.envelope import STAND_IN_HEADER

__all__ = [
    "JSON",
    "ORIGIN_HEADER",
    "WireError",
    "WireRequest",
    "encode",
    "json_response",
    "read_json",
]

JSON: Final = "application/json"

ORIGIN_HEADER: Final = STAND_IN_HEADER.lower()

_GZIP: Final = 31
"""The number by which zlib reads gzip."""

_MOST_BYTES: Final = 50 * 1024 * 1024
"""The most bytes of a body once it is decompressed: a few may become very many."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it came: ``target`` is path and query, names in ``headers`` are in lower case.

    A header that came several times has its values joined by commas.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def decompressed(self) -> WireRequest:
        """Return the request with its body before it was compressed by gzip; itself for others."""
        if self.headers.get("content-encoding", "").lower() != "gzip":
            return self
        reader = zlib.decompressobj(_GZIP)
        try:
            body = reader.decompress(self.body, _MOST_BYTES)
        except zlib.error:
            return self
        return replace(self, body=body) if reader.eof else self


class WireError(Exception):
    """A request that cannot be read; the answer is an HTTP status with a JSON message.

    ``headers`` are further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"errors": [{"message": str(self), "extensions": {"code": "BAD_REQUEST"}}]}

    def response(self) -> HttpResponse:
        """Return the whole answer."""
        return json_response(self.to_json(), self.status, self.headers)


def encode(value: object) -> bytes:
    """Return the value as compact JSON, in ASCII only, so that it can carry any text."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return an answer with the value as JSON."""
    return HttpResponse(status, {"content-type": JSON, **(headers or {})}, encode(value))


def read_json(body: bytes, what: str = "The body") -> object:
    """Return the JSON value of a body, which messages call ``what``; raises `WireError` (400)."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        if rb"\u" in body:
            # Text with a lone surrogate can be neither stored nor sent.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise WireError(400, f"{what} is not JSON: {error}") from None
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")
