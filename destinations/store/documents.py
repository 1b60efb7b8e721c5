"""What plugins keep of their own: JSON documents by name, in the order of their creation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from destinations.errors import UsageError
from destinations.store.database import Store

__all__ = ["Document", "Documents"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document; ``created_at`` is in seconds since 1970, UTC."""

    name: str
    content: Any
    created_at: float


class Documents:
    """The documents of one kind of one destination."""

    def __init__(
        self, store: Store, destination: str, kind: str, *, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._scope = (destination, kind)
        self._kind = kind
        self._now = now

    def add(self, *documents: tuple[str, Any]) -> None:
        """Keeps documents (name, content), all or none of them.

        Raises `UsageError` if there is one of such a name already.
        """
        with self._store.transaction() as connection:
            for name, content in documents:
                done = connection.execute(
                    """
                    INSERT OR IGNORE INTO documents (destination, kind, name, document, created_at)
                    VALUES (?, ?, ?, ?, ?)
                    """,
                    (*self._scope, name, json.dumps(content), self._now()),
                )
                if not done.rowcount:
                    raise UsageError(f"there is a {self._kind} {name!r} already; remove it first")

    def remove(self, name: str) -> None:
        """Removes a document; raises `UsageError` if there is none of that name."""
        with self._store.transaction() as connection:
            done = connection.execute(
                "DELETE FROM documents WHERE destination = ? AND kind = ? AND name = ?",
                (*self._scope, name),
            )
        if not done.rowcount:
            known = ", ".join(document.name for document in self.entries()) or "none"
            raise UsageError(f"there is no {self._kind} {name!r}; there are: {known}")

    def entries(self) -> list[Document]:
        """All of them, the oldest first."""
        rows = self._store.all(
            "SELECT name, document, created_at FROM documents WHERE destination = ? AND kind = ?"
            " ORDER BY id",
            self._scope,
        )
        return [Document(name, json.loads(text), created_at) for name, text, created_at in rows]
