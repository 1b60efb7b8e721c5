"""Check code samples: each method needs one, whose values the page's tables list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from destinations.errors import DestinationsError
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
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
from destinations.kit.real_secrets import keys_in

__all__ = ["method_samples", "sample_calls", "sample_fields", "secrets"]

_CODE: Final = re.compile(r"`([^`]+)`")


def method_samples(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find sections of a method of the Segment Spec without a sample that calls the method."""
    for heading in source.page.headings:
        name = heading.text.strip().lower()
        if heading.level not in {2, 3} or name not in METHODS:
            continue
        blocks = source.page.section(heading, whole=True)
        fences = _fences(blocks)
        is_called = name in {call.method for _, call in _calls(fences)}
        if not is_called and not any(_calls_elsewhere(fence, name) for fence in fences):
            yield Found(source.start_of(heading.line), heading.text)


def _calls_elsewhere(fence: Fence, method: str) -> bool:
    """Return whether a sample in another language than JavaScript calls a method.

    Such as ``[analytics screen:@"Home"]``, ``analytics.screen(title: "Home")``,
    ``Analytics::screen(``, ``analytics.Screen{``, ``(analytics/screen``,
    ``ScreenMessage.builder()`` or the event itself, ``"type": "screen"``. A sample without a
    language may be in any.
    """
    if fence.language in SAMPLE_LANGUAGES:
        return False
    call = rf"(?:[.:>\]]\s*|\s){method}\s*[:({{]|\(\s*[\w.]*analytics/{method}\b"
    event = rf"[\"']type[\"']\s*:\s*[\"']{method}[\"']|/v1/{method}\b"
    message = rf"\b{method}Message\s*\.\s*builder\s*\("  # of the library for Java
    return re.search(f"{call}|{event}|{message}", fence.text, re.IGNORECASE) is not None


def secrets(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find what looks like a real key, anywhere on the page."""
    for found in keys_in(source.text):
        yield Found(found.start(), found[0][:12] + "...")


def sample_calls(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find samples that cannot be executed unchanged."""
    browser = Browser()
    for fence in source.page.fences:
        if fence.language not in SAMPLE_LANGUAGES:
            continue
        try:
            for call in read_calls(_readable(fence.text)):
                if not _is_of_node(call):
                    browser.send(call)
        except SampleError as error:
            yield Found(source.start_of(fence.line + error.line), error.message)


def sample_fields(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find traits or properties in a sample that the table next to it does not list."""
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
                for call in read_calls(_readable(fence.text)):
                    yield fence, call
            except SampleError:  # `sample_calls` reports it
                continue


def _readable(text: str) -> str:
    """Return a sample with a string for each new date, the one expression that events need."""
    return re.sub(r"\bnew Date\(\s*[^()]*\)", '"2024-01-01T00:00:00.000Z"', text)


def _is_of_node(call: Call) -> bool:
    """Return whether a call is of the library for Node.js: one object with the whole event."""
    match call.arguments:
        case [dict(event)]:
            return bool({"userId", "anonymousId"} & set(event)) or "event" in event
    return False


def _values(call: Call) -> dict[str, Any]:
    """Return the traits or properties of one call, without those remembered from others."""
    if _is_of_node(call):
        return call.arguments[0].get("traits") or call.arguments[0].get("properties") or {}
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
