"""Resume all that pauses of a destination, or of a tenant of it, whatever it pauses for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from destinations.operations.pauses import (
    RefusedCredentials,
    resume,
    resume_credentials,
    resume_destination,
    resume_of_tenants,
)
from destinations.operations.tenants import resume_tenant
from destinations.store import OpenStore
from destinations.store.tenants import Tenant

__all__ = ["Resumed", "resume_all"]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The result of `resume_all`: what an operator had paused, and what had paused by itself.

    ``actions`` have the reasons for which they paused. ``credentials`` says since when and why the
    partner refused them, None if it did not. ``tenants`` is the number of tenants of which paused
    actions were resumed.
    """

    was_paused: bool
    actions: Mapping[str, str]
    credentials: RefusedCredentials | None = None
    tenants: int = 0

    def __bool__(self) -> bool:
        """Return whether anything was resumed."""
        return bool(self.was_paused or self.actions or self.credentials or self.tenants)


def resume_all(store: OpenStore, destination: str, tenant: Tenant | None) -> Resumed:
    """Let a server deliver again for a destination, or a tenant of it, and try at once.

    Paused actions of all tenants resume with their destination; a tenant that an operator has
    paused by itself does not.
    """
    if tenant is not None:
        return Resumed(resume_tenant(store, tenant), resume(store, tenant.scope.full_name))
    return Resumed(
        resume_destination(store, destination),
        resume(store, destination),
        resume_credentials(store, destination),
        resume_of_tenants(store, destination),
    )
