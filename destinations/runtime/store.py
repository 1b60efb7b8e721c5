"""Protocols of the data that plugins and senders keep beyond one process."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from destinations.outcome import ManualChange

__all__ = ["Document", "Documents", "ManualChanges", "Store"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document; ``created_at`` is in seconds since 1970, UTC."""

    name: str
    content: Any
    created_at: float


class Documents(Protocol):
    """One destination's documents of one kind, such as a customer's rules; safe for threads."""

    @property
    def version(self) -> str:
        """Return a string that changes with every change of the documents; cheap."""
        ...

    def add(self, *documents: tuple[str, Any]) -> None:
        """Add documents (name, JSON content), all or none.

        Raises `UsageError` if one of the names is taken.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a document; raises `UsageError` if the name is unknown."""
        ...

    def entries(self) -> Sequence[Document]:
        """Return all documents, the oldest first."""
        ...


class ManualChanges(Protocol):
    """Changes that a partner's API does not support, so that an operator has to make them."""

    def note(self, *changes: ManualChange) -> None:
        """Save changes to be made, and remove those that have been made; durable."""
        ...

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return the fields to set by user, oldest change first."""
        ...


class Store(Protocol):
    """Keeps documents, remembered answers, and manual changes."""

    def documents(self, destination: str, kind: str) -> Documents:
        """Return a destination's documents of one kind; ``destination`` is its slug."""
        ...

    def answers(self, partner: str) -> MutableMapping[str, Any]:
        """Return a partner's remembered answers by request; see `AccountIdentity.partner`."""
        ...

    def manual_changes(self, accounts: Sequence[int]) -> ManualChanges:
        """Return the changes of these accounts; new ones are saved for the first."""
        ...
