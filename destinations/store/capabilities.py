"""What was found out about an endpoint, kept so that it is asked only once."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from destinations.store.database import Store

__all__ = ["Capabilities"]


class Capabilities(MutableMapping[str, Any]):
    """Answers (JSON values) of one account by the name of the request that asked."""

    def __init__(self, store: Store, account: str) -> None:
        self._store = store
        self._account = account

    def __getitem__(self, request: str) -> Any:
        row = self._store.one(
            "SELECT answer FROM capabilities WHERE account = ? AND request = ?",
            (self._account, request),
        )
        if row is None:
            raise KeyError(request)
        return json.loads(row[0])

    def __setitem__(self, request: str, answer: Any) -> None:
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO capabilities VALUES (?, ?, ?)",
                (self._account, request, json.dumps(answer)),
            )

    def __delitem__(self, request: str) -> None:
        with self._store.transaction() as connection:
            done = connection.execute(
                "DELETE FROM capabilities WHERE account = ? AND request = ?",
                (self._account, request),
            )
        if not done.rowcount:
            raise KeyError(request)

    def __iter__(self) -> Iterator[str]:
        rows = self._store.all(
            "SELECT request FROM capabilities WHERE account = ? ORDER BY request", (self._account,)
        )
        return iter([request for (request,) in rows])

    def __len__(self) -> int:
        return len(list(iter(self)))
