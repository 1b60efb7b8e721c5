"""Add Segment's subscriptions to an existing definition, as presets.

The file keeps its comments and layout; the new presets follow the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.checks.subscriptions import preset_issues
from destinations.definition.document import Document, read_document
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, UsageError, unknown_name
from destinations.kit.importer.destination_file import preset_text
from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.presets import PlannedPreset, plan_presets
from destinations.kit.importer.reading import read_json_file, subscriptions_in
from destinations.kit.importer.segment import Imported
from destinations.kit.importer.subscriptions import read_preset
from destinations.whole_files import files_written

__all__ = ["import_subscriptions"]

_FILES = ("destination.yaml", "destination.yml")


def import_subscriptions(file: Path, folder: Path) -> Imported:
    """Read subscriptions from a file of Segment's and add them to the definition in ``folder``.

    Subscriptions that cannot be used (disabled ones, for instance) are noted and not added.

    Raises `UsageError` if a file cannot be used, and `DefinitionError` with every issue in the
    definition or the subscriptions; then nothing is written.
    """
    findings = Findings(str(file))
    found = subscriptions_in(read_json_file(file))
    if found is None:
        raise UsageError(f"{file} holds no subscriptions: --into adds nothing else")
    definition = load_definition(folder.resolve())
    presets = []
    for path, raw in found:
        if not isinstance(raw, dict):
            findings.issue(path, f"should be a subscription, an object, but is {json_type(raw)}")
            continue
        preset = read_preset(raw, path, {}, findings)
        if preset is not None:
            presets.append(preset)
    actions = definition.event_actions
    if presets and not any(preset.action in actions for preset in presets):
        # Not the subscriptions of this destination.
        for preset in presets:
            findings.issue(preset.path, unknown_name("action", preset.action, actions))
        presets = []
    titles = {slug: action.title for slug, action in actions.items()}
    defaults = {slug: action.default_mapping for slug, action in actions.items()}
    fields = {slug: action.fields for slug, action in actions.items()}
    planned = plan_presets(presets, titles, defaults, fields, findings)
    findings.raise_issues()
    target = _target(folder)
    added = [preset for preset in planned if preset.aside is None]
    if added:
        definition = _add(folder, target, added, sorted(actions))
    files = (target,) if added else ()
    return Imported(folder, files, tuple(findings.notes), definition)


def _target(folder: Path) -> Path:
    for name in _FILES:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} holds no destination.yaml: presets are only added to YAML")


def _add(
    folder: Path, target: Path, presets: Sequence[PlannedPreset], actions: Sequence[str]
) -> DestinationDefinition:
    """Write the presets, and return the definition; nothing is written if it is not valid."""
    try:
        text = target.read_text(encoding="utf-8")
        before = read_document(text, name=str(target))
        after = _with(text, before, presets)
        entries = [dict(preset.entry) for preset in presets]
        _check(after, before, entries, actions)
        with files_written(folder, {target.name: after.encode()}):
            return load_definition(folder.resolve())
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None


def _with(text: str, document: Document, presets: Sequence[PlannedPreset]) -> str:
    """Return ``text`` with items added to its ``presets``, or with that list added at its end."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    start = document.lines.get("/presets")
    if start is None:
        return "".join([*lines, "\npresets:\n", *map(preset_text, presets)])
    if not document.data["presets"] or document.lines["/presets/0"] == start:
        message = "stands on one line: write it as a block, with one item after each -"
        raise DefinitionError([document.issue("/presets", message)])
    indent = _indent(lines[document.lines["/presets/0"] - 1])
    later = [at for key, at in document.lines.items() if key.count("/") == 1 and at > start]
    end = min(later, default=len(lines) + 1) - 1
    # Lines between the last item and the next key belong to that key.
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    items = [preset_text(preset, indent=indent) for preset in presets]
    return "".join([*lines[:end], *items, *lines[end:]])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _check(text: str, before: Document, entries: list[Any], actions: Sequence[str]) -> None:
    """Raise `DefinitionError` unless ``text`` is the definition with these presets added."""
    after = read_document(text, name=before.name)
    issues = list(schema_issues(after, "destination"))
    issues += preset_issues(after, "/presets", after.data.get("presets", ()), actions)
    expected = {**before.data, "presets": [*before.data.get("presets", ()), *entries]}
    if not issues and after.data != expected:
        issues.append(Issue("could not be extended: write presets as a block", file=before.name))
    if issues:
        raise DefinitionError(issues)
