"""Recognise the fields of batches that an export made.

`destinations export segment` adds them to the actions whose request has a batch. A field of such a
name in another file is the partner's own: it stays, as any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from destinations.kit.exporter.actions import batch_fields
from destinations.kit.exporter.metadata import public_field
from destinations.kit.importer.presets import canonical

__all__ = ["exported_batching"]

_SIZE: Final = "batch_size"
_BYTES: Final = "batch_bytes"


def exported_batching(fields: Mapping[str, Any], destination: str | None) -> Collection[str]:
    """Return the keys of the fields that an export added; ``destination`` is its name."""
    size, bytes_ = (_default(fields.get(key)) for key in (_SIZE, _BYTES))
    if destination is None or size is None:
        return ()
    made = batch_fields(destination, size, bytes_)
    return [
        key
        for key, one in made.items()
        if key in fields and canonical(public_field(one)) == canonical(fields[key])
    ]


def _default(field: object) -> int | None:
    value = field.get("default") if isinstance(field, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
