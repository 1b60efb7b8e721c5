"""Make the keys by which a partner recognises a request that it has already carried out."""

from __future__ import annotations

from typing import Any, Final

from destinations.definition import IdempotencyKey
from destinations.errors import ResolveError
from destinations.http.answer import Context, Part
from destinations.segment.javascript import UNDEFINED
from destinations.segment.mapping import compile_value

__all__ = ["HEADER_PART", "KeyMaker"]

HEADER_PART: Final = "idempotency-key"
"""The piece of an event's part of a request that holds a key for a header.

No variable can be called like it.
"""


class KeyMaker:
    """The ``idempotencyKey`` of one request, compiled; ``name`` is the request's."""

    def __init__(self, definition: IdempotencyKey, name: str) -> None:
        self.header = definition.header
        self.field = definition.field
        self._place = f"/requests/{name}/idempotencyKey"
        self._source = compile_value(definition.source)

    def key(self, context: Context) -> str:
        """Return the key of an event; raises `ResolveError` if it has none."""
        place = self._place + "/from"
        try:
            value = self._source.resolve({name: context[name] for name in ("event", "payload")})
        except ResolveError as error:
            raise ResolveError(place, error.message) from None
        if value is UNDEFINED or value is None:
            raise ResolveError(place, "the event has no key: expected text or a whole number")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ResolveError(place, f"invalid key {value!r:.80}: expected text or a whole number")
        key = str(value)
        if not key.strip():
            raise ResolveError(place, "the key is blank: expected text or a whole number")
        # A header cannot hold all that a field can, and its ends would be trimmed.
        if self.header is not None and not (
            key.isascii() and key.isprintable() and key == key.strip()
        ):
            raise ResolveError(place, f"invalid key {key!r:.80}: a header needs visible ASCII text")
        return key

    def added_to(self, part: Part, context: Context) -> Part:
        """Return an event's part of a request with the key for its header."""
        return {**part, HEADER_PART: self.key(context).encode()}

    def member_of(self, body: Any, context: Context) -> dict[str, Any]:
        """Return an event's body with its key; raises `ResolveError` if that is no object."""
        if not isinstance(body, dict):
            raise ResolveError(self._place + "/field", "the body of the event is no object")
        assert self.field is not None  # noqa: S101 - says the caller
        return {**body, self.field: self.key(context)}
