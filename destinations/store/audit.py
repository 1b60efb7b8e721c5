"""The audit log: what operators did by the console or its API, who, when and from where.

A line is written before the change, and how many deliveries were changed is added after it: so one
without a number is of a process that ended in between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.store.connection import Database

__all__ = ["MOST_AUDITED_IDS", "AuditLine", "StoredAudit"]

MOST_AUDITED_IDS: Final = 1_000
"""The ids that one line names; ``number`` counts all."""
_CHUNK: Final = 1_000
_COLUMNS: Final = (
    "id, at, operator, via, address, verb, destination, tenant, number, ids, more, done"
)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One thing that an ``operator`` did ``at`` a time (seconds since 1970), by a session or key.

    ``number`` deliveries were meant, of which the first are ``ids``; ``done`` were changed, None if
    that is not known. ``more`` is the decision.
    """

    id: int
    at: float
    operator: str
    via: str
    address: str
    verb: str
    destination: str
    tenant: str
    number: int
    ids: Sequence[int]
    more: Mapping[str, Any]
    done: int | None


class StoredAudit:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(  # noqa: PLR0913 - the columns of a line
        self,
        *,
        at: float,
        operator: str,
        via: str,
        address: str,
        verb: str,
        destination: str = "",
        tenant: str = "",
        ids: Sequence[int] = (),
        more: Mapping[str, Any] | None = None,
    ) -> int:
        """Write a line before a change, and return its id; raises as `Database.transaction`."""
        shown = json.dumps(list(ids[:MOST_AUDITED_IDS]))
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO audit (at, operator, via, address, verb, destination, tenant, number,"
                " ids, more) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    *(round(at * 1000), operator, via, address, verb, destination, tenant),
                    *(len(ids), shown, json.dumps(more or {})),
                ),
            ).fetchone()
        return int(row[0])

    def end(self, line: int, done: int) -> None:
        """Write down how many were changed."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE audit SET done = ? WHERE id = ?", (done, line))

    def lines(self, *, before: int | None = None, limit: int) -> Sequence[AuditLine]:
        """Return the latest lines, the last first, of those before a line."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
            (2**63 - 1 if before is None else before, limit),
        )
        return [
            AuditLine(
                *(identity, at / 1000, operator, via, address, verb, destination, tenant, number),
                *(json.loads(ids), json.loads(more), done),
            )
            for (
                identity,
                at,
                operator,
                via,
                address,
                verb,
                destination,
                tenant,
                number,
                ids,
                more,
                done,
            ) in rows
        ]

    def delete_before(self, at: float) -> int:
        """Delete the lines before a time, and return how many; a call deletes a bounded number."""
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM audit WHERE id IN"
                " (SELECT id FROM audit WHERE at < ? ORDER BY id LIMIT ?)",
                (round(at * 1000), _CHUNK),
            ).rowcount
