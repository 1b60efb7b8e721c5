"""Read a destination's folder and report every fault with file and line.

A folder holds ``destination.yaml`` and one file for each action, named after its slug. JSON files
(``.json``) are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources.abc import Traversable

from destinations.definition.build import build_action, build_destination
from destinations.definition.check import address_warnings, check_action, check_destination
from destinations.definition.document import Document, read_document
from destinations.definition.model import DestinationDefinition
from destinations.definition.schema_faults import schema_faults
from destinations.errors import DefinitionError, Fault

__all__ = ["check_folder", "is_definition", "load_definition"]

_STEM = "destination"
_ENDINGS = (".yaml", ".yml", ".json")


def is_definition(folder: Traversable) -> bool:
    """Tell whether a folder holds a ``destination.yaml`` (or ``.yml``, ``.json``)."""
    return any(folder.joinpath(_STEM + ending).is_file() for ending in _ENDINGS)


def load_definition(folder: Traversable) -> DestinationDefinition:
    """Load the definition in ``folder``; raises `DefinitionError` with every fault.

    Faults that do no harm do not raise; they are the definition's ``warnings``.
    """
    faults, definition = _load(folder)
    if definition is None:
        raise DefinitionError(faults)
    return definition


def check_folder(folder: Traversable) -> tuple[Fault, ...]:
    """Return every fault of the definition in ``folder``, warnings included; empty if none."""
    faults, definition = _load(folder)
    return faults if definition is None else (*faults, *definition.warnings)


def _load(folder: Traversable) -> tuple[tuple[Fault, ...], DestinationDefinition | None]:
    documents, faults = _read_folder(folder)
    for stem, document in documents.items():
        faults += schema_faults(document, _STEM if stem == _STEM else "action")
    if _STEM not in documents and not faults:
        faults.append(Fault("there is no destination.yaml in this folder", file=str(folder)))
    if faults:  # references can only be checked in documents of the right shape
        return tuple(faults), None
    destination = documents.pop(_STEM)
    faults += _names(destination, folder.name, documents)
    faults += check_destination(destination, documents)
    for document in documents.values():
        faults += check_action(document, destination.data["requests"])
    if faults:
        return tuple(faults), None
    actions = {stem: build_action(document.data) for stem, document in documents.items()}
    definition = build_destination(destination.data, actions)
    return (), replace(definition, warnings=tuple(address_warnings(destination)))


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
    """Yield the slugs that differ from the name of their file or folder."""
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
