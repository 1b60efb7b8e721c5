"""JSON pointers (RFC 6901), which name places in a document."""

from __future__ import annotations

from typing import Any

__all__ = ["pointer", "value_at", "with_value"]


def pointer(*keys: object) -> str:
    """Return the JSON pointer of keys and indices: ``/a/0`` for ``"a", 0``.

    Pointers can be concatenated: ``path + pointer(key)`` is the place of a member.
    """
    place = ""
    for key in keys:
        part = str(key)
        # Hardly any key needs it, and a definition has thousands of places.
        if "~" in part or "/" in part:
            part = part.replace("~", "~0").replace("/", "~1")
        place += "/" + part
    return place


def value_at(document: Any, place: str) -> Any:
    """Return the value that a JSON pointer names; raises LookupError if there is none."""
    for part in place.split("/")[1:]:
        document = document[_key(part, document)]
    return document


def with_value(document: Any, place: str, value: Any) -> Any:
    """Return a copy of ``document`` with another value there; raises as `value_at`."""
    if not place:
        return value
    part, slash, rest = place[1:].partition("/")
    changed = document.copy()
    key = _key(part, document)
    changed[key] = with_value(document[key], slash + rest, value)
    return changed


def _key(part: str, document: Any) -> Any:
    key = part.replace("~1", "/").replace("~0", "~")
    return int(key) if isinstance(document, list) else key
