"""Collect an import's findings: issues, which stop it, and notes for the author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from destinations.errors import DefinitionError, Issue

__all__ = ["Findings", "Placed", "json_type"]

T = TypeVar("T")

_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def json_type(value: object) -> str:
    """Return the JSON type of ``value``, for messages."""
    return "null" if value is None else _TYPES.get(type(value), type(value).__name__)


class Placed(NamedTuple, Generic[T]):
    """A value of the file, and its JSON pointer in it."""

    path: str
    value: T


class Findings:
    """Collects all issues and notes of one file, each with its JSON pointer."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.issues: list[Issue] = []
        self.notes: list[Issue] = []

    def issue(self, path: str, message: str) -> None:
        """Add an issue in the file, with a message that says what was expected."""
        self.issues.append(Issue(message, path=path, file=self.file))

    def note(self, path: str, message: str) -> None:
        """Add a note on something that is not imported unchanged, and what was done instead."""
        self.notes.append(Issue(message, path=path, file=self.file))

    def raise_issues(self) -> None:
        """Raise `DefinitionError` with every issue, if there are any."""
        if self.issues:
            raise DefinitionError(self.issues)

    def text(
        self, data: Mapping[str, Any], key: str, path: str, *, required: bool = False
    ) -> str | None:
        """Return the text at ``key``; None if it is missing or only white space."""
        value = data.get(key)
        if value is None:
            if required:
                self.issue(path, f"lacks {key!r}")
            return None
        if not isinstance(value, str):
            self.issue(f"{path}/{key}", f"should be text but is {json_type(value)}")
            return None
        if required and not value.strip():
            self.issue(f"{path}/{key}", "must not be empty")
        return value if value.strip() else None

    def flag(self, data: Mapping[str, Any], key: str, path: str) -> bool:
        """Return the boolean at ``key``; False if it is missing."""
        value = data.get(key)
        if value is not None and not isinstance(value, bool):
            self.issue(f"{path}/{key}", f"should be true or false but is {json_type(value)}")
        return value is True

    def objects(self, value: object, path: str) -> list[Placed[dict[str, Any]]]:
        """Return the objects of a list, each with its path; empty if it is missing."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.issue(path, f"should be a list but is {json_type(value)}")
            return []
        found = []
        for index, item in enumerate(value):
            place = f"{path}/{index}"
            if isinstance(item, dict):
                found.append(Placed(place, item))
            else:
                self.issue(place, f"should be an object but is {json_type(item)}")
        return found
