"""Pause and resume destinations and tenants."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from destinations.console.operators import Operator
from destinations.console.shown import PauseChanged, PauseState
from destinations.console.verbs.store_verbs import StoreVerbs, check_version
from destinations.operations import (
    pause_destination,
    pause_tenant,
    paused_actions,
    refused_credentials,
    resume_all,
    stopped_destinations,
)
from destinations.store import OpenStore, Tenant

__all__ = ["PausingVerbs"]


class PausingVerbs(StoreVerbs):
    """The verbs that let a destination, or a tenant of it, wait and go on."""

    def pause_state(self, destination: str, tenant: str | None = None) -> PauseState:
        """Return whether a destination, or a tenant of it, is paused."""
        with self._stores.read() as store:
            return _pause_state(store, destination, self._tenant(store, destination, tenant))

    def pause(
        self,
        operator: Operator,
        destination: str,
        tenant: str | None = None,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> PauseChanged:
        """Deliver nothing for a destination, or a tenant of it, until it is resumed."""

        def pause(store: OpenStore, own: Tenant | None, shown: PauseChanged) -> PauseChanged:
            if not shown.changed:  # since when it is paused must stay
                return shown
            if own is None:
                pause_destination(store, destination, self._clock.time())
            else:
                pause_tenant(store, own, self._clock.time())
            return shown

        def would_be(state: PauseState) -> PauseChanged:
            return PauseChanged(
                *(destination, state.tenant),
                paused=True,
                changed=state.paused_at is None,
                dry_run=dry_run,
            )

        return self._change_pause(
            *(operator, "pause", (destination, tenant), would_be, pause), dry_run=dry_run, seen=seen
        )

    def resume(
        self,
        operator: Operator,
        destination: str,
        tenant: str | None = None,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> PauseChanged:
        """Deliver again for a destination, or a tenant of it, also by actions that paused."""

        def resume(store: OpenStore, own: Tenant | None, shown: PauseChanged) -> PauseChanged:
            done = resume_all(store, destination, own)
            return replace(shown, changed=bool(done), tenants=done.tenants)

        def would_be(state: PauseState) -> PauseChanged:
            return PauseChanged(
                *(destination, state.tenant),
                paused=False,
                changed=state.is_paused,
                dry_run=dry_run,
                actions=state.actions,
                credentials="" if state.credentials is None else state.credentials.reason,
            )

        return self._change_pause(
            *(operator, "resume", (destination, tenant), would_be, resume),
            dry_run=dry_run,
            seen=seen,
        )

    def _change_pause(  # noqa: PLR0913 - who does what to which, and how
        self,
        operator: Operator,
        verb: str,
        of: tuple[str, str | None],
        would_be: Callable[[PauseState], PauseChanged],
        act: Callable[[OpenStore, Tenant | None, PauseChanged], PauseChanged],
        *,
        dry_run: bool,
        seen: str | None,
    ) -> PauseChanged:
        """Change a pause, unless it has changed since it was ``seen``, and audit if it was new."""
        destination, name = of
        with self._opened(dry_run=dry_run) as store:
            own = self._tenant(store, destination, name)
            state = _pause_state(store, destination, own)
            check_version(state.version, seen, f"the destination {destination}")
            shown = would_be(state)
            if dry_run:
                return shown
            with self._audited(store, operator, verb, (), state) as done:
                changed = act(store, own, shown)
                done.append(int(changed.changed))
            return changed


def _pause_state(store: OpenStore, destination: str, tenant: Tenant | None) -> PauseState:
    refused = None
    if tenant is None:
        at = stopped_destinations(store).get(destination)
        actions = paused_actions(store, destination)
        refused = refused_credentials(store).get(destination)
    else:
        at, actions = tenant.paused_at, paused_actions(store, tenant.scope.full_name)
    seen = repr((destination, tenant and tenant.id, at, sorted(actions.items()), refused))
    version = hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()
    own = "" if tenant is None else tenant.id
    return PauseState(destination, own, at, actions, version, refused)
