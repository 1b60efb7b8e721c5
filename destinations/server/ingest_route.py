"""The route by which senders post the events of one destination."""

from __future__ import annotations

from dataclasses import dataclass

from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import Inbox, Scope
from destinations.runtime.destination import Destination
from destinations.server.auth import Authenticator
from destinations.server.tenants import Admission, ServedTenant, ServedTenants

__all__ = ["IngestRoute"]


@dataclass(frozen=True, slots=True)
class IngestRoute:
    """The route ``/v1/NAME``: who may post, what plans the events, and which queue takes them.

    ``types`` are the calls that the destination supports (``track``, ...); None if unknown. With
    ``tenants`` each sender has a key of its own, which says whose events they are; of a request
    whose key was accepted, ``tenant`` is the sender.
    """

    name: str
    authenticator: Authenticator
    destination: Destination
    intake: Intake
    scope: Scope
    inbox: Inbox
    types: frozenset[str] | None = None
    tenants: ServedTenants | None = None
    tenant: ServedTenant | None = None

    def of(self, admission: Admission) -> IngestRoute:
        """Return the route of a tenant."""
        # Each request has one, and `dataclasses.replace` takes twice as long.
        return IngestRoute(
            self.name,
            self.authenticator,
            admission.destination,
            admission.intake,
            admission.served.tenant.scope,
            self.inbox,
            self.types,
            self.tenants,
            admission.served,
        )
