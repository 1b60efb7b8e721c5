"""Keep the settings that came with events: once for all events that came with the same ones.

They are sealed, and written with the first event that has them. What no event has any more goes
with the retention of events, and with what is erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from destinations.pipeline.queue import EventSettings
from destinations.store.connection import Connection, Database
from destinations.store.rows import array_of

__all__ = [
    "delete_spent_settings",
    "keep_settings",
    "sealed_name",
    "settings_of_events",
]

_PREFIX: Final = "settings/"
_END: Final = "settings0"
"""The text that comes after all that begin with the prefix."""


def sealed_name(name: str) -> str:
    """Return the name under which settings are sealed; ``name`` is that of `EventSettings`."""
    return _PREFIX + name


def keep_settings(connection: Connection, found: Iterable[EventSettings | None]) -> None:
    """Write the settings that are not there yet, in the transaction of their events."""
    new = {one.name: one.sealed for one in found if one is not None}
    if new:
        connection.executemany(
            "INSERT INTO sealed (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(sealed_name(name), sealed) for name, sealed in new.items()],
        )


def settings_of_events(database: Database, events: Collection[int]) -> Mapping[int, str]:
    """Return by event the name of the settings that it came with, of those that came with any."""
    return dict(
        database.all(
            "SELECT id, settings FROM events WHERE settings IS NOT NULL"
            " AND id IN (SELECT value FROM json_each(?))",
            (array_of(events),),
        )
    )


def delete_spent_settings(connection: Connection) -> int:
    """Delete the settings that no event has any more; returns how many."""
    done = connection.execute(
        "DELETE FROM sealed WHERE name > ?1 AND name < ?2 AND substr(name, ?3) NOT IN"
        " (SELECT settings FROM events WHERE settings IS NOT NULL)",
        (_PREFIX, _END, len(_PREFIX) + 1),
    )
    return done.rowcount
