"""Derive ids for the events of an input, a file or one body over HTTP, without a messageId."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from destinations.pipeline.memory_queue import SeenMessages

__all__ = ["DerivedFrom", "DerivedId", "DerivedIds"]

DerivedFrom = Literal["content", "line"]

_TIMES: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")


class DerivedId(NamedTuple):
    """The identity of an event: ``by`` its content, or by its line in a named input.

    ``is_certain`` says that two such events of different inputs with other ids are different
    events.
    """

    id: str
    by: DerivedFrom | None = None
    is_certain: bool = True


class DerivedIds:
    """Ids made of an event's content, and of how often that came in the input.

    So equal events count as many as they are, and those of an input that is read again are found
    again. Without a time of its own, though, an event of today may equal one of yesterday: if the
    input has a name (``input_id``), the id of such an event is that name and the line.
    """

    def __init__(self, input_id: str | None) -> None:
        self._input_id = input_id
        self._counts = SeenMessages()
        # How many were found by their line at that line: an array may have several.
        self._at_line = (0, 0)
        # By the id that an earlier run gave an event: a line of its own came for each subscription.
        self._of_noted: dict[tuple[str, str], str] = {}

    def id_of(
        self, event: Mapping[str, Any] | bytes, line: int, noted: str = "", *, file: str = ""
    ) -> DerivedId:
        """Return the id of the entry at a line: an event, or bytes that are not an event.

        ``noted`` is the one that an earlier run gave it, and wrote out with it; ``file`` the one of
        several that it was read from then.
        """
        digest = _digest(event)
        is_certain = isinstance(event, bytes) or any(event.get(name) for name in _TIMES)
        if noted and (is_certain or not noted.startswith(f"{digest}:")):
            return DerivedId(noted)
        if not is_certain and self._input_id is not None:
            if (noted, file) in self._of_noted:  # the same event, for another of its subscriptions
                return DerivedId(self._of_noted[noted, file])
            latest, before = self._at_line
            count = before + 1 if line == latest else 1
            self._at_line = (line, count)
            place = f"{line}" if count == 1 else f"{line}.{count}"
            found = ":".join(filter(None, (self._input_id, file, place)))
            if noted:
                self._of_noted[noted, file] = found
            return DerivedId(found, "line")
        if noted:
            return DerivedId(noted, is_certain=False)
        known = self._counts.get(digest)
        count = 1 if known is None else known.number + 1
        self._counts.add(digest, count)
        return DerivedId(f"{digest}:{count}", "content", is_certain=is_certain)

    def close(self) -> None:
        """Forget everything."""
        self._counts.close()


def _digest(event: Mapping[str, Any] | bytes) -> str:
    if isinstance(event, bytes):
        return hashlib.sha256(event).hexdigest()
    text = json.dumps(event, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
