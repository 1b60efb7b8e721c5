"""Keep requests whose host comes from an event away from this machine and its network.

An event may name an internal host: a cloud's metadata service, a database, this very machine. The
IP address of the connection is checked, not the name. The name is looked up once, and the
connection goes to the address that was checked, so a name that changes its address in between does
not get through.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from urllib3.exceptions import NameResolutionError, NewConnectionError

from destinations.errors import UnsendableError
from destinations.http.deadline import (
    WatchedAdapter,
    WatchedHTTPConnection,
    WatchedHTTPSConnection,
    pool_classes,
)

__all__ = ["GuardedAdapter", "is_private_url", "is_public", "public_addresses"]

# Networks that some versions of Python's `ipaddress` take for public, although IANA's registries of
# special-purpose addresses do not call them globally reachable; and Azure's platform address.
_ALSO_PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays, deprecated: run by anyone
            "168.63.129.16/32",  # Azure's platform, in the middle of public addresses
            "64:ff9b:1::/48",  # NAT64 of a local network
            "100:0:0:1::/64",  # the dummy prefix
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing within a network
        ),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address is public by IANA's registries.

    An IPv6 address that embeds an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) counts as
    that one.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = _embedded(parsed)
        if inner is not None:
            parsed = inner
        elif parsed.is_site_local:
            return False
    if any(parsed in network for network in _ALSO_PRIVATE):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def is_private_url(url: str) -> bool:
    """Return whether the host of a URL is certainly not of the public internet, without a look-up.

    That are IP addresses, in any spelling, and the names of this machine.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return not is_public(host)
    with contextlib.suppress(ValueError, OSError):
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    return False


def public_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host.

    Raises `UnsendableError` if one of them is not public, `OSError` if the host is unknown.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for address in addresses:
        if not is_public(address):
            raise UnsendableError(
                f"the request leads to {host}, which is {address}: not an address of the public "
                "internet"
            )
    return addresses


class _HTTPConnection(WatchedHTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


class _HTTPSConnection(WatchedHTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


def _connect(connection: Any, connect: Any) -> socket.socket:
    """Connect to the checked addresses, which urllib3 accepts in place of the name."""
    if connection.proxy is not None:
        made: socket.socket = connect()  # the connection goes to a proxy, which the operator chose
        return made
    name = connection._dns_host  # noqa: SLF001 - what urllib3 connects to; `host` is for the rest
    try:
        addresses = public_addresses(name, connection.port or 0)
    except OSError as error:
        raise NameResolutionError(name, connection, error) from error  # type: ignore[arg-type]  # any OSError will do
    for number, address in enumerate(addresses, 1):
        connection._dns_host = address  # noqa: SLF001 - there is no other way
        try:
            made = connect()
        except NewConnectionError:
            if number == len(addresses):
                raise
        else:
            break
        finally:
            connection._dns_host = name  # noqa: SLF001 - as above
    return made


class GuardedAdapter(WatchedAdapter):
    """An adapter of `requests` that connects to public addresses only."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of guarded connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = pool_classes(_HTTPConnection, _HTTPSConnection)
