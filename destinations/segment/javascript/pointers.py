"""JSON pointers (RFC 6901), which say where in a document something stands."""

from __future__ import annotations

__all__ = ["pointer"]


def pointer(path: str, key: str | int) -> str:
    """Return the JSON pointer of the member ``key`` of what stands at ``path``."""
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
