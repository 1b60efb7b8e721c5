"""Requests of the small destination, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.http import CompiledRequest, compile_request


@pytest.fixture
def compiled(load: Callable[..., DestinationDefinition]) -> Callable[..., CompiledRequest]:
    """One request by its name; keywords replace parts of what the definition says of it."""

    def make(name: str, **changes: Any) -> CompiledRequest:
        def change(documents: Any) -> None:
            documents["destination"]["requests"][name].update(changes)

        definition = load(change)
        return compile_request(
            definition.requests[name], definition.transport, definition.error_rules
        )

    return make


@pytest.fixture
def context(api_key: str) -> dict[str, Any]:
    """What templates see of one event."""
    return {
        "event": {"userId": "u1"},
        "payload": {"id": "u1", "by": 2, "page": "home"},
        "settings": {"apiKey": api_key, "endpoint": "https://example.com/graphql"},
    }
