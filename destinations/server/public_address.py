"""Tell under which scheme and host browsers reach this server, also behind a proxy with TLS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final

from destinations.server.network_addresses import Network, is_trusted

__all__ = ["public_address"]

_SCHEMES: Final = frozenset({"http", "https"})
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def public_address(
    headers: Mapping[bytes, bytes], client: str, trusted: Sequence[Network]
) -> tuple[str, str]:
    """Return the scheme and the host, with its port, that the sender of a request reached.

    ``client`` is the other end of the connection. Only a ``trusted`` proxy is believed what it
    says of them. Without its word, a browser's own headers tell: it sends ``Sec-Fetch-Mode`` only
    over https and to itself (https://w3c.github.io/webappsec-fetch-metadata/), and lets no page
    that came over https ask over http.
    """
    host, scheme = _text(headers, b"host"), ""
    if is_trusted(client, trusted):
        host = _text(headers, b"x-forwarded-host") or host
        scheme = _text(headers, b"x-forwarded-proto").lower()
    if scheme not in _SCHEMES:
        is_secure = b"sec-fetch-mode" in headers or _text(headers, b"origin").startswith("https:")
        scheme = "https" if is_secure and not _is_this_machine(host) else "http"
    return scheme, host if _HOST.fullmatch(host) else ""


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """Return what the nearest proxy wrote, where several added to a header."""
    return headers.get(name, b"").decode("latin-1").rpartition(",")[2].strip()


def _is_this_machine(host: str) -> bool:
    """Return whether browsers trust a host without https, as nothing leaves the machine."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
