"""Check mappings: what cannot be compiled or read, and text that was meant as a path."""

from __future__ import annotations

from collections.abc import Iterator

from destinations.definition.document import Document
from destinations.definition.mapping_places import EVENT
from destinations.definition.plain_text import sent_as_it_is
from destinations.definition.reads import Shape, unreadable
from destinations.errors import DefinitionError, Issue
from destinations.segment.mapping import compile_value

__all__ = ["mapping_issues", "plain_text_issues"]


def mapping_issues(
    document: Document,
    place: str,
    value: object,
    shape: Shape | None,
    *,
    refuses_text: bool = True,
) -> Iterator[Issue]:
    """Yield the issues in one mapping value, also in branches that no event may ever reach.

    ``shape`` is that of the data it reads. Text that looks like a path or a template is an issue
    unless ``refuses_text`` is false.
    """
    try:
        compiled = compile_value(value)
    except DefinitionError as error:
        for issue in error.issues:
            yield document.issue(place + issue.path, issue.message)
        return
    for issue in compiled.warnings:
        yield document.issue(place + issue.path, issue.message)
    for path, message in unreadable(value, place, shape):
        yield document.issue(path, message)
    if refuses_text:
        yield from plain_text_issues(document, place, value, shape)


def plain_text_issues(
    document: Document, place: str, value: object, shape: Shape | None = EVENT
) -> Iterator[Issue]:
    """Yield the plain text in a mapping that was meant as a path or a template."""
    for path, message in sent_as_it_is(value, place, shape):
        yield document.issue(path, message)
