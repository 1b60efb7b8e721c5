"""Read case files, and report every issue with file, line and path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

from destinations._version import __version__
from destinations.definition import DestinationDefinition, PendingDefinition
from destinations.definition.build import build_preset
from destinations.definition.checks.subscriptions import preset_issues
from destinations.definition.document import Document, read_document
from destinations.definition.schema_issues import schema_issues
from destinations.definition.settings import Settings, check_settings
from destinations.durations import shown_duration
from destinations.errors import (
    DefinitionError,
    Issue,
    NewerCaseError,
    SettingsError,
    UsageError,
    unknown_name,
)
from destinations.kit.testing.case import (
    ABSENT,
    AskedUsage,
    Case,
    ExpectedOutcome,
    ExpectedUsage,
    FailureKind,
    Interaction,
    Recorded,
    RecordedRequest,
    RecordedResponse,
    Served,
)
from destinations.kit.testing.case_usage import milliseconds
from destinations.outcome import Outcome, State, Status
from destinations.runtime.amounts import read_amount
from destinations.runtime.usage_questions import iso_time, nearest_times
from destinations.segment.json_pointer import pointer

__all__ = [
    "CASES_FOLDER",
    "ReadCases",
    "build_case",
    "case_files",
    "read_case",
    "read_cases",
    "readable_cases",
]

CASES_FOLDER: Final = "cases"
"""The folder of cases within a definition's folder."""

_ENDINGS: Final = (".yaml", ".yml", ".json")


class ReadCases(NamedTuple):
    """The cases of a folder, and an issue for each that a newer version recorded."""

    cases: list[Case]
    newer: list[Issue]


def case_files(folder: Traversable) -> list[Traversable]:
    """Return the case files in a folder, by name; empty if the folder is missing."""
    if not folder.is_dir():
        return []
    files = [file for file in folder.iterdir() if file.name.endswith(_ENDINGS) and file.is_file()]
    return sorted(files, key=lambda file: file.name)


def read_cases(folder: Traversable, definition: DestinationDefinition) -> list[Case]:
    """Return all cases in a folder; raises `DefinitionError` with every issue in every file."""
    cases, newer, issues = _read(folder, definition)
    if newer or issues:
        raise DefinitionError([*newer, *issues])
    return cases


def readable_cases(folder: Traversable, definition: DestinationDefinition) -> ReadCases:
    """Return the cases in a folder that this version can replay, and issues for the newer ones.

    Raises `DefinitionError` with every other issue in every file.
    """
    cases, newer, issues = _read(folder, definition)
    if issues:
        raise DefinitionError(issues)
    return ReadCases(cases, newer)


def _read(
    folder: Traversable, definition: DestinationDefinition
) -> tuple[list[Case], list[Issue], list[Issue]]:
    """Return the cases, the issues of newer ones, and all other issues."""
    cases: list[Case] = []
    newer: list[Issue] = []
    issues: list[Issue] = []
    for file in case_files(folder):
        try:
            cases.append(read_case(file, definition))
        except NewerCaseError as error:
            newer += error.issues
        except DefinitionError as error:
            issues += error.issues
    return cases, newer, issues


def read_case(file: Traversable, definition: DestinationDefinition) -> Case:
    """Read a case for a definition.

    Raises `DefinitionError` with every issue, and `NewerCaseError` for a case of a newer version.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read the case {file}: {error.strerror}"
        raise UsageError(msg) from None
    except UnicodeDecodeError as error:
        raise DefinitionError([Issue(f"is not UTF-8: {error.reason}", file=str(file))]) from None
    name = file.name.rpartition(".")[0]
    return build_case(read_document(text, name=str(file)), name, definition)


def build_case(document: Document, name: str, definition: DestinationDefinition) -> Case:
    """Return the case that a document holds; raises `DefinitionError` as `read_case` does."""
    _check_version(document)
    issues = list(schema_issues(document, "case"))
    if issues:
        raise DefinitionError(issues)
    data: Mapping[str, Any] = document.data
    settings = _settings(document, definition, issues)
    issues += _clock_issues(document)
    subscriptions = data.get("subscriptions")
    if subscriptions is not None:
        actions = definition.actions
        of_operator = actions.keys() - definition.event_actions.keys()
        issues += preset_issues(document, "/subscriptions", subscriptions, actions, of_operator)
    issues += _expectation_issues(document, definition)
    issues += _usage_issues(document, definition)
    if issues or settings is None:
        raise DefinitionError(issues)
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
        recorded=Recorded(**data["recorded"]) if "recorded" in data else None,
        served=_served(data["served"]) if "served" in data else None,
        usage=tuple(map(_asked, data.get("usage", ()))),
    )


def _served(data: Mapping[str, Any]) -> Served:
    return Served(data.get("deadlineSeconds"), data.get("asks", False))


def _check_version(document: Document) -> None:
    """Raise `NewerCaseError` for a case of a newer version, before its new keys are issues."""
    data = document.data
    recorded = data.get("recorded") if isinstance(data, Mapping) else None
    version = recorded.get("version") if isinstance(recorded, Mapping) else None
    if not isinstance(version, str) or _release(version) <= _release(__version__):
        return
    message = (
        f"recorded by version {version}, but {__version__} is installed: update the package, or "
        "record the case again with the installed version"
    )
    raise NewerCaseError([document.issue("/recorded/version", message)])


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none for text that is not a version."""
    found = _RELEASE.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()


_RELEASE: Final = re.compile(r"\d{1,9}(\.\d{1,9})*")


