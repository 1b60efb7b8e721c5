"""Read a destination's folder and report every issue with file and line.

A folder holds ``destination.yaml`` and one file for each action, named after its slug. JSON files
(``.json``) are read as well. A file is an action if it has the key ``perform``, two other keys of
actions (also mistyped ones), or their schema as its ``$schema``; others, such as events and
settings to try it with, are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources.abc import Traversable
from typing import Self, TypeAlias

from destinations.definition.build import build_action, build_destination
from destinations.definition.checks.actions import check_action
from destinations.definition.checks.destination import check_destination, warnings
from destinations.definition.checks.schemas import broken_schemas
from destinations.definition.checks.usage import usage_issues
from destinations.definition.checks.windows import window_issues
from destinations.definition.document import Document, read_document
from destinations.definition.model import DestinationDefinition
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, did_you_mean

__all__ = ["DefinitionFiles", "check_folder", "is_definition", "load_definition", "other_files"]

_STEM = "destination"
_OF_ACTION = ("slug", "fields", "perform", "defaultSubscription", "unmapped", "touches")
_SCHEMA_OF_ACTION = "action.schema.json"
_KEY_OF_ACTION = re.compile(
    r'^(?:perform|fields)\s*:|"perform"\s*:|^\$schema\s*:.*/action\.schema\.json', re.MULTILINE
)
_ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class DefinitionFiles:
    """The files of a folder, as they were read; ``name`` and ``path`` are those of the folder."""

    name: str
    path: str
    files: tuple[_File, ...]

    @classmethod
    def read(cls, folder: Traversable) -> Self:
        """Read the YAML and JSON files of a folder; there are none if there is no such folder."""
        return cls(folder.name, str(folder), tuple(_files(folder)) if folder.is_dir() else ())

    @classmethod
    def of_contents(cls, name: str, path: str, contents: Mapping[str, str]) -> Self:
        """Return files by their names and contents, as `contents` gives them."""
        files = (
            _File(file.rpartition(".")[0], file, f"{path}/{file}", text.encode())
            for file, text in contents.items()
        )
        return cls(name, path, tuple(files))

    @property
    def contents(self) -> Mapping[str, str]:
        """The text of each file by its name; only what can be loaded has one."""
        return {file.name: file.content.decode() for file in self.files}

    def load(self) -> DestinationDefinition:
        """Load the definition; raises `DefinitionError` with every issue.

        Issues that do no harm do not raise; they are the definition's ``warnings``.
        """
        issues, definition = _load_files(self.name, self.path, self.files)
        if definition is None:
            raise DefinitionError(issues)
        return definition


@dataclass(frozen=True, slots=True)
class _File:
    """A YAML or JSON file; ``stem`` is its ``name`` without the ending."""

    stem: str
    name: str
    path: str
    content: bytes

    @property
    def is_destination(self) -> bool:
        return self.stem == _STEM


_Loaded: TypeAlias = tuple[tuple[Issue, ...], DestinationDefinition | None]


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


def _load(folder: Traversable) -> _Loaded:
    if not folder.is_dir():
        return (Issue("there is no such folder", file=str(folder)),), None
    return _load_files(folder.name, str(folder), tuple(_files(folder)))


@lru_cache(maxsize=8)
def _load_files(name: str, path: str, files: tuple[_File, ...]) -> _Loaded:
    """Load the definition in a folder, or return what was loaded from the same contents.

    A server has many connections to one definition, and binds them all at each reload. The files
    are read each time; what they say is worked out once. Definitions cannot be changed.
    """
    documents, issues = _parsed(files)
    for stem, document in documents.items():
        of_shape = list(schema_issues(document, _STEM if stem == _STEM else "action"))
        issues += of_shape or broken_schemas(document)
    if _STEM not in documents and not issues:
        issues.append(Issue("there is no destination.yaml in this folder", file=path))
    if issues:  # references can only be checked in documents of the right shape
        return tuple(issues), None
    destination = documents.pop(_STEM)
    issues += _names(destination, name, documents)
    issues += check_destination(destination, documents)
    for document in documents.values():
        issues += check_action(document, destination.data["requests"])
        issues += usage_issues(document, destination.data)
        issues += window_issues(document, destination)
    if issues:
        return tuple(issues), None
    settings = destination.data["settings"]["properties"]
    actions = {stem: build_action(document.data, settings) for stem, document in documents.items()}
    definition = build_destination(destination.data, actions)
    return (), replace(definition, warnings=tuple(warnings(destination, documents)))


def other_files(folder: Traversable) -> dict[str, str]:
    """Return why YAML and JSON files in ``folder`` are not read as actions, by their names."""
    files = _files(folder) if folder.is_dir() else ()
    read = [(file.name, _document(file)) for file in files]
    return {name: document for name, document in read if isinstance(document, str)}


def _files(folder: Traversable) -> Iterator[_File]:
    """Yield the YAML and JSON files of ``folder``, by name."""
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        stem, dot, ending = file.name.rpartition(".")
        if dot + ending in _ENDINGS and file.is_file():
            yield _File(stem, file.name, str(file), file.read_bytes())


def _parsed(files: Iterable[_File]) -> tuple[dict[str, Document], list[Issue]]:
    """Return the documents of a definition by their stems, and what cannot be read of it."""
    documents: dict[str, Document] = {}
    issues: list[Issue] = []
    for file in files:
        document = _document(file)
        if isinstance(document, DefinitionError):
            issues += document.issues
        elif isinstance(document, Document):
            if file.stem in documents:
                message = f"{documents[file.stem].name} has the same name; keep one"
                issues.append(Issue(message, file=document.name))
            documents[file.stem] = document
    return documents, issues


def _document(file: _File) -> Document | DefinitionError | str:
    """Return a file's document, or why it is not taken for an action.

    The error stands in place of a document that cannot be read and seems to be one of a definition.
    """
    text = ""
    try:
        text = file.content.decode()
        document = read_document(text, name=file.path)
    except UnicodeDecodeError as error:
        issue = Issue(f"is not UTF-8: {error.reason}", file=file.path)
        is_meant = file.is_destination or _seems_action(file.content.decode("latin-1"))
        return DefinitionError([issue]) if is_meant else issue.message
    except DefinitionError as error:
        is_meant = file.is_destination or _seems_action(text)
        return error if is_meant else _in_a_line(error.issues[0])
    is_meant = file.is_destination or _is_action(document.data)
    return document if is_meant else "it lacks the key perform of an action"


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
