"""Update a case whose replay differs: its requests and outcomes change, the answers stay."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from destinations.definition.document import read_document
from destinations.errors import DestinationsError, UsageError
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    ExpectedOutcome,
    Interaction,
    RecordedRequest,
)
from destinations.kit.testing.case_reading import build_case
from destinations.kit.testing.case_usage import answered, differing
from destinations.kit.testing.case_writing import asked_data, expectation_data
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.rerunning import expectation_of, rerun
from destinations.kit.testing.sequence import Delivered
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.yaml_edits import edited
from destinations.outcome import Outcome, State
from destinations.segment.javascript.equality import equal
from destinations.whole_files import replace_file

__all__ = ["CaseUpdate", "update_of"]


@dataclass(frozen=True, slots=True)
class CaseUpdate:
    r"""The text of a case file, and the one that it would have.

    ``losses`` has a line for each event that was delivered and no longer would be. Lines of both
    texts end with ``\n``, and those of the file with ``line_ending``.
    """

    case: Case
    path: Path
    old: str
    new: str
    losses: tuple[str, ...]
    line_ending: str = "\n"

    @property
    def difference(self) -> str:
        """The difference of both texts, as a unified diff."""
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True),
            self.new.splitlines(keepends=True),
            fromfile=str(self.path),
            tofile=f"{self.path} (updated)",
        )
        return "".join(lines)

    def write(self) -> None:
        """Write the new text; raises `UsageError` if the file cannot be written."""
        try:
            replace_file(self.path, self.new.replace("\n", self.line_ending).encode())
        except OSError as error:
            msg = f"cannot write {self.path}: {error.strerror}"
            raise UsageError(msg) from None


def update_of(subject: Subject, case: Case, path: Path) -> CaseUpdate:
    """Return the update of a case that is in the file ``path``.

    The recorded answers are given to today's requests, in their order. Raises `UsageError` if they
    do not suffice, or if the result would not replay.
    """
    cannot = f"the case {case.name} cannot be updated, so record it again"
    try:
        interactions, rows, counted = rerun(
            subject,
            case.settings,
            case.events,
            [item.result for item in case.interactions],
            case.clock,
            presets=case.subscriptions,
            served=case.served,
            times=[item.at for item in case.interactions],
            usage=case.usage,
            beyond=f"{cannot}: it has no answer to a further request",
        )
    except DestinationsError:
        raise
    except Exception as error:  # code of a plugin that gets answers to other requests
        raise UsageError(f"{cannot}: {type(error).__name__}: {error}") from error
    content = path.read_bytes().decode()
    line_ending = "\r\n" if "\r\n" in content else "\n"
    old = content.replace("\r\n", "\n")
    data = copy.deepcopy(read_document(old, name=str(path)).data)
    data["interactions"] = [
        {**before, "request": _request(before["request"], now)}
        for before, now in zip(data["interactions"], interactions, strict=False)
    ]
    pairs = _paired(case.expected, rows)
    data["expected"] = [
        expectation_data(now) if place is None else _expected(data["expected"][place], case, now)
        for place, now in pairs
    ]
    if case.usage:
        data["usage"] = [
            _asked(before, asked_data(answered(asked, got)))
            for before, asked, got in zip(data["usage"], case.usage, counted, strict=True)
        ]
    new = edited(old, data)
    again = build_case(read_document(new, name=str(path)), case.name, subject.definition)
    report = replay(subject, again)
    if not report.passed:
        raise UsageError(f"{cannot}: it would not replay: {report.differences[0]}")
    return CaseUpdate(again, path, old, new, tuple(_losses(case, pairs)), line_ending)


def _request(before: Mapping[str, Any], now: Interaction) -> dict[str, Any]:
    """Return a request of the file with what is sent now; only its own headers are compared."""
    request = now.request
    found = {**before, "method": request.method, "url": request.url}
    if "headers" in before:
        sent = {name.lower(): value for name, value in request.headers.items()}
        found["headers"] = {
            name: sent[name.lower()] for name in before["headers"] if name.lower() in sent
        }
    if _same_body(before, request):
        return found
    found.pop("json", None)
    found.pop("body", None)
    if request.json is not ABSENT:
        found["json"] = _merged(before.get("json", ABSENT), request.json)
    elif request.body is not None:
        found["body"] = request.body
    return found


def _asked(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return a question of the file with what comes of it now."""
    found = {key: value for key, value in before.items() if key in now}
    return {**found, **{key: now[key] for key in ("shown", "error") if key in now}}