def _settings(
    document: Document, definition: DestinationDefinition, issues: list[Issue]
) -> Settings | None:
    """Return the settings, checked as for a run; their issues are added to ``issues``."""
    given = document.data["settings"]
    try:
        return check_settings(definition, Document(document.name, given, {}))
    except SettingsError as error:
        issues += [
            document.issue("/settings" + issue.path, issue.message) for issue in error.issues
        ]
        return None


def _clock_issues(document: Document) -> Iterator[Issue]:
    try:
        datetime.fromisoformat(document.data["clock"])
    except ValueError:
        yield document.issue("/clock", f"{document.data['clock']!r} is not a date and time")


def _expectation_issues(document: Document, definition: DestinationDefinition) -> Iterator[Issue]:
    count = len(document.data["events"])
    for index, row in enumerate(document.data["expected"]):
        if row["event"] > count:
            message = f"unknown event {row['event']}; the case has {count}"
            yield document.issue(pointer("expected", index, "event"), message)
        action = row.get("action")
        if action is not None and action not in definition.all_actions:
            known = ", ".join(sorted(definition.all_actions))
            message = f"unknown action {action!r}; known: {known}"
            yield document.issue(pointer("expected", index, "action"), message)


def _usage_issues(document: Document, definition: DestinationDefinition) -> Iterator[Issue]:
    """Yield the issues in what is kept as usage, and in the questions to the partner."""
    data = document.data
    actions = definition.actions
    asked = [slug for slug, action in actions.items() if action.usage is not None]
    for index, row in enumerate(data["expected"]):
        place = pointer("expected", index, "usage")
        if "usage" not in row:
            continue
        action = row.get("action")
        if action in definition.all_actions and action not in asked:
            yield document.issue(place, f"the action {action} has no usage, so none is kept")
        yield from _time_issues(document, place, row["usage"], ("at",))
        yield from _amount_issues(document, place, row["usage"], "amount")
    if "served" in data and "usage" in data:
        message = "cannot be asked with served: such a case ends with its last request"
        yield document.issue("/usage", message)
    for index, row in enumerate(data.get("usage", ())):
        place = pointer("usage", index)
        if row["action"] not in asked:
            is_known = row["action"] in definition.all_actions
            why = f"the action {row['action']} has no usage, so the partner cannot be asked"
            message = f"{why}; those that have: {', '.join(asked) or 'none'}"
            known = message if is_known else unknown_name("action", row["action"], asked)
            yield document.issue(f"{place}/action", known)
            continue
        yield from _range_issues(document, place, row, definition)
        yield from _amount_issues(document, place, row, "shown")


def _range_issues(
    document: Document, place: str, row: Mapping[str, Any], definition: DestinationDefinition
) -> Iterator[Issue]:
    """Yield why a question cannot be asked: a request that is not written, and its times."""
    usage = definition.actions[row["action"]].usage
    assert usage is not None  # noqa: S101 - it was looked at before
    for step in usage.ask.steps:
        call = definition.requests[step.request].call
        if isinstance(call, PendingDefinition):
            message = f"the request {step.request} is not written yet: {call.missing}"
            yield document.issue(f"{place}/action", message)
    issues = list(_time_issues(document, place, row, ("from", "to")))
    yield from issues
    if issues:
        return
    start, end = (milliseconds(row[key]) for key in ("from", "to"))
    if end <= start:
        yield document.issue(f"{place}/to", f"must be later than from, {row['from']!r}")
    for key, at in (("from", start), ("to", end)):
        nearest = nearest_times(at, usage.ask.aligned)
        if nearest is not None:
            before, after = map(iso_time, nearest)
            message = (
                f"{row[key]!r} cannot be asked for: {definition.name} adds up by"
                f" {shown_duration(usage.ask.aligned or 0)} in UTC; expected {before} or {after}"
            )
            yield document.issue(f"{place}/{key}", message)


def _time_issues(
    document: Document, place: str, row: Mapping[str, Any], keys: Sequence[str]
) -> Iterator[Issue]:
    for key in keys:
        if key not in row:
            continue
        try:
            milliseconds(row[key])
        except (ValueError, OverflowError):
            yield document.issue(f"{place}/{key}", f"{row[key]!r} is not a date and time")


def _amount_issues(
    document: Document, place: str, row: Mapping[str, Any], key: str
) -> Iterator[Issue]:
    value = row.get(key)
    if value is not None and read_amount(value) is None:
        message = f"{value!r} has more digits than any amount that is counted"
        yield document.issue(f"{place}/{key}", message)


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
        return Interaction(recorded, failure, data.get("at"))
    response = data["response"]
    return Interaction(
        recorded,
        RecordedResponse(
            status=response["status"],
            headers=response.get("headers", {}),
            json=response.get("json", ABSENT),
            body=response.get("body"),
        ),
        data.get("at"),
    )


def _expectation(data: Mapping[str, Any]) -> ExpectedOutcome:
    return ExpectedOutcome(
        event=data["event"],
        action=data.get("action"),
        outcome=_status(data["outcome"]),
        reason=data.get("reason"),
        code=data.get("code"),
        payload=data.get("payload", ABSENT),
        usage=ExpectedUsage(**data["usage"]) if "usage" in data else None,
    )


def _asked(data: Mapping[str, Any]) -> AskedUsage:
    return AskedUsage(
        action=data["action"],
        user=data["user"],
        feature=data["feature"],
        start=data["from"],
        end=data["to"],
        shown=data.get("shown", ABSENT),
        error=data.get("error"),
    )


def _status(text: str) -> Status:
    """Return an outcome or a state; ``retrying`` is the former name of ``ready``."""
    if text == "retrying":
        return State.READY
    return Outcome(text) if text in set(Outcome) else State(text)
