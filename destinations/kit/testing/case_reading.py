"""Read case files, and report every fault with file, line and path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.resources.abc import Traversable
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.build import build_preset
from destinations.definition.check import preset_faults
from destinations.definition.document import Document, read_document
from destinations.definition.schema_faults import schema_faults
from destinations.definition.settings import Settings, check_settings
from destinations.errors import DefinitionError, Fault, SettingsError, UsageError
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    ExpectedOutcome,
    FailureKind,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)
from destinations.outcome import Outcome, State, Status
from destinations.segment.json_pointer import pointer

__all__ = ["CASES_FOLDER", "build_case", "case_files", "read_case", "read_cases"]

CASES_FOLDER: Final = "cases"
"""The folder of cases within a definition's folder."""

_ENDINGS: Final = (".yaml", ".yml", ".json")


def case_files(folder: Traversable) -> list[Traversable]:
    """Return the case files in a folder, by name; empty if the folder is missing."""
    if not folder.is_dir():
        return []
    files = [file for file in folder.iterdir() if file.name.endswith(_ENDINGS) and file.is_file()]
    return sorted(files, key=lambda file: file.name)


def read_cases(folder: Traversable, definition: DestinationDefinition) -> list[Case]:
    """Return all cases in a folder; raises `DefinitionError` with every fault of every file."""
    cases: list[Case] = []
    faults: list[Fault] = []
    for file in case_files(folder):
        try:
            cases.append(read_case(file, definition))
        except DefinitionError as error:
            faults += error.faults
    if faults:
        raise DefinitionError(faults)
    return cases


def read_case(file: Traversable, definition: DestinationDefinition) -> Case:
    """Read a case for a definition; raises `DefinitionError` with every fault."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read the case {file}: {error.strerror}"
        raise UsageError(msg) from None
    except UnicodeDecodeError as error:
        raise DefinitionError([Fault(f"is not UTF-8: {error.reason}", file=str(file))]) from None
    name = file.name.rpartition(".")[0]
    return build_case(read_document(text, name=str(file)), name, definition)


def build_case(document: Document, name: str, definition: DestinationDefinition) -> Case:
    """Return the case that a document holds; raises `DefinitionError` with every fault."""
    faults = list(schema_faults(document, "case"))
    if faults:
        raise DefinitionError(faults)
    data: Mapping[str, Any] = document.data
    settings = _settings(document, definition, faults)
    faults += _clock_faults(document)
    subscriptions = data.get("subscriptions")
    if subscriptions is not None:
        actions = definition.actions
        of_operator = actions.keys() - definition.event_actions.keys()
        faults += preset_faults(document, "/subscriptions", subscriptions, actions, of_operator)
    faults += _expectation_faults(document, definition)
    if faults or settings is None:
        raise DefinitionError(faults)
    presets = None
    if subscriptions is not None:
        presets = tuple(build_preset(spec, definition.actions) for spec in subscriptions)
    return Case(
        name=name,
        description=data["description"],
        settings=settings,
        clock=data["clock"],
        events=tuple(data["events"]),
        interactions=tuple(map(_interaction, data["interactions"])),
        expected=tuple(map(_expectation, data["expected"])),
        subscriptions=presets,
    )


def _settings(
    document: Document, definition: DestinationDefinition, faults: list[Fault]
) -> Settings | None:
    """Return the settings, checked as for a run; their faults are added to ``faults``."""
    given = document.data["settings"]
    try:
        return check_settings(definition, Document(document.name, given, {}))
    except SettingsError as error:
        faults += [
            document.fault("/settings" + fault.path, fault.message) for fault in error.faults
        ]
        return None


def _clock_faults(document: Document) -> Iterator[Fault]:
    try:
        datetime.fromisoformat(document.data["clock"])
    except ValueError:
        yield document.fault("/clock", f"{document.data['clock']!r} is not a date and time")


def _expectation_faults(document: Document, definition: DestinationDefinition) -> Iterator[Fault]:
    count = len(document.data["events"])
    for index, row in enumerate(document.data["expected"]):
        if row["event"] > count:
            message = f"unknown event {row['event']}; the case has {count}"
            yield document.fault(pointer("expected", index, "event"), message)
        action = row.get("action")
        if action is not None and action not in definition.actions:
            known = ", ".join(sorted(definition.actions))
            message = f"unknown action {action!r}; known: {known}"
            yield document.fault(pointer("expected", index, "action"), message)


def _interaction(data: Mapping[str, Any]) -> Interaction:
    request = data["request"]
    recorded = RecordedRequest(
        method=request["method"],
        url=request["url"],
        headers=request.get("headers", {}),
        json=request.get("json", ABSENT),
        body=request.get("body"),
    )
    if "failure" in data:
        failure: FailureKind = data["failure"]
        return Interaction(recorded, failure)
    response = data["response"]
    return Interaction(
        recorded,
        RecordedResponse(
            status=response["status"],
            headers=response.get("headers", {}),
            json=response.get("json", ABSENT),
            body=response.get("body"),
        ),
    )


def _expectation(data: Mapping[str, Any]) -> ExpectedOutcome:
    return ExpectedOutcome(
        event=data["event"],
        action=data.get("action"),
        outcome=_status(data["outcome"]),
        reason=data.get("reason"),
        code=data.get("code"),
        payload=data.get("payload", ABSENT),
    )


def _status(text: str) -> Status:
    """Return an outcome or a state; ``retrying`` is the former name of ``ready``."""
    if text == "retrying":
        return State.READY
    return Outcome(text) if text in set(Outcome) else State(text)
