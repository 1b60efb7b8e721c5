"""The sources of a server: who sends by Segment's HTTP API, and which destinations that feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.pipeline.queue import Scope
from destinations.server.auth import Authenticator, presented_key
from destinations.server.ingest_route import IngestRoute

__all__ = ["EventSource", "EventSources", "sdk_settings"]

_VERSION: Final = "v1"


@dataclass(frozen=True, slots=True)
class EventSource:
    """A source: whose keys are its own, and the routes of the destinations that it ``feeds``.

    ``scope`` is the one that its refused events are kept under, ``cors`` the origins of the pages
    that may send. For ``context_traits`` see `destinations.segment.ingestion.Sending`.
    """

    name: str
    authenticator: Authenticator
    scope: Scope
    feeds: Sequence[IngestRoute] = ()
    cors: frozenset[str] = frozenset()
    context_traits: bool = False


class EventSources:
    """All sources of a server, by their write keys."""

    def __init__(self, sources: Sequence[EventSource] = ()) -> None:
        self._sources = tuple(sources)
        self.origins = frozenset(origin for one in sources for origin in one.cors)
        """The origins of pages that may send to any of them."""

    def __bool__(self) -> bool:
        return bool(self._sources)

    @property
    def names(self) -> Sequence[str]:
        """Their names."""
        return [one.name for one in self._sources]

    def get(self, name: str) -> EventSource | None:
        """Return the source of a name; None if there is none."""
        return next((one for one in self._sources if one.name == name), None)

    def of_header(self, authorization: bytes | None) -> EventSource | None:
        """Return the source whose key an ``Authorization`` header has; None if none has it."""
        key = presented_key(authorization)
        return None if key is None else self._of(key)

    def of_key(self, key: str) -> EventSource | None:
        """Return the source that has a write key; None if none has it."""
        return self._of(key.encode("utf-8", "surrogatepass"))

    def _of(self, key: bytes) -> EventSource | None:
        found = None
        for one in self._sources:  # all of them, so that the time tells nothing
            if one.authenticator.is_key(key):
                found = one
        return found


def sdk_settings(key: str, host: str, scheme: str) -> Mapping[str, Any]:
    """Return the settings that analytics.js fetches before it sends.

    It sends to this server then, and loads nothing else.
    """
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/{_VERSION}",
                "protocol": scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
