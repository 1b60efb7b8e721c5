"""The paths of Segment's HTTP API, and what is sent to each of them.

See https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/; the short paths
are those of the SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["PATHS", "SETTINGS_PATH", "settings_key"]

SETTINGS_PATH: Final = "projects"

_SETTINGS: Final = re.compile(r"/v1/projects/([^/]+)/settings")

PATHS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "batch": None,
        "import": None,
        "b": None,
        "track": "track",
        "identify": "identify",
        "page": "page",
        "screen": "screen",
        "group": "group",
        "alias": "alias",
        "t": "track",
        "i": "identify",
        "p": "page",
        "s": "screen",
        "g": "group",
        "a": "alias",
        SETTINGS_PATH: None,
    }
)
"""By what follows ``/v1/``, the type of the event that is sent there; None for several events."""


def settings_key(path: str) -> str | None:
    """Return the write key whose settings are asked for, as analytics.js does; None elsewhere."""
    match = _SETTINGS.fullmatch(path)
    return None if match is None else match[1]
