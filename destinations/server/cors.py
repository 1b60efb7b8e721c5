"""Say to browsers from which pages they may send (CORS, https://fetch.spec.whatwg.org/#cors)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from destinations.errors import UsageError
from destinations.server.replies import Reply, error

__all__ = ["allowed", "parse_origin", "preflight"]

_PORTS: Final = {"http": 80, "https": 443}
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", b"7200"),
)
_PRIVATE: Final = b"access-control-request-private-network"
_HEADERS: Final = b"authorization, content-type, content-encoding"


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it; raises `UsageError` for anything else."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    right = "expected the origin of a page, such as https://www.example.com"
    if "*" in text:
        msg = f"invalid origin {text!r}: there are no wildcards; name each origin"
        raise UsageError(msg)
    if parts.scheme not in _PORTS or not host:
        raise UsageError(f"invalid origin {text!r}: {right}")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"invalid origin {text!r}: {right}, without path or user")
    try:
        host = host if host.isascii() else host.encode("idna").decode()  # as browsers send it
    except UnicodeError:
        raise UsageError(f"invalid origin {text!r}: {right}") from None
    shown = f"[{host}]" if ":" in host else host
    end = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown}{end}"


def allowed(origin: bytes | None, origins: Collection[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an answer that let the page at ``origin`` read it, if it may."""
    if origin is None or not origins:
        return ()
    if origin.decode("latin-1") not in origins:
        return ((b"vary", b"Origin"),)
    return ((b"access-control-allow-origin", origin), (b"vary", b"Origin"))


def preflight(headers: Mapping[bytes, bytes], origins: Collection[str]) -> Reply:
    """Return the answer to a browser that asks whether it may send."""
    origin = headers.get(b"origin")
    if origin is None:
        return error(405, "send events with POST", (b"allow", b"POST"), close=True)
    name = origin.decode("latin-1")
    if name not in origins:
        return error(403, f"{name!r} is not in cors of a source", (b"vary", b"Origin"))
    wanted = headers.get(b"access-control-request-headers", _HEADERS)
    more = [*_PREFLIGHT, (b"access-control-allow-headers", wanted)]
    # Where a server of a private network is asked from a page of the internet, browsers may ask so
    # (https://wicg.github.io/private-network-access/).
    if headers.get(_PRIVATE) == b"true":
        more.append((b"access-control-allow-private-network", b"true"))
    return Reply(204, b"", (*allowed(origin, origins), *more))
