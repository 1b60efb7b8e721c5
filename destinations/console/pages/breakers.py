"""Read the state of circuit breakers, which only the server knows, from its metrics."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, cast

from destinations.server import ServeConfig

__all__ = ["Breaker", "breakers_of", "read_breakers"]

Breaker: TypeAlias = Literal["closed", "open", "half-open"]

_SECONDS: Final = 0.3
"""How long a page waits for the metrics: it shows the rest without them."""
_LARGEST: Final = 4_000_000
_LINE: Final = re.compile(
    r'^destinations_breaker_state\{destination="((?:[^"\\]|\\.)*)",'
    r'state="(closed|open|half-open)"\} 1(?:\.0)?$',
    re.MULTILINE,
)


def read_breakers(config: ServeConfig) -> Mapping[str, Breaker] | None:
    """Return the states by destination; None if the server shows no metrics, or does not answer."""
    if config.admin is None or not config.admin.listen.port:
        return None
    address = config.admin.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - where it listens
    connection = http.client.HTTPConnection(host, address.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        return breakers_of(answer.read(_LARGEST).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def breakers_of(metrics: str) -> Mapping[str, Breaker]:
    """Return the states of breakers in metrics as Prometheus reads them."""
    return {_unescaped(name): cast("Breaker", state) for name, state in _LINE.findall(metrics)}


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)
