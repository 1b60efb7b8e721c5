"""JSON pointers (RFC 6901), which say where in a document something stands."""

from __future__ import annotations

__all__ = ["pointer"]


def pointer(*keys: object) -> str:
    """Return the JSON pointer of a sequence of keys and indices: ``/a/0`` for ``"a", 0``.

    Pointers are joined as text: ``path + pointer(key)`` is the place of a member.
    """
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
