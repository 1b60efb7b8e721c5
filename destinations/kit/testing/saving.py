"""Save a new case next to its definition, provided that it replays and holds no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from destinations.definition.document import read_document
from destinations.definition.schema_copies import FOLDER
from destinations.errors import UsageError
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import build_case
from destinations.kit.testing.case_writing import case_text
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject
from destinations.secrets import Masker
from destinations.whole_files import folder_made, make_file

__all__ = ["case_path", "save_case"]

_COPY: Final = f"{FOLDER}/case.schema.json"
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def case_path(folder: Path, name: str) -> Path:
    """Return the path for the case NAME; raises `UsageError` if it is invalid or exists."""
    if not _NAME.fullmatch(name):
        msg = f"invalid name {name!r}: use lowercase letters, digits and single hyphens"
        raise UsageError(msg)
    path = folder / f"{name}.yaml"
    if path.exists():
        msg = f"{path} exists; give the case another name, or remove it first"
        raise UsageError(msg)
    return path


def save_case(subject: Subject, case: Case, path: Path, masker: Masker) -> None:
    """Write a new file; ``masker`` knows the secrets of the recording.

    Raises `UsageError`, and writes nothing, if the text contains a secret, if the case does not
    replay, or if the file cannot be written.
    """
    text = case_text(case, schema=_schema_next_to(path))
    if masker.text(text) != text:
        msg = f"the case {case.name} would hold a secret of the settings; nothing was written"
        raise UsageError(msg)
    again = build_case(read_document(text, name=str(path)), case.name, subject.definition)
    report = replay(subject, again)
    if not report.passed:
        lines = "\n".join(f"  {difference}" for difference in report.differences)
        msg = f"the case {case.name} does not replay; nothing was written\n{lines}"
        raise UsageError(msg)
    try:
        with folder_made(path.parent):
            make_file(path, text.encode())
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise UsageError(msg) from None


def _schema_next_to(path: Path) -> str | None:
    """Return the path of the schema, for editors: the copy next to the definition.

    In a checkout of the framework itself, it is the schema's own path. None if there is neither.
    """
    schema = "destinations/definition/schemas/case.schema.json"
    up = path.resolve().parent
    if (up.parent / _COPY).is_file():
        return f"../{_COPY}"
    for level, folder in enumerate([up, *up.parents][:6]):
        if (folder / schema).is_file():
            return "../" * level + schema
    return None
