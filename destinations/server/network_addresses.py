"""Read addresses to listen on, ``HOST:PORT``, and tell the address that a request came from."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from destinations.errors import UsageError

__all__ = [
    "Address",
    "Network",
    "is_host",
    "is_trusted",
    "parse_address",
    "parse_network",
    "peer_of",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_FORM: Final = "expected HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100"
_LAST_PORT: Final = 65_535
_WITH_PORT: Final = re.compile(r"\[([^\[\]]*)\](?::\d+)?|([^:\[\]]*):\d+")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in ``HOST:PORT``; a host of IPv6 stands in brackets.

    Raises `UsageError` if there is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        raise UsageError(f"{text!r} lacks a port: {_FORM}")
    if not host:
        raise UsageError(f"{text!r} lacks a host: {_FORM}; 0.0.0.0 is every address")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > _LAST_PORT:
        raise UsageError(f"{text!r} has the invalid port {port!r}: expected 0 to {_LAST_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise UsageError(f"{text!r}: {host!r} is not an IPv6 address: {_FORM}") from None
    elif ":" in host:
        raise UsageError(f"{text!r}: put an IPv6 address in brackets: {_FORM}")
    elif not is_host(host):
        raise UsageError(f"{text!r} has an invalid host: {_FORM}")
    return Address(host, int(port))


def is_host(text: str) -> bool:
    """Return whether a string can be the name or address of a machine, known or not."""
    if not text.isprintable() or set(text) & set(" /@[]?#"):
        return False
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def parse_network(text: str) -> Network:
    """Return the network in ``10.0.0.0/8``, or a single address as one.

    Raises `UsageError` if there is none.
    """
    try:
        return ipaddress.ip_network(text, strict=True)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a network: expected CIDR, such as 10.0.0.0/8 or ::1"
        ) from None
    raise UsageError(f"{text!r} has bits beyond its prefix: did you mean {meant}?")


def is_trusted(client: str, trusted: Sequence[Network]) -> bool:
    """Return whether the other end of a connection is one of the ``trusted`` proxies."""
    return _is_in(_ip(client), trusted)


def peer_of(client: str, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """Return the address that a request came from, for logs: who sends can say anything.

    That is ``client``, the other end of the connection. Where it is a ``trusted`` proxy, it is the
    rightmost address in the ``X-Forwarded-For`` headers, ``forwarded``, that is not trusted: what
    is left of that was written by strangers.
    """
    peer = client
    if not is_trusted(client, trusted):
        return peer
    for written in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        ip = _ip(written.strip())
        if ip is None:
            return peer
        peer = str(ip)
        if not _is_in(ip, trusted):
            return peer
    return peer


def _ip(text: str) -> _Ip | None:
    """Return an address, without the port that some proxies add; None if it is invalid."""
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2]
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address(text)
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return mapped or ip
    return None


def _is_in(ip: _Ip | None, networks: Sequence[Network]) -> bool:
    return ip is not None and any(ip in network for network in networks)
