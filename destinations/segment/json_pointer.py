"""JSON pointers (RFC 6901), which name places in a document."""

from __future__ import annotations

from typing import Any

__all__ = ["pointer", "value_at"]


def pointer(*keys: object) -> str:
    """Return the JSON pointer of keys and indices: ``/a/0`` for ``"a", 0``.

    Pointers can be concatenated: ``path + pointer(key)`` is the place of a member.
    """
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def value_at(document: Any, place: str) -> Any:
    """Return the value that a JSON pointer names; raises LookupError if there is none."""
    for part in place.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document
