"""Read all that a store has, and write it into another one, row by row and unchanged.

Rows have the values that they have in SQLite, whichever kind of store they are from.
"""

# ruff: noqa: S608 - the statements are made of the names of tables and columns

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from destinations.store.moved import OWN_NOTES

__all__ = [
    "FACTS_QUERY",
    "LEFT_BEHIND",
    "MOVED_TABLES",
    "Key",
    "MoveNote",
    "MoveSource",
    "MoveTarget",
    "MovedTable",
    "Row",
    "StoreFacts",
    "count_query",
    "rows_query",
]

Row: TypeAlias = tuple[Any, ...]
Key: TypeAlias = tuple[int | str | bytes, ...]
"""The key of a row: all rows of a table up to one are copied first."""


class MovedTable(NamedTuple):
    """A table, the columns by which its rows are sorted, and which rows are meant.

    If ``is_numbered``, the database gives their ids to the rows.
    """

    name: str
    key: tuple[str, ...] = ("id",)
    where: str = "TRUE"
    is_numbered: bool = False


_NOTES: Final = ", ".join(f"'{name}'" for name in OWN_NOTES)

MOVED_TABLES: Final[tuple[MovedTable, ...]] = (
    MovedTable("server", ("name",), f"name NOT IN ({_NOTES})"),
    MovedTable("days", ("day",)),
    MovedTable("partner_accounts", is_numbered=True),
    MovedTable("credentials", ("digest", "partner_account")),
    MovedTable("scopes", is_numbered=True),
    MovedTable("texts", is_numbered=True),
    MovedTable("subscriptions", is_numbered=True),
    MovedTable("messages", ("digest",)),
    MovedTable("other_contents", ("digest", "fingerprint")),
    MovedTable("shared_events"),
    MovedTable("events"),
    MovedTable("open"),
    MovedTable("failures"),
    MovedTable("kept"),
    MovedTable("ledger"),
    MovedTable("usage"),
    MovedTable("tallies", ("scope", "subscription", "status", "day"), "count <> 0"),
    MovedTable("balances", ("scope", "key")),
    MovedTable("rechecks", ("scope", "key")),
    MovedTable("drifts", ("scope", "key")),
    MovedTable("answers", ("endpoint", "request")),
    MovedTable("manual_changes", ("partner_account", "subject")),
    MovedTable("documents", is_numbered=True),
    MovedTable("refused", is_numbered=True),
    MovedTable("erasures"),
    MovedTable("sealed", ("name",)),
    MovedTable("tenants", ("scope",)),
    MovedTable("tenant_keys", ("digest", "destination")),
    MovedTable("recent_events", is_numbered=True),
    MovedTable("recent_scopes", ("event", "scope")),
    MovedTable("exchanges", is_numbered=True),
    MovedTable("exchange_contents", ("digest",)),
    MovedTable("attempts", ("delivery", "number")),
    MovedTable("exchange_bytes", is_numbered=True),
    MovedTable("audit", is_numbered=True),
)
"""All that is copied, in this order: what others name comes before them."""

LEFT_BEHIND: Final[Mapping[str, str]] = {
    "identity": "it is written when all is there",
    "counters": "the number of the latest event is given to the other store in its own way",
    "intents": "nothing is under way",
    "changes": "no process has to look at rows again",
    "refused_totals": "the other store counts by itself",
}
"""The tables that are not copied, and why."""


def _encode(key: Key) -> list[Any]:
    """Return a key as JSON can have it."""
    return [[one.hex()] if isinstance(one, bytes) else one for one in key]


def _decode(found: Sequence[Any]) -> Key:
    """Return the key that `_encode` was given."""
    return tuple(bytes.fromhex(one[0]) if isinstance(one, list) else one for one in found)


def rows_query(table: MovedTable, columns: Sequence[str], after: Key | None) -> str:
    """Return the query for the rows of a table that come after a key, in order."""
    key = ", ".join(table.key)
    later = f" AND ({key}) > ({', '.join('?' * len(table.key))})" if after is not None else ""
    return (
        f"SELECT {', '.join(columns)} FROM {table.name} WHERE {table.where}{later} ORDER BY {key}"
    )


def count_query(table: MovedTable) -> str:
    """Return the query for the number of rows of a table."""
    return f"SELECT count(*) FROM {table.name} WHERE {table.where}"


class StoreFacts(NamedTuple):
    """The facts about a store beside its rows; the times are seconds since 1970."""

    uuid: str
    gap_from: float | None
    gap_until: float | None
    gap_held: int | None
    latest_event: int


FACTS_QUERY: Final = (
    "SELECT uuid, gap_from, gap_until, gap_held,"
    " coalesce((SELECT value FROM counters WHERE name = 'event'), 0) FROM identity"
)


class MoveNote(NamedTuple):
    """A note in a store that is being filled: where from, and how far it is, by table.

    ``state`` is what changes whenever anything is written to the other store.
    """

    source: str
    uuid: str
    state: Sequence[int]
    done: Mapping[str, Key]

    def to_json(self) -> str:
        """Return it as text."""
        done = {name: _encode(key) for name, key in self.done.items()}
        return json.dumps(
            {"from": self.source, "uuid": self.uuid, "state": list(self.state), "done": done}
        )

    @classmethod
    def of_json(cls, text: str) -> MoveNote:
        """Return what `to_json` was called on."""
        found = json.loads(text)
        done = {name: _decode(key) for name, key in found["done"].items()}
        return cls(found["from"], found["uuid"], found["state"], done)


class MoveSource(Protocol):
    """A store that nobody else writes to, to be read."""

    @property
    def moved_to(self) -> str | None:
        """Where it was moved to; None if it was not."""
        ...

    @property
    def facts(self) -> StoreFacts:
        """What it is beside its rows."""
        ...

    @property
    def state(self) -> Sequence[int]:
        """Numbers of which one changes whenever anything is written."""
        ...

    def rows(self, table: MovedTable, columns: Sequence[str], after: Key | None) -> Iterator[Row]:
        """Return the rows of a table that come after a key, one after the other."""
        ...

    def count(self, table: MovedTable) -> int:
        """Return the number of rows of a table."""
        ...

    def last_id(self, table: MovedTable) -> int:
        """Return the last number that was given to a row of a table, or 0."""
        ...

    def note_moved(self, target: str) -> None:
        """Note where it was moved to."""
        ...


class MoveTarget(Protocol):
    """A store that is being filled, which nobody else uses."""

    @property
    def note(self) -> MoveNote | None:
        """What it notes of a move that was begun; None if it is empty."""
        ...

    def begin(self, note: MoveNote) -> None:
        """Note that a move begins; what one before it wrote is deleted."""
        ...

    def write_latest_event(self, latest: int) -> None:
        """Let events get numbers after this one; the days are written, and nothing finished is."""
        ...

    def write(
        self, table: MovedTable, columns: Sequence[str], rows: Sequence[Row], note: MoveNote
    ) -> None:
        """Write rows of a table, and how far the move is, in one transaction."""
        ...

    def write_last_id(self, table: MovedTable, last: int) -> None:
        """Let rows of a table get numbers after this one."""
        ...

    def count(self, table: MovedTable) -> int:
        """Return the number of rows of a table."""
        ...

    def broken_rules(self) -> Sequence[tuple[str, str]]:
        """Return what is wrong with it; see `destinations.store.broken_rules`."""
        ...

    def finish(self, facts: StoreFacts, source: str) -> None:
        """Let it be used from now on, in place of the other one; safe to repeat."""
        ...
