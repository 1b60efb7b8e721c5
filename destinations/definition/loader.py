"""Read a destination's folder and report every issue with file and line.

A folder holds ``destination.yaml`` and one file for each action, named after its slug. JSON files
(``.json``) are read as well. A file is an action if it has the key ``perform``, two other keys of
actions (also mistyped ones), or their schema as its ``$schema``; others, such as events and
settings to try it with, are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources.abc import Traversable

from destinations.definition.build import build_action, build_destination
from destinations.definition.check import check_action, check_destination, warnings
from destinations.definition.document import Document, read_document
from destinations.definition.model import DestinationDefinition
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, did_you_mean

__all__ = ["check_folder", "is_definition", "load_definition", "other_files"]

_STEM = "destination"
_OF_ACTION = ("slug", "fields", "perform", "defaultSubscription", "unmapped", "touches")
_SCHEMA_OF_ACTION = "action.schema.json"
_KEY_OF_ACTION = re.compile(
    r'^(?:perform|fields)\s*:|"perform"\s*:|^\$schema\s*:.*/action\.schema\.json', re.MULTILINE
)
_ENDINGS = (".yaml", ".yml", ".json")


def is_definition(folder: Traversable) -> bool:
    """Return whether a folder holds a ``destination.yaml`` (or ``.yml``, ``.json``)."""
    return any(folder.joinpath(_STEM + ending).is_file() for ending in _ENDINGS)


def load_definition(folder: Traversable) -> DestinationDefinition:
    """Load the definition in ``folder``; raises `DefinitionError` with every issue.

    Issues that do no harm do not raise; they are the definition's ``warnings``.
    """
    issues, definition = _load(folder)
    if definition is None:
        raise DefinitionError(issues)
    return definition


def check_folder(folder: Traversable) -> tuple[Issue, ...]:
    """Return every issue in the definition in ``folder``, warnings included; empty if none."""
    issues, definition = _load(folder)
    return issues if definition is None else (*issues, *definition.warnings)


def _load(folder: Traversable) -> tuple[tuple[Issue, ...], DestinationDefinition | None]:
    documents, issues = _read_folder(folder)
    for stem, document in documents.items():
        issues += schema_issues(document, _STEM if stem == _STEM else "action")
    if _STEM not in documents and not issues:
        issues.append(Issue("there is no destination.yaml in this folder", file=str(folder)))
    if issues:  # references can only be checked in documents of the right shape
        return tuple(issues), None
    destination = documents.pop(_STEM)
    issues += _names(destination, folder.name, documents)
    issues += check_destination(destination, documents)
    for document in documents.values():
        issues += check_action(document, destination.data["requests"])
    if issues:
        return tuple(issues), None
    actions = {stem: build_action(document.data) for stem, document in documents.items()}
    definition = build_destination(destination.data, actions)
    return (), replace(definition, warnings=tuple(warnings(destination, documents)))


def other_files(folder: Traversable) -> dict[str, str]:
    """Return why YAML and JSON files in ``folder`` are not read as actions, by their names."""
    documents = _documents(folder) if folder.is_dir() else ()
    return {name: document for name, document in documents if isinstance(document, str)}


def _read_folder(folder: Traversable) -> tuple[dict[str, Document], list[Issue]]:
    documents: dict[str, Document] = {}
    issues: list[Issue] = []
    if not folder.is_dir():
        return documents, [Issue("there is no such folder", file=str(folder))]
    for name, document in _documents(folder):
        stem = name.rpartition(".")[0]
        if isinstance(document, DefinitionError):
            issues += document.issues
        elif isinstance(document, Document):
            if stem in documents:
                issue = Issue(
                    f"{documents[stem].name} has the same name; keep one", file=document.name
                )
                issues.append(issue)
            documents[stem] = document
    return documents, issues


def _documents(folder: Traversable) -> Iterator[tuple[str, Document | DefinitionError | str]]:
    """Yield (name, document) for each YAML or JSON file, or why it is not taken for an action.

    The error stands in place of a document that cannot be read and seems to be one of a definition.
    """
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        stem, dot, ending = file.name.rpartition(".")
        if dot + ending not in _ENDINGS or not file.is_file():
            continue
        text = ""
        try:
            text = file.read_text(encoding="utf-8")
            document = read_document(text, name=str(file))
        except UnicodeDecodeError as error:
            issue = Issue(f"is not UTF-8: {error.reason}", file=str(file))
            is_meant = stem == _STEM or _seems_action(error.object.decode("latin-1"))
            yield file.name, DefinitionError([issue]) if is_meant else issue.message
        except DefinitionError as error:
            is_meant = stem == _STEM or _seems_action(text)
            yield file.name, error if is_meant else _in_a_line(error.issues[0])
        else:
            is_meant = stem == _STEM or _is_action(document.data)
            yield file.name, document if is_meant else "it lacks the key perform of an action"


def _in_a_line(issue: Issue) -> str:
    """Return an issue without its file, which is named before it."""
    return str(replace(issue, file=None, line=None)) + (f" (line {issue.line})" * bool(issue.line))


def _seems_action(text: str) -> bool:
    return _KEY_OF_ACTION.search(text) is not None


def _is_action(data: object) -> bool:
    """Return whether a document is meant as an action, though its keys may be mistyped."""
    if not isinstance(data, dict):
        return False
    if "perform" in data or str(data.get("$schema")).endswith(_SCHEMA_OF_ACTION):
        return True
    meant = {name for name in _OF_ACTION if name in data or any(map(_means(name), data))}
    return len(meant) > 1


def _means(name: str) -> Callable[[str], bool]:
    """Return whether a key is probably a mistyped ``name``."""
    return lambda key: bool(did_you_mean(key, [name]))


def _names(destination: Document, folder: str, actions: dict[str, Document]) -> Iterator[Issue]:
    """Yield the slugs that differ from the name of their file or folder."""
    if folder and destination.data["slug"] != folder:
        yield destination.issue(
            "/slug", f"must be the name of the folder, {folder!r}, not {destination.data['slug']!r}"
        )
    for stem, document in actions.items():
        if document.data["slug"] != stem:
            yield document.issue(
                "/slug", f"must be the name of the file, {stem!r}, not {document.data['slug']!r}"
            )
    if not actions:
        yield destination.issue("", "the folder holds no action; add one file for each")
