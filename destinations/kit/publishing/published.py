"""Read the ``metadata.json`` of a destination that is live at Segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.segment.json_pointer import pointer

__all__ = ["Published", "read_published"]

_MAX_BYTES: Final = 20_000_000
_SHAPES: Final[Mapping[str, tuple[type[Any], str]]] = {
    "slug": (str, "text"),
    "name": (str, "text"),
    "actions": (dict, "an object"),
    "presets": (list, "an array"),
}
_OF_FIELDS: Final[Mapping[str, tuple[type[Any] | tuple[type[Any], ...], str]]] = {
    "minimum": ((int, float), "a number"),
    "maximum": ((int, float), "a number"),
    "format": (str, "text"),
    "properties": (dict, "an object"),
}
_OF_PRESETS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "partnerAction": (str, "text"),
    "subscribe": (str, "text"),
}
"""What is compared of a field and of a preset, as far as it is there."""


@dataclass(frozen=True, slots=True)
class Published:
    """The file of a live destination at ``path``, and the one that would take its place."""

    path: Path
    live: Mapping[str, Any]
    exported: Mapping[str, Any]


def read_published(path: Path) -> Mapping[str, Any]:
    """Return the content of a ``metadata.json``.

    Raises `UsageError` if it cannot be read, and `DefinitionError` with the place of what is not as
    in such a file.
    """
    try:
        content = read_input(path, limit=_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path} has more than {_MAX_BYTES // 1_000_000} MB")
        text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason}") from None
    document = read_document(text, name=str(path))
    data = document.data
    if not isinstance(data, Mapping):
        raise DefinitionError([document.issue("", "must be an object, as in a metadata.json")])
    missing = [key for key in _SHAPES if key not in data]
    if missing:
        message = (
            f"is not a metadata.json of Segment's repository: it lacks {', '.join(missing)};"
            " take the file from the destination's own folder there"
        )
        raise DefinitionError([document.issue("", message)])
    issues = [
        document.issue(f"/{key}", f"must be {called}")
        for key, (kind, called) in _SHAPES.items()
        if not isinstance(data[key], kind)
    ]
    issues += list(_shape_issues(document) if not issues else ())
    if issues:
        raise DefinitionError(issues)
    return data


def _shape_issues(document: Document) -> list[Issue]:
    found: list[Issue] = []
    data = document.data
    for slug, action in data["actions"].items():
        fields = action.get("fields") if isinstance(action, Mapping) else None
        place = pointer("actions", slug)
        if isinstance(fields, Mapping):
            found += _field_issues(document, place + "/fields", fields)
        else:
            found.append(document.issue(place, "must be an action with fields"))
    authentication = data.get("authentication") or {}
    settings = authentication.get("fields", {}) if isinstance(authentication, Mapping) else None
    if isinstance(settings, Mapping):
        found += _field_issues(document, "/authentication/fields", settings)
    else:
        found.append(document.issue("/authentication", "must be an object with fields, or null"))
    for index, preset in enumerate(data["presets"]):
        if not isinstance(preset, Mapping) or not isinstance(preset.get("name"), str):
            found.append(document.issue(pointer("presets", index), "must be a preset with a name"))
        else:
            found += _member_issues(document, pointer("presets", index), preset, _OF_PRESETS)
    return found


def _member_issues(
    document: Document,
    place: str,
    given: Mapping[str, Any],
    shapes: Mapping[str, tuple[type[Any] | tuple[type[Any], ...], str]],
) -> Iterator[Issue]:
    """Yield the members that are there and of another kind than they have to be."""
    for key, (kind, called) in shapes.items():
        value = given.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            yield document.issue(place + pointer(key), f"must be {called}")


def _field_issues(document: Document, place: str, fields: Mapping[str, Any]) -> Iterator[Issue]:
    for key, field in fields.items():
        own = place + pointer(key)
        if not isinstance(field, Mapping) or not isinstance(field.get("type"), str):
            yield document.issue(own, "must be a field with a type")
            continue
        choices = field.get("choices")
        if choices is not None and not (
            isinstance(choices, list)
            and all(isinstance(one, Mapping) and "value" in one for one in choices)
        ):
            yield document.issue(own, "must have choices with a value each")
        yield from _member_issues(document, own, field, _OF_FIELDS)
        if isinstance(field.get("properties"), Mapping):
            yield from _field_issues(document, own + "/properties", field["properties"])
