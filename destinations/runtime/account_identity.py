"""Identify the account at a partner that settings belong to."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from requests.exceptions import InvalidURL
from requests.utils import requote_uri, unquote_unreserved
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from destinations.errors import UsageError
from destinations.secrets import reveal

if TYPE_CHECKING:  # a store needs the accounts and not what runs their destinations
    from destinations.runtime.destination import Destination

__all__ = ["AccountIdentity", "checked_name", "credentials_of", "identity_of", "normalised"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HERE: Final = "127.0.0.1"
_LONGEST_NAME: Final = 253
_SLASHES: Final = re.compile("/{2,}")


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """The identity of an account: endpoint, environment and credentials, or a given ``name``.

    ``credentials`` are the settings' credentials; they are never shown.
    """

    slug: str
    endpoint: str
    environment: str
    credentials: str = field(repr=False)
    name: str | None = None

    @property
    def partner(self) -> str:
        """Return the key that all accounts at the same endpoint share."""
        return f"{self.slug} {self.endpoint}"


def identity_of(destination: Destination, name: str | None = None) -> AccountIdentity:
    """Return the account that a destination's settings belong to."""
    definition, settings = destination.definition, destination.settings
    credentials = {
        # Only `reveal` gives the text of a secret; anything else prints it masked.
        key: reveal(value) if isinstance(value, str) else value
        for key in sorted(credentials_of(destination))
        if (value := settings.get(key)) is not None
    }
    return AccountIdentity(
        definition.slug,
        normalised(destination.endpoint),
        " ".join(destination.environments),
        json.dumps(credentials),
        name,
    )


def credentials_of(destination: Destination) -> frozenset[str]:
    """Return the names of the settings that are credentials."""
    definition = destination.definition
    authentication = definition.authentication
    fields = authentication.fields if authentication else ()
    return frozenset({*definition.secret_settings, *fields})


def checked_name(text: str) -> str:
    """Return a name given by an operator, without the spaces around it.

    Raises `UsageError` for a name that is empty or has invisible characters.
    """
    name = text.strip()
    if not name:
        raise UsageError("the name is empty")
    if not name.isprintable():
        raise UsageError("the name has a line break or an invisible character")
    return name


def normalised(url: str) -> str:
    """Return a URL's normal form, the same for all of its spellings (RFC 3986, 6.2.2 and 6.2.3).

    Scheme and host become lower case, host names ASCII; default port, last slash, dot segments and
    empty segments are removed. Every name of this machine becomes ``127.0.0.1``, and IP addresses
    are written in full.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        if not parts.scheme or not parts.hostname:
            return url
        rest = parse_url(requote_uri(f"//host{parts.path}?{parts.query}"))
    except (ValueError, LocationValueError, InvalidURL):  # not a valid URL
        return url
    host = _normalised_host(parts.hostname)
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    path = _SLASHES.sub("/", rest.path or "").rstrip("/")
    return urlunsplit((parts.scheme, host, path, rest.query or "", ""))


def _normalised_host(text: str) -> str:
    host = unquote_unreserved(text).lower().rstrip(".")
    if not host.isascii() and len(host) <= _LONGEST_NAME:
        with contextlib.suppress(UnicodeError):
            host = host.encode("idna").decode()
    address = _address(host)
    if address is None:
        return _HERE if host == "localhost" or host.endswith(".localhost") else host
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return _HERE
    return f"[{address}]" if address.version == 6 else str(address)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse a host as an IP address, short forms included; None for a name."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host)
    with contextlib.suppress(ValueError, OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None
