"""Tell a database that was put back to an earlier point in time from one that has gone on."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Reached"]


class Reached(NamedTuple):
    """The numbers that tell how far a store is; they never go back, unless it is put back.

    ``begun`` rises when it is restored on purpose, or moved: then the others begin anew. ``worker``
    is the latest session, and ``beats`` are those of it. ``event`` is the latest event, and
    ``writes`` counts what was written by who wrote alone.
    """

    begun: int
    worker: int
    beats: int
    event: int
    writes: int

    def why_behind(self, before: Reached) -> str | None:
        """Return why this is earlier than what was seen before; None if it is not."""
        if self.begun != before.begun:
            return "it was restored or moved since" if self.begun < before.begun else None
        for what, now, then in (
            ("the latest session is", self.worker, before.worker),
            ("the latest event is", self.event, before.event),
            ("the number of changes is", self.writes, before.writes),
        ):
            if now < then:
                return f"{what} {now:,}, and was {then:,}"
        if self.worker == before.worker and self.beats < before.beats:
            return f"session {self.worker:,} has {self.beats:,} beats, and had {before.beats:,}"
        return None
