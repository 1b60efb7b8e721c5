"""The routes of the API."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

__all__ = ["api_routes"]


def api_routes() -> Sequence[BaseRoute]:
    """Return the routes of the API."""
    return ()
