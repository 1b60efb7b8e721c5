"""Check the windows of actions: a limit, a time to compare, and the setting that says how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destinations.definition.build import grace_setting
from destinations.definition.checks.mappings import mapping_issues
from destinations.definition.document import Document
from destinations.definition.mapping_places import window_shape
from destinations.durations import parse_duration
from destinations.errors import Issue, UsageError, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["window_issues"]


def window_issues(document: Document, destination: Document) -> Iterator[Issue]:
    """Yield the issues in the window of an action."""
    window = document.data.get("window")
    if window is None:
        return
    if not window.keys() & {"grace", "ahead"}:
        yield document.issue("/window", "needs grace, ahead or both: without, any time is fine")
    shape = window_shape(document.data["fields"])
    yield from mapping_issues(document, "/window/from", window.get("from"), shape)
    name = grace_setting(window)
    if name is not None:
        yield from _setting(document, destination, name)


def _setting(document: Document, destination: Document, name: str) -> Iterator[Issue]:
    """Yield why a setting cannot say how old an event may be."""
    settings: Mapping[str, Mapping[str, Any]] = destination.data["settings"]["properties"]
    place = pointer("window", "grace", "@path")
    spec = settings.get(name)
    if spec is None:
        yield document.issue(place, unknown_name("setting", name, settings))
        return
    if spec["type"] != "string" or spec.get("format") == "password":
        yield document.issue(place, f"{name} must be a setting of type string that is not a secret")
        return
    if "default" not in spec:
        message = f"{name} must have a default, such as 12h, for accounts that do not say it"
        yield document.issue(place, message)
    own = pointer("settings", "properties", name)
    values = [(pointer("enum", at), one) for at, one in enumerate(spec.get("enum", ()))]
    if "default" in spec:
        values.append(("/default", spec["default"]))
    for at, value in values:
        try:
            parse_duration(value if isinstance(value, str) else repr(value))
        except UsageError as error:
            so = f"; {document.data['slug']} reads it as the grace of its window"
            yield destination.issue(own + at, f"{error}{so}")
