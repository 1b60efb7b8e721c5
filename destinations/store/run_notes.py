"""The notes of the last runs, which quote reasons: one for each scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from destinations.store.connection import Connection

__all__ = ["LAST_RUN", "forget_runs"]

LAST_RUN: Final = "lastRun "
"""What the names of these notes begin with; the id of the scope follows."""


def forget_runs(connection: Connection, scopes: Iterable[int]) -> None:
    """Remove the notes of these scopes, within a transaction.

    A reason may quote anything of an event, and does not say whose event it was.
    """
    connection.executemany(
        "DELETE FROM server WHERE name = ?", [(f"{LAST_RUN}{scope}",) for scope in scopes]
    )
