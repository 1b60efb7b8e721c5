"""Words of readers for what the reference calls otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["SYNONYMS"]

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "api key": ("settings", "destinations.receiver.keys"),
    "basic": ("transport.auth", "authentication.scheme"),
    "basic auth": ("transport.auth", "authentication.scheme"),
    "bearer": ("transport.auth", "authentication.scheme"),
    "curl": ("destinations deliveries show",),
    "hash": ("@convert",),
    "lowercase": ("@case", "@convert", "downcase"),
    "path segment": ("addresses",),
    "receiver": ("destinations.receiver",),
    "reload": ("destinations serve",),
    "sample event": ("documentation.samples", "--sample"),
    "sighup": ("destinations serve",),
    "timestamp": ("Dates", "@convert"),
    "unix": ("Dates", "@convert"),
    "unix time": ("Dates", "@convert"),
    "uppercase": ("@case", "@convert", "upcase"),
    "write key": ("sources.keys",),
}
"""By word in lower case, the names of its topics."""