def _same_body(before: Mapping[str, Any], request: RecordedRequest) -> bool:
    value: Any = before.get("json", ABSENT)
    absent = (value is ABSENT, request.json is ABSENT)
    same = all(absent) or (not any(absent) and equal(value, request.json))
    return same and before.get("body") == request.body


def _merged(before: Any, now: Any) -> Any:
    """Return the value of now, with keys in the order of the file and equal numbers as in it."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*(key for key in before if key in now), *(key for key in now if key not in before)]
        return {key: _merged(before.get(key, ABSENT), now[key]) for key in keys}
    if isinstance(before, list) and isinstance(now, list):
        rest: list[Any] = [ABSENT] * len(now)
        return [_merged(one, other) for one, other in zip([*before, *rest], now, strict=False)]
    return before if before is not ABSENT and equal(before, now) else now


def _paired(
    expected: Sequence[ExpectedOutcome], rows: Sequence[Delivered]
) -> list[tuple[int | None, ExpectedOutcome]]:
    """Return each outcome of now with its place in the file, None for a new one.

    Those that the file has come first, in its order.
    """
    left = [(expectation_of(row), row.is_held) for row in rows]
    pairs: list[tuple[int | None, ExpectedOutcome]] = []
    for place, before in enumerate(expected):
        for now, is_held in left:
            if (now.event, now.action) == (before.event, before.action):
                left.remove((now, is_held))
                is_said = is_held and before.outcome is State.HELD
                pairs.append((place, replace(now, outcome=State.HELD) if is_said else now))
                break
    return [*pairs, *((None, now) for now, _ in left)]


def _expected(before: Mapping[str, Any], case: Case, now: ExpectedOutcome) -> dict[str, Any]:
    """Return an outcome of the file as it is now; what it does not compare stays out."""
    was = next(row for row in case.expected if (row.event, row.action) == (now.event, now.action))
    current = expectation_data(now)
    if was.usage is not None and now.usage is not None and "usage" in current:
        changed = differing(was.usage, now.usage)
        kept_now = current["usage"]
        current["usage"] = {
            key: kept_now[key] if key in changed else value
            for key, value in before["usage"].items()
        }
    if was.outcome is not now.outcome:
        shown = {"event", "outcome", "reason", "code"} | before.keys()
        kept = {key: value for key, value in before.items() if key in {"event", "action"}}
        return {**{key: current[key] for key in current if key in shown}, **kept}
    found = dict(before)
    for key in ("reason", "code", "payload", "usage"):
        if key not in before:
            continue
        if key in current:
            found[key] = _merged(before[key], current[key])
        else:
            del found[key]
    return found


def _losses(case: Case, pairs: Sequence[tuple[int | None, ExpectedOutcome]]) -> Iterator[str]:
    for place, now in pairs:
        was = None if place is None else case.expected[place]
        if was is None or was.outcome is not Outcome.DELIVERED or now.outcome is was.outcome:
            continue
        why = f" ({now.reason})" if now.reason else ""
        yield f"event {now.event}, {now.action or 'no action'}: {now.outcome.value}{why}"
    ended = {(now.event, now.action) for _, now in pairs}
    for row in case.expected:
        if row.outcome is Outcome.DELIVERED and (row.event, row.action) not in ended:
            yield f"event {row.event}, {row.action}: no longer reaches this action"
