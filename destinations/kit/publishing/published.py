"""Read the ``metadata.json`` of a destination that is live at Segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.errors import DefinitionError, Issue, UsageError

__all__ = ["Published", "read_published"]

_SHAPES: Final[Mapping[str, tuple[type[Any], str]]] = {
    "slug": (str, "text"),
    "name": (str, "text"),
    "actions": (dict, "an object"),
    "presets": (list, "an array"),
}


@dataclass(frozen=True, slots=True)
class Published:
    """What customers have today: the file of Segment's repository, and the exported one."""

    path: Path
    live: Mapping[str, Any]
    exported: Mapping[str, Any]


def read_published(path: Path) -> Mapping[str, Any]:
    """Return the content of a ``metadata.json``.

    Raises `UsageError` if it cannot be read, and `DefinitionError` with the place of what is not as
    in such a file.
    """
    try:
        text = read_text_input(path)
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
            f"is no metadata.json of Segment's repository: it lacks {', '.join(missing)};"
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
        if not isinstance(fields, Mapping):
            found.append(document.issue(f"/actions/{slug}", "must be an action with fields"))
            continue
        for key, field in fields.items():
            if not isinstance(field, Mapping) or not isinstance(field.get("type"), str):
                place = f"/actions/{slug}/fields/{key}"
                found.append(document.issue(place, "must be a field with a type"))
    authentication = data.get("authentication") or {}
    settings = authentication.get("fields", {}) if isinstance(authentication, Mapping) else None
    if not isinstance(settings, Mapping):
        found.append(document.issue("/authentication", "must be an object with fields, or null"))
    for index, preset in enumerate(data["presets"]):
        if not isinstance(preset, Mapping) or not isinstance(preset.get("name"), str):
            found.append(document.issue(f"/presets/{index}", "must be a preset with a name"))
    return found
