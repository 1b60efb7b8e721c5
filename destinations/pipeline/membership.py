"""Let an engine follow the lease of its process; see `destinations.pipeline.lease`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import TimeoutError as NotYetError
from typing import Final

from destinations.pipeline.engine import Engine
from destinations.pipeline.lease import Lease

__all__ = ["Membership"]

_PATIENCE: Final = 0.5
"""Seconds for which a lease waits for the engine: its next beat must not be late."""


class Membership:
    """A holder that lets one engine follow a lease; see `destinations.pipeline.lease.LeaseHolder`.

    ``reopen`` is called once all that was under way is forgotten, to open the pipelines again.
    """

    def __init__(self, engine: Engine, lease: Lease, reopen: Callable[[], None]) -> None:
        self._engine = engine
        self._lease = lease
        self._reopen = reopen

    def lanes_changed(self) -> None:
        """See `LeaseHolder.lanes_changed`."""
        self._engine.soon(self._engine.lanes_changed)

    def is_clear_of(self, lanes: Collection[int]) -> bool:  # noqa: ARG002 - they are not the lease's
        """See `LeaseHolder.is_clear_of`."""
        try:
            return self._engine.soon(self._engine.is_clear).result(timeout=_PATIENCE)
        except NotYetError:
            return False

    def lease_lost(self) -> None:
        """See `LeaseHolder.lease_lost`."""
        self._engine.call(self._engine.forsake)
        self._reopen()

    def lease_taken(self) -> None:
        """See `LeaseHolder.lease_taken`."""
        token = self._lease.token
        assert token is not None  # noqa: S101 - it was taken just now
        self._engine.soon(lambda: self._engine.lease_taken(token))
