"""The log of the requests that were served, bounded, and without secrets."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

__all__ = ["RequestLog", "RequestRecord"]

_KEPT: Final = 10_000


class RequestRecord(ABC):
    """One request: its number (from 1), and the HTTP status that was answered.

    ``status`` is None where no answer was sent; ``fault`` says whether a fault rule was used.
    """

    number: int
    status: int | None
    fault: bool

    @property
    @abstractmethod
    def counted(self) -> Iterable[str]:
        """The names under which the log counts it."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the record as ``GET /requests`` shows it."""


R = TypeVar("R", bound=RequestRecord)


class RequestLog(Generic[R]):
    """The last requests (at most 10,000) and counts over all of them; safe for threads.

    ``counts`` is the key under which ``GET /requests`` has the counts by name.
    """

    def __init__(self, counts: str = "names") -> None:
        self._counts = counts
        self._lock = threading.Lock()
        self._records: deque[R] = deque(maxlen=_KEPT)
        self._names: Counter[str] = Counter()
        self._count = 0

    def begin(self) -> int:
        """Count a request and return its number."""
        with self._lock:
            self._count += 1
            return self._count

    def end(self, record: R) -> None:
        """Keep the record of a request that is over."""
        with self._lock:
            self._records.append(record)
            self._names.update(record.counted)

    @property
    def count(self) -> int:
        """The number of requests, also of those that were refused."""
        return self._count

    def count_of(self, name: str) -> int:
        """Return how often all requests together were counted under the name."""
        return self._names[name]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[R]:
        with self._lock:
            return iter(tuple(self._records))

    def to_json(self) -> dict[str, Any]:
        """Return ``{count, <counts>, requests}``, the requests in the order in which they ended."""
        records = [record.to_json() for record in self]
        return {"count": self._count, self._counts: dict(self._names), "requests": records}
