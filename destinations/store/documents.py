"""Keep the plugins' data: JSON documents by name, in the order of their creation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from destinations.errors import UsageError
from destinations.runtime.store import Document
from destinations.store.connection import Database

__all__ = ["StoredDocuments"]


class StoredDocuments:
    """The documents of one kind of one destination; see `destinations.runtime.store.Documents`."""

    def __init__(
        self,
        database: Database,
        destination: str,
        kind: str,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._scope = (destination, kind)
        self._kind = kind
        self._now = now

    @property
    def version(self) -> str:
        """Another text whenever documents were added or removed."""
        # Ids are never given again: one more or less shows in the number or in the latest.
        row = self._database.one(
            "SELECT count(*), max(id) FROM documents WHERE destination = ? AND kind = ?",
            self._scope,
        )
        return json.dumps(row)

    def add(self, *documents: tuple[str, Any]) -> None:
        """Keep documents (name, content), all or none of them.

        Raises `UsageError` if there is one of such a name already.
        """
        with self._database.transaction() as connection:
            for name, content in documents:
                done = connection.execute(
                    """
                    INSERT INTO documents (destination, kind, name, document, created_at)
                    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                    """,
                    (*self._scope, name, json.dumps(content), self._now()),
                )
                if not done.rowcount:
                    raise UsageError(f"there is a {self._kind} {name!r} already; remove it first")

    def remove(self, name: str) -> None:
        """Remove a document; raises `UsageError` if there is none of that name."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "DELETE FROM documents WHERE destination = ? AND kind = ? AND name = ?",
                (*self._scope, name),
            )
        if not done.rowcount:
            known = ", ".join(document.name for document in self.entries()) or "none"
            raise UsageError(f"unknown {self._kind} {name!r}; known: {known}")

    def entries(self) -> Sequence[Document]:
        """Return all of them, the oldest first."""
        rows = self._database.all(
            "SELECT name, document, created_at FROM documents WHERE destination = ? AND kind = ?"
            " ORDER BY id",
            self._scope,
        )
        return [Document(name, json.loads(text), created_at) for name, text, created_at in rows]
