"""The route by which senders post the events of one destination."""

from __future__ import annotations

from dataclasses import dataclass

from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import Inbox, Scope
from destinations.runtime.destination import Destination
from destinations.server.auth import Authenticator

__all__ = ["IngestRoute"]


@dataclass(frozen=True, slots=True)
class IngestRoute:
    """The route ``/v1/NAME``: who may post, what plans the events, and which queue takes them.

    ``types`` are the calls that the destination supports (``track``, ...); None if unknown.
    """

    name: str
    authenticator: Authenticator
    destination: Destination
    intake: Intake
    scope: Scope
    inbox: Inbox
    types: frozenset[str] | None = None
