"""The notes of the last runs, which quote reasons: one for each scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from destinations.store.connection import Connection

__all__ = ["BEGAN_RUN", "FORGOTTEN", "LAST_RUN", "forget_runs"]

LAST_RUN: Final = "lastRun "
"""What the names of these notes begin with; the id of the scope follows."""

BEGAN_RUN: Final = "beganRun "
"""What the names of notes on runs without a record begin with; the id of the scope follows."""

FORGOTTEN: Final = "forgotten"
"""The key of a note that takes the place of one that was erased."""


def forget_runs(connection: Connection, scopes: Iterable[int]) -> None:
    """Erase the notes of these scopes, within a transaction; that they were is noted.

    A reason may quote anything of an event, and does not say whose event it was.
    """
    connection.executemany(
        "UPDATE server SET value = ? WHERE name = ?",
        [(f'{{"{FORGOTTEN}": true}}', f"{LAST_RUN}{scope}") for scope in scopes],
    )
