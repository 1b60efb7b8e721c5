"""Tells the events of a batch apart by the items that an answer says no to."""

from __future__ import annotations

from typing import Any

from destinations.definition import FailedItems
from destinations.errors import ResolveError
from destinations.http.answer import Answer, Failure
from destinations.segment.javascript import to_string
from destinations.segment.mapping import compile_value

__all__ = ["FailedItemReader"]


class FailedItemReader:
    """The ``failures`` of one request's batch, compiled."""

    def __init__(self, definition: FailedItems) -> None:
        self._statuses = definition.statuses
        self._items = compile_value(definition.items)
        self._index = compile_value(definition.index)
        self._message = compile_value(definition.message)

    def read(self, status: int, body: Any, count: int) -> list[Answer | Failure] | None:
        """A verdict for each of ``count`` events; None if the answer does not tell them apart.

        An answer that names a place outside of the batch tells nothing: what it means for the
        others would be a guess.
        """
        if status not in self._statuses or not isinstance(body, dict):
            return None
        try:
            failed = self._failed(body)
        except ResolveError:
            return None
        if not failed or not all(0 <= index < count for index in failed):
            return None
        return [
            Answer("ok", body) if index not in failed else _refused(failed[index], status)
            for index in range(count)
        ]

    def _failed(self, body: dict[str, Any]) -> dict[int, str]:
        """Why, by the place in the batch; -1 for an item whose place cannot be read."""
        items = self._items.resolve(body)
        if not isinstance(items, list):
            return {}
        found: dict[int, str] = {}
        for item in items:
            index = self._index.resolve(item) if isinstance(item, dict) else None
            place = index if isinstance(index, int) and not isinstance(index, bool) else -1
            found[place] = to_string(self._message.resolve(item)) if place >= 0 else ""
        return found


def _refused(message: str, status: int) -> Failure:
    return Failure(
        message, "invalid", status, retryable=False, nothing_applied=True, whole_request=False
    )
