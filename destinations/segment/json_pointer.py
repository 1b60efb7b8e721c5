"""Make JSON pointers (RFC 6901), which name places in a document."""

from __future__ import annotations

__all__ = ["pointer"]


def pointer(*keys: object) -> str:
    """Return the JSON pointer of keys and indices: ``/a/0`` for ``"a", 0``.

    Pointers can be concatenated: ``path + pointer(key)`` is the place of a member.
    """
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
