"""The log of the GraphQL requests that were served, without variables and keys."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kana_destination.sandbox.documents import RootField

__all__ = ["RequestLog", "RequestRecord"]

_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request: its number (from 1), document and root fields, and the HTTP status answered.

    ``digest`` is the start of the SHA-256 of the document's text, empty where the body held none.
    ``roots`` are pairs of alias and field. ``status`` is None where no answer was sent; ``fault``
    says whether a fault rule was used.
    """

    number: int
    digest: str
    operation: str | None
    roots: tuple[RootField, ...]
    status: int | None
    fault: bool

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


class RequestLog:
    """The last requests (at most 10,000) and counts over all of them; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
        self._fields: Counter[str] = Counter()
        self._count = 0

    def begin(self) -> int:
        """Count a request and return its number."""
        with self._lock:
            self._count += 1
            return self._count

    def end(self, record: RequestRecord) -> None:
        """Keep the record of a request that is over."""
        with self._lock:
            self._records.append(record)
            self._fields.update(field for _, field in record.roots)

    @property
    def count(self) -> int:
        """The number of requests, also of those that were refused."""
        return self._count

    def field_count(self, name: str) -> int:
        """Return how many root fields of that name all requests together have had."""
        return self._fields[name]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        with self._lock:
            return iter(tuple(self._records))

    def to_json(self) -> dict[str, Any]:
        """Return ``{count, fields, requests}``, the requests in the order in which they ended."""
        records = [record.to_json() for record in self]
        return {"count": self._count, "fields": dict(self._fields), "requests": records}
