"""Reads a destination's folder and reports everything that is wrong with it, with file and line.

A folder holds ``destination.yaml`` and one file for each action, named after its slug. JSON files
(``.json``) are read as well.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

import jsonschema

from destinations.definition.build import build_action, build_destination
from destinations.definition.check import check_action, check_destination
from destinations.definition.document import Document, pointer, read_document
from destinations.definition.model import DestinationDefinition
from destinations.errors import DefinitionError, Fault

__all__ = ["check_folder", "is_definition", "load_definition"]

_STEM = "destination"
_ENDINGS = (".yaml", ".yml", ".json")


def is_definition(folder: Traversable) -> bool:
    """Whether a folder holds a ``destination.yaml`` (or ``.yml``, ``.json``)."""
    return any(folder.joinpath(_STEM + ending).is_file() for ending in _ENDINGS)


def load_definition(folder: Traversable) -> DestinationDefinition:
    """The definition in ``folder``; raises `DefinitionError` with every fault."""
    faults, definition = _load(folder)
    if definition is None:
        raise DefinitionError(faults)
    return definition


def check_folder(folder: Traversable) -> tuple[Fault, ...]:
    """Every fault of the definition in ``folder``; empty if it can be used."""
    faults, _ = _load(folder)
    return faults


def _load(folder: Traversable) -> tuple[tuple[Fault, ...], DestinationDefinition | None]:
    documents, faults = _read_folder(folder)
    for stem, document in documents.items():
        faults += _schema_faults(document, _STEM if stem == _STEM else "action")
    if _STEM not in documents and not faults:
        faults.append(Fault("there is no destination.yaml in this folder", file=str(folder)))
    if faults:  # references can only be followed in documents that have the right shape
        return tuple(faults), None
    destination = documents.pop(_STEM)
    faults += _names(destination, folder.name, documents)
    faults += check_destination(destination, documents)
    for document in documents.values():
        faults += check_action(document, destination.data["requests"])
    if faults:
        return tuple(faults), None
    actions = {stem: build_action(document.data) for stem, document in documents.items()}
    return (), build_destination(destination.data, actions)


def _read_folder(folder: Traversable) -> tuple[dict[str, Document], list[Fault]]:
    documents: dict[str, Document] = {}
    faults: list[Fault] = []
    if not folder.is_dir():
        return documents, [Fault("there is no such folder", file=str(folder))]
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        stem, dot, ending = file.name.rpartition(".")
        if dot + ending not in _ENDINGS or not file.is_file():
            continue
        try:
            document = read_document(file.read_text(encoding="utf-8"), name=str(file))
        except UnicodeDecodeError as error:
            faults.append(Fault(f"is not UTF-8: {error.reason}", file=str(file)))
        except DefinitionError as error:
            faults += error.faults
        else:
            if stem in documents:
                faults.append(
                    Fault(f"{documents[stem].name} has the same name; keep one", file=str(file))
                )
            documents[stem] = document
    return documents, faults


def _names(destination: Document, folder: str, actions: dict[str, Document]) -> Iterator[Fault]:
    """Slugs are what files and folders are called, so that each is found where it is expected."""
    if folder and destination.data["slug"] != folder:
        yield destination.fault(
            "/slug", f"must be the name of the folder, {folder!r}, not {destination.data['slug']!r}"
        )
    for stem, document in actions.items():
        if document.data["slug"] != stem:
            yield document.fault(
                "/slug", f"must be the name of the file, {stem!r}, not {document.data['slug']!r}"
            )
    if not actions:
        yield destination.fault("", "the folder holds no action; add one file for each")


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schemas = importlib.resources.files("destinations") / "schemas"
    schema = json.loads((schemas / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def _schema_faults(document: Document, kind: str) -> Iterator[Fault]:
    errors = sorted(
        _validator(kind).iter_errors(document.data), key=lambda error: list(map(str, error.path))
    )
    reported: set[str] = set()
    for error in errors:
        place = pointer(*error.absolute_path)
        if error.validator == "required":  # one error for each key, and one fault for all of them
            if place in reported:
                continue
            reported.add(place)
        if error.validator == "additionalProperties":
            yield from _unknown_keys(document, place, error)
        else:
            yield document.fault(place, _words(error))


def _unknown_keys(
    document: Document, place: str, error: jsonschema.ValidationError
) -> Iterator[Fault]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = schema.get("properties", {})
    for key in instance:
        if key not in known:
            yield document.fault(
                place + pointer(key), f"is not a key here; known are: {', '.join(known) or 'none'}"
            )


def _words(error: jsonschema.ValidationError) -> str:
    """A message that says what would be right, without repeating a whole value."""
    expected: Any = error.validator_value
    match error.validator:
        case "required":
            given: Any = error.instance
            missing = [key for key in expected if key not in given]
            return f"lacks {', '.join(map(repr, missing))}"
        case "type":
            return f"must be {expected if isinstance(expected, str) else ' or '.join(expected)}"
        case "enum":
            return f"must be one of {', '.join(map(str, expected))}, not {error.instance!r}"
        case "const":
            return f"must be {expected!r}, not {error.instance!r}"
        case "pattern":
            return f"{error.instance!r} does not have the form {expected}"
        case "format":
            return f"{error.instance!r} is not a valid {expected}"
        case "oneOf":
            ways = [" and ".join(way.get("required", ())) for way in expected]
            return f"must have exactly one of: {' | '.join(ways)}"
        case "minLength" | "minItems" | "minProperties":
            return "must not be empty"
    return error.message
