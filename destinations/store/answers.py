"""The partner's answers that are asked for only once, such as what an endpoint can do."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from destinations.store.connection import Database

__all__ = ["StoredAnswers"]

_DELETE: Final = "DELETE FROM answers WHERE endpoint = ? AND request = ?"


class StoredAnswers(MutableMapping[str, Any]):
    """Answers (JSON values) of one endpoint by the name of the request that asked.

    ``endpoint`` is `AccountIdentity.partner`. Any thread may use it.
    """

    def __init__(self, database: Database, endpoint: str) -> None:
        self._database = database
        self._endpoint = endpoint

    def __getitem__(self, request: str) -> Any:
        row = self._database.one(
            "SELECT answer FROM answers WHERE endpoint = ? AND request = ?",
            (self._endpoint, request),
        )
        if row is None:
            raise KeyError(request)
        return json.loads(row[0])

    def __setitem__(self, request: str, answer: Any) -> None:
        with self._database.transaction() as connection:
            connection.execute(_DELETE, (self._endpoint, request))
            connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?)",
                (self._endpoint, request, json.dumps(answer)),
            )

    def __delitem__(self, request: str) -> None:
        with self._database.transaction() as connection:
            done = connection.execute(_DELETE, (self._endpoint, request))
        if not done.rowcount:
            raise KeyError(request)

    def __iter__(self) -> Iterator[str]:
        rows = self._database.all(
            "SELECT request FROM answers WHERE endpoint = ? ORDER BY request", (self._endpoint,)
        )
        return iter([request for (request,) in rows])

    def __len__(self) -> int:
        return len(list(iter(self)))
