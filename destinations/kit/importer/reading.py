"""Read a file of Segment's and recognise its shape.

::

    {"data": {"destinationMetadata": {...}}}      GET /catalog/destinations/{id}
    {"data": {"destinationsCatalog": [{...}]}}    GET /catalog/destinations
    {"data": {"subscriptions": [{...}]}}          GET /destinations/{id}/subscriptions
    {"data": {"filters": [{...}]}}                GET /destination/{id}/filters
    {"slug": ..., "actions": {slug: {...}}}       a definition of the action library
    {slug: {"actions": {...}}, ...}               several of them

It may also be just the content of ``data``, or a list of destinations or subscriptions.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path
from typing import Any, Final

from destinations.definition.input_files import open_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.importer.findings import Findings, Placed, json_type
from destinations.pipeline.input_file import STANDARD_INPUT
from destinations.segment.json_pointer import pointer

__all__ = ["destinations_in", "filters_in", "next_page_of", "read_json_file", "subscriptions_in"]

_LIMIT: Final = 100_000_000  # bytes: a small gzip file can exceed memory
_ONE: Final = ("destinationMetadata", "destination", "subscription", "destinationSubscription")
_MANY: Final = ("destinationsCatalog", "destinations", "subscriptions")
_EXPECTED: Final = (
    "holds no destination: expected destinationMetadata or destinationsCatalog of the "
    "Public API, a definition with slug and actions, or several of them by slug"
)
_ACTION_KEYS: Final = ("partnerAction", "actionSlug", "actionId")


def read_json_file(path: Path) -> Any:
    """Return the JSON value in a file, which may be compressed (``.gz``); ``-`` is standard input.

    Raises `UsageError` if it cannot be read, `DefinitionError` if it is not JSON.
    """
    name = str(path)
    try:
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_LIMIT + 1)
        else:
            with open_input(path, pipes=True) as file:
                data = (GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {name}: {reason}") from None
    if len(data) > _LIMIT:
        raise UsageError(f"{name} has more than {_LIMIT:,} bytes: import a part of it")
    try:
        return json.loads(data, parse_constant=_refuse, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        issue = Issue(f"is not JSON: {error.msg}", file=name, line=error.lineno)
        raise DefinitionError([issue]) from None
    except (ValueError, RecursionError) as error:
        raise DefinitionError([Issue(f"is not JSON: {error}", file=name)]) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return found


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("data"), dict)


def _content(value: Any) -> Placed[Any]:
    """Return what is in ``data`` of an answer of the Public API; anything else as it is."""
    return Placed("/data", value["data"]) if _is_answer(value) else Placed("", value)


def _unwrapped(value: Any) -> Placed[Any]:
    """Return what an answer of the Public API is about."""
    path, value = _content(value)
    if isinstance(value, dict):
        for key in (*_ONE, *_MANY):
            if isinstance(value.get(key), dict if key in _ONE else list):
                return Placed(f"{path}/{key}", value[key])
    return Placed(path, value)


def _is_destination(value: object) -> bool:
    return isinstance(value, dict) and "actions" in value


def destinations_in(value: Any, findings: Findings) -> dict[str, Placed[Any]]:
    """Return every destination in the file (path, raw value) by slug; an issue if there is none."""
    path, found = _unwrapped(value)
    placed: dict[str, Placed[Any]] = {}
    for place, key, item in _candidates(found, path):
        if not _is_destination(item):
            findings.issue(place, f"should be a destination with actions but is {json_type(item)}")
            continue
        slug = item.get("slug", key)
        if not isinstance(slug, str) or not slug:
            findings.issue(place, "lacks 'slug', which names the destination")
        elif slug in placed:
            findings.issue(place, f"is another destination called {slug!r}: keep one")
        else:
            placed[slug] = Placed(place, item)
    if not placed and not findings.issues:
        findings.issue(path, _EXPECTED)
    return placed


def _candidates(found: Any, path: str) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (path, key or None, value) of everything that should be a destination."""
    if _is_destination(found):
        yield path, None, found
    elif isinstance(found, dict) and any(map(_is_destination, found.values())):
        for key, item in found.items():
            yield path + pointer(key), key, item
    elif isinstance(found, list):
        for index, item in enumerate(found):
            yield f"{path}/{index}", None, item


def subscriptions_in(value: Any) -> list[Placed[Any]] | None:
    """Return the subscriptions in the file with their paths; None if it holds something else."""
    path, found = _unwrapped(value)
    if isinstance(found, dict) and any(key in found for key in _ACTION_KEYS):
        return [Placed(path, found)]
    if not isinstance(found, list) or not found:
        return None
    is_list = any(isinstance(item, dict) and set(_ACTION_KEYS) & set(item) for item in found)
    if not is_list:
        return None
    return [Placed(f"{path}/{index}", item) for index, item in enumerate(found)]


def filters_in(value: Any) -> list[Placed[Any]] | None:
    """Return the filters in the file with their paths; None if it holds something else."""
    path, found = _content(value)
    if isinstance(found, dict) and isinstance(found.get("filters"), list):
        path, found = f"{path}/filters", found["filters"]
    elif isinstance(found, dict) and isinstance(found.get("filter"), dict):
        path, found = f"{path}/filter", found["filter"]
    if isinstance(found, dict) and "if" in found:
        return [Placed(path, found)]
    is_list = isinstance(found, list) and any(
        isinstance(one, dict) and "if" in one for one in found
    )
    return [Placed(f"{path}/{at}", one) for at, one in enumerate(found)] if is_list else None


def next_page_of(value: Any) -> str | None:
    """Return what the Public API calls its next page of a list; None if there is none."""
    pages = value["data"].get("pagination") if _is_answer(value) else None
    following = pages.get("next") if isinstance(pages, dict) else None
    return following if isinstance(following, str) and following else None
