"""Which account at a partner settings lead to."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from destinations.runtime.destination import Destination

__all__ = ["AccountIdentity", "identity_of"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """What an account is known by: endpoint, environment and credentials, or the ``name`` it got.

    ``credentials`` are those of the settings; they are never shown.
    """

    slug: str
    endpoint: str
    environment: str
    credentials: str = field(repr=False)
    name: str | None = None

    @property
    def partner(self) -> str:
        """What all accounts at the same endpoint share, such as what that endpoint can do."""
        return f"{self.slug} {self.endpoint}"


def identity_of(destination: Destination, name: str | None = None) -> AccountIdentity:
    """Return the account that a destination's settings lead to."""
    definition, settings = destination.definition, destination.settings
    authentication = definition.authentication
    keys = {*definition.secret_settings, *(authentication.fields if authentication else ())}
    credentials = {
        # A secret prints itself masked; `str.join` gives its value.
        key: "".join(value) if isinstance(value, str) else value
        for key in sorted(keys)
        if (value := settings.get(key)) is not None
    }
    return AccountIdentity(
        definition.slug,
        normalised(destination.endpoint),
        " ".join(destination.environments),
        json.dumps(credentials),
        name,
    )


def normalised(url: str) -> str:
    """Return a URL in the one form that all of its spellings have.

    Scheme and host are in lower case, a default port and a last slash are left out, and every name
    of this machine is ``127.0.0.1``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # no request can be made to it, as each will say
        return url
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost") or _is_loopback(host):
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), parts.query, ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
