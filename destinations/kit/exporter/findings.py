"""Collect what of a definition Segment's framework cannot say, with its place in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from destinations.definition.document import Document
from destinations.errors import Issue

__all__ = ["DESTINATION", "Findings"]

DESTINATION = "destination"
"""The stem of the file that describes the destination; those of actions are their slugs."""


@dataclass(slots=True)
class Findings:
    """The findings of one export.

    What is ``refused`` stops it, unless it is partial. What is ``left_out`` is checked or done
    elsewhere, and only told.
    """

    documents: Mapping[str, Document]
    refused: list[Issue] = field(default_factory=list)
    left_out: list[Issue] = field(default_factory=list)

    def refuse(self, stem: str, path: str, message: str) -> Issue:
        """Note what cannot be said at all, at a JSON pointer of the file ``stem``; once each."""
        return self._add(self.refused, stem, path, message)

    def leave_out(self, stem: str, path: str, message: str) -> None:
        """Note what is not carried over and changes nothing of what is sent."""
        self._add(self.left_out, stem, path, message)

    def _add(self, found: list[Issue], stem: str, path: str, message: str) -> Issue:
        issue = self.documents[stem].issue(path, message)
        if issue not in found:
            found.append(issue)
        return issue
