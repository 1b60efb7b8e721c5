"""Make a definition from Segment's description of a destination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.schema_copies import schema_copies
from destinations.errors import Issue, UsageError
from destinations.kit.importer.action_file import action_schema, action_text
from destinations.kit.importer.destination_file import destination_text
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.library import read_library
from destinations.kit.importer.presets import plan_presets
from destinations.kit.importer.public_api import read_metadata
from destinations.kit.importer.reading import destinations_in, read_json_file, subscriptions_in
from destinations.kit.importer.segment_model import SegmentDestination
from destinations.kit.importer.settings_schema import settings_schema
from destinations.kit.importer.titles import camel_case, numbered, title_of
from destinations.whole_files import files_written

__all__ = ["Imported", "import_segment"]

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ACTION_SLUG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import: the files written in ``folder``, and the definition there.

    ``notes`` say what was not imported unchanged, each with its JSON pointer in Segment's file.
    """

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[Issue, ...]
    definition: DestinationDefinition

    @property
    def pending(self) -> tuple[str, ...]:
        """Return the names of the requests that are still to be written."""
        return self.definition.pending_requests


def import_segment(
    file: Path,
    *,
    destination: str | None = None,
    out: Path | None = None,
    force: bool = False,
) -> Imported:
    """Read a destination from a file of Segment's (JSON, also ``.gz``) and write its definition.

    ``destination`` is the slug to import if the file holds several. ``out`` is the folder, by
    default named after the slug in the current directory; the definition's slug is the folder's
    name. Existing files are only replaced with ``force``; other files stay.

    Raises `UsageError` for a file or folder that cannot be used, and `DefinitionError` with every
    issue in the destination, each with its JSON pointer; then nothing is written.
    """
    findings = Findings(str(file))
    value = read_json_file(file)
    if subscriptions_in(value) is not None:
        msg = f"{file} holds subscriptions: say with --into which definition they are for"
        raise UsageError(msg)
    found = destinations_in(value, findings)
    findings.raise_issues()
    slug = _chosen(list(found), destination, file)
    path, raw = found[slug]
    folder = out if out is not None else Path(slug)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give another --out DIR")
    name = folder.resolve().name
    if not _SLUG.fullmatch(name):
        msg = f"invalid name {name!r}: use lowercase letters, digits and single hyphens"
        raise UsageError(f"{msg}; give --out DIR")
    texts = _files(_read(raw, slug, path, findings), name, findings)
    findings.raise_issues()
    definition = _write(folder, texts, force=force)
    files = tuple(sorted(folder / name for name in texts))
    return Imported(folder, files, tuple(findings.notes), definition)


def _chosen(slugs: list[str], wanted: str | None, file: Path) -> str:
    if wanted is None and len(slugs) == 1:
        return slugs[0]
    if wanted in slugs:
        return wanted
    near = get_close_matches(wanted or "", slugs, _SHOWN, cutoff=0.4)
    shown = ", ".join(near or slugs[:_SHOWN])
    more = "" if near or len(slugs) <= _SHOWN else f", and {len(slugs) - _SHOWN:,} more"
    if wanted is None:
        msg = (
            f"{file} holds {len(slugs):,} destinations: pick one with --destination ({shown}{more})"
        )
    else:
        msg = f"{file} holds no destination {wanted!r}; known: {shown}{more}"
    raise UsageError(msg)


def _read(raw: Mapping[str, Any], slug: str, path: str, findings: Findings) -> SegmentDestination:
    read = read_metadata if isinstance(raw["actions"], list) else read_library
    found = read(raw, slug, path, findings)
    if not found.actions:
        findings.issue(f"{path}/actions", "holds no action that runs on servers")
    taken: set[str] = set()
    for action in found.actions:
        if not _ACTION_SLUG.fullmatch(action.slug):
            message = f"invalid slug {action.slug!r}: use letters, digits, - and _, a letter first"
            findings.issue(action.path, message)
        # Files are named after slugs, and some file systems ignore case.
        if action.slug.lower() in {"destination", *taken}:
            findings.issue(action.path, f"there is another file called {action.slug}.yaml")
        taken.add(action.slug.lower())
    return found


def _files(destination: SegmentDestination, slug: str, findings: Findings) -> dict[str, str]:
    """Return the texts of the folder's files by name; ``slug`` is the definition's slug."""
    titles = {action.slug: action.name or title_of(action.slug) for action in destination.actions}
    schemas = {action.slug: action_schema(action, findings) for action in destination.actions}
    requests: dict[str, str] = {}
    texts: dict[str, str] = {}
    for action in destination.actions:
        title = titles[action.slug]
        request = numbered(camel_case(action.slug), requests, join="")
        requests[request] = title
        text = action_text(action, title, schemas[action.slug], request, findings)
        texts[f"{action.slug}.yaml"] = text
    defaults = {
        key: {
            name: spec["default"]
            for name, spec in schema["properties"].items()
            if "default" in spec
        }
        for key, schema in schemas.items()
    }
    _note_prose(destination, findings)
    presets = plan_presets(destination.presets, titles, defaults, schemas, findings)
    settings = settings_schema(destination.options, findings)
    main = destination_text(destination, slug, settings, requests, presets, findings)
    return {"destination.yaml": main, **texts, **schema_copies()}


def _note_prose(destination: SegmentDestination, findings: Findings) -> None:
    """Add one note for all missing labels and descriptions: many catalogs have no prose."""
    fields = [field for action in destination.actions for field in action.fields.values()]
    lacking = sum(not (field.get("label") and field.get("description")) for field in fields)
    if lacking:
        message = f"{lacking:,} of {len(fields):,} fields have no label or no description: add them"
        findings.note(destination.path, message)


def _write(folder: Path, texts: Mapping[str, str], *, force: bool) -> DestinationDefinition:
    """Write the files, and return the definition; nothing is written if it is not valid."""
    try:
        if not force and folder.exists() and any(folder.iterdir()):
            msg = f"{folder} exists and is not empty: give another --out DIR, or --force"
            raise UsageError(msg)
        encoded = {name: text.encode("utf-8") for name, text in texts.items()}
        with files_written(folder, encoded):
            # Other files in the folder may not fit the imported ones.
            return load_definition(folder.resolve())
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None
