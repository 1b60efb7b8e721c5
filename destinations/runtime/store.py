"""What plugins and senders keep beyond one process, whatever keeps it."""

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
    """The documents of one kind of one destination, such as rules that a customer made.

    Any thread may use it.
    """

    @property
    def version(self) -> str:
        """Another text whenever documents were added or removed; cheap to ask for."""
        ...

    def add(self, *documents: tuple[str, Any]) -> None:
        """Keep documents (name, content that is JSON), all or none of them.

        Raises `UsageError` if there is one of such a name already.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a document; raises `UsageError` if there is none of that name."""
        ...

    def entries(self) -> Sequence[Document]:
        """Return all of them, the oldest first."""
        ...


class ManualChanges(Protocol):
    """Changes that a partner's API does not take, and that wait for an operator to make them."""

    def note(self, *changes: ManualChange) -> None:
        """Note what is left to be done, and forget what has been done since; durable."""
        ...

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return the fields to set by user, in the order in which they were noted."""
        ...


class Store(Protocol):
    """Keeps documents, answers that are asked for once, and manual changes."""

    def documents(self, destination: str, kind: str) -> Documents:
        """Return the documents of one kind of a destination, by its slug."""
        ...

    def answers(self, partner: str) -> MutableMapping[str, Any]:
        """Return the answers of a partner's endpoint by request; see `AccountIdentity.partner`."""
        ...

    def manual_changes(self, accounts: Sequence[int]) -> ManualChanges:
        """Return what waits for these accounts; what is noted is noted for the first."""
        ...
