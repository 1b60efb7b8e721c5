"""Words of readers for what the reference calls otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["SYNONYMS"]

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "api key": ("settings", "destinations.receiver.keys"),
    "basic": ("authentication.scheme",),
    "basic auth": ("authentication.scheme",),
    "bearer": ("authentication.scheme",),
    "curl": ("destinations deliveries show",),
    "lowercase": ("@case", "downcase"),
    "path segment": ("addresses",),
    "receiver": ("destinations.receiver",),
    "reload": ("destinations serve",),
    "sample event": ("documentation.samples", "--sample"),
    "sighup": ("destinations serve",),
    "timestamp": ("Dates",),
    "unix": ("Dates",),
    "unix time": ("Dates",),
    "uppercase": ("@case", "upcase"),
    "write key": ("sources.keys",),
}
"""By word in lower case, the names of its topics."""
