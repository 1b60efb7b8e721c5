"""What events of an input are recognised by that have no messageId."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from destinations.pipeline.memory_queue import SeenMessages

__all__ = ["DerivedIds"]

_TIMES: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")


class DerivedIds:
    """Ids made of an event's content, and of how often that came in the input.

    So equal events count as many as they are, and those of an input that is read again are found
    again. Of an input that has a name (``input_id``) the id is that name and the line.
    """

    def __init__(self, input_id: str | None) -> None:
        self._input_id = input_id
        self._counts = SeenMessages()

    def is_certain(self, event: Mapping[str, Any] | None) -> bool:
        """Tell whether two such events of different inputs are different events.

        Without a time of its own, an event of today may equal one of yesterday.
        """
        if self._input_id is not None or event is None:
            return True
        return any(event.get(name) for name in _TIMES)

    def id_of(self, event: Mapping[str, Any] | bytes, line: int) -> str:
        """Return the id of what was read at a line: an event, or the bytes of what is none."""
        if self._input_id is not None:
            return f"{self._input_id}:{line}"
        digest = _digest(event)
        known = self._counts.get(digest)
        count = 1 if known is None else known[0] + 1
        self._counts[digest] = (count, False)
        return f"{digest}:{count}"

    def close(self) -> None:
        """Forget everything."""
        self._counts.close()


def _digest(event: Mapping[str, Any] | bytes) -> str:
    if isinstance(event, bytes):
        return hashlib.sha256(event).hexdigest()
    text = json.dumps(event, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
