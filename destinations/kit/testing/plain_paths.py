"""Read and change the value at which a mapping looks, if the mapping is a plain path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["plain_keys", "value_at", "with_value"]


def plain_keys(mapping: object, root: str = "") -> tuple[str, ...] | None:
    """Return the keys that a plain path follows from a root; None for any other mapping."""
    if not isinstance(mapping, Mapping) or mapping.keys() != {"@path"}:
        return None
    path = mapping["@path"]
    if not isinstance(path, str):
        return None
    keys = split_path(strip_root(path) if path != "$" else "")
    if any(key.isdigit() for key in keys):
        return None
    if not root:
        return keys
    return keys[1:] if keys[:1] == (root,) else None


def value_at(data: Any, keys: Sequence[str]) -> Any:
    """Return the value at these keys; None if there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def with_value(data: Any, keys: Sequence[str], value: Any) -> Any:
    """Return data with a value at these keys; what is no object on the way becomes one."""
    if not keys:
        return value
    held = dict(data) if isinstance(data, dict) else {}
    held[keys[0]] = with_value(held.get(keys[0]), keys[1:], value)
    return held
