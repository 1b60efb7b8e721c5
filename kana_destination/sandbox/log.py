"""Records of GraphQL requests in the log, without variables and keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from destinations.sandbox.faults import RootField
from destinations.sandbox.log import RequestRecord

__all__ = ["GraphQLRecord"]


@dataclass(frozen=True, slots=True)
class GraphQLRecord(RequestRecord):
    """One GraphQL request: its document and root fields.

    ``digest`` is the start of the SHA-256 of the document's text, empty where the body held none.
    ``roots`` are pairs of alias and field.
    """

    number: int
    digest: str
    operation: str | None
    roots: tuple[RootField, ...]
    status: int | None
    fault: bool

    @property
    def counted(self) -> Iterable[str]:
        """The names of its root fields."""
        return [field for _, field in self.roots]

    def to_json(self) -> dict[str, Any]:
        """Return the record as ``GET /requests`` shows it."""
        return {
            "number": self.number,
            "digest": self.digest,
            "operation": self.operation,
            "roots": [{"alias": alias, "field": field} for alias, field in self.roots],
            "status": self.status,
            "fault": self.fault,
        }
