"""Check code samples: each method needs one, whose values the page's tables list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from destinations.errors import DestinationsError
from destinations.kit.lint.checks.found import Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rules import Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.browser import Browser
from destinations.kit.partner_page.calls import (
    METHODS,
    SAMPLE_LANGUAGES,
    Call,
    SampleError,
    read_calls,
)
from destinations.kit.partner_page.markdown import Block, Fence, Heading, Table

__all__ = ["method_samples", "sample_calls", "sample_fields"]

_CODE = re.compile(r"`([^`]+)`")


def method_samples(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find sections of a method of the Segment Spec without a sample that calls the method."""
    for heading in source.page.headings:
        name = heading.text.strip().lower()
        if heading.level not in {2, 3} or name not in METHODS:
            continue
        blocks = source.page.section(heading, whole=True)
        if name not in {call.method for _, call in _calls(_fences(blocks))}:
            yield Found(source.start_of(heading.line), heading.text)


def sample_calls(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find samples that cannot be executed unchanged."""
    browser = Browser()
    for fence in source.page.fences:
        if fence.language not in SAMPLE_LANGUAGES:
            continue
        try:
            for call in read_calls(fence.text):
                browser.send(call)
        except SampleError as error:
            yield Found(source.start_of(fence.line + error.line), error.message)


def sample_fields(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find traits or properties in a sample that the table beside it does not list."""
    for heading in source.page.headings:
        blocks = source.page.section(heading)
        read = _read_by_tables(heading, blocks)
        for fence, call in _calls(_fences(blocks)):
            root = "traits" if call.method in {"identify", "group"} else "properties"
            listed = {path for path in read if path.split(".")[0] == root}
            if not listed:
                continue
            for path in _paths(root, _values(call)):
                if path != root and not any(
                    path == known or path.startswith(f"{known}.") for known in listed
                ):
                    yield Found(source.start_of(fence.line + call.line), f"`{path}`")


def _read_by_tables(heading: Heading, blocks: Sequence[Block]) -> set[str]:
    """Return the paths in the first column of the tables of fields."""
    found: set[str] = set()
    root = "traits" if heading.text.lower() in {"identify", "group"} else "properties"
    for block in blocks:
        table = block.content
        if not isinstance(table, Table) or not table.rows or not table.rows[0]:
            continue
        if table.rows[0][0].strip().lower() not in {"field", "property", "trait"}:
            continue
        for row in table.rows[1:]:
            for name in _CODE.findall(row[0]):
                path = name.removeprefix("$.")
                bare = "." not in path and path not in {"userId", root}
                found.add(f"{root}.{path}" if bare else path)
    return found


def _fences(blocks: Sequence[Block]) -> list[Fence]:
    return [block.content for block in blocks if isinstance(block.content, Fence)]


def _calls(fences: Sequence[Fence]) -> Iterator[tuple[Fence, Call]]:
    """Yield the calls of all readable samples."""
    for fence in fences:
        if fence.language in SAMPLE_LANGUAGES:
            try:
                for call in read_calls(fence.text):
                    yield fence, call
            except SampleError:  # `sample_calls` reports it
                continue


def _values(call: Call) -> dict[str, Any]:
    """Return the traits or properties of one call, without those remembered from others."""
    try:
        event = Browser().send(call)
    except DestinationsError:
        return {}
    values: dict[str, Any] = event.get("traits") or event.get("properties") or {}
    return values


def _paths(root: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _paths(f"{root}.{key}", item)
    else:
        yield root
