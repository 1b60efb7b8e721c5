"""Prove that exported folders do in Segment's framework what the definitions do here.

The folders are compiled by TypeScript under the settings of Segment's repository, and the recorded
cases run in them. Compared are the requests and the verdicts (by jest, in the folders' own tests),
the payloads that the framework makes of the events, and what it knows of the destination.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from destinations.kit.exporter import Exported, export_segment
from destinations.kit.exporter.case_tests import ALL, TOKEN, CaseDelivery
from destinations.kit.exporter.events import event_fields
from destinations.kit.testing.case import Case
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject, subject_in

__all__ = ["WITH_STEPS", "Row", "as_json", "examine", "prove", "table"]

_HERE: Final = Path(__file__).parent
_SECONDS: Final = 300
WITH_STEPS: Final = frozenset({"hubspot", "intercom", "kana"})
"""Destinations with actions of several requests, which have no counterpart."""

_SUITES: Final = """
for (const name of []) {
  describe(name, () => {
    try {
      require(`./${name}/__tests__/cases.test.js`)
    } catch (error) {
      it('starts', () => Promise.reject(error))
    }
  })
}
"""

_DIAGNOSTIC: Final = re.compile(r"^src/([^/]+)/(\S+\(\d+,\d+\): .*)$", re.MULTILINE)


@dataclass(slots=True)
class Row:
    """What came of one exported folder; it is proven if nothing differs.

    ``requests`` are recorded requests, each a test, and ``left`` those that no test makes. The
    ``tokens`` are requests for access tokens, as both sides make them. Of the ``events`` the
    payloads were compared. ``refused`` is the number of places with an error 501.
    ``unsent`` are events of which no request is made on both sides, and ``unplayed`` those of which
    no test is: what takes them is refused.
    """

    destination: str
    cases: int
    exported_cases: int
    requests: int
    left: int
    tokens: int
    events: int
    refused: int
    unsent: int = 0
    unplayed: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def prove(folder: Path, framework: Path, sources: Mapping[str, Path]) -> list[Row]:
    """Export definitions by name to ``folder``, and return what came of each.

    ``framework`` is the folder that `tests.export.install` fills.
    """
    exported = {name: _export(source, folder, name) for name, source in sources.items()}
    return examine(folder, framework, sources, exported)


def _export(source: Path, folder: Path, name: str) -> Exported:
    return export_segment(source, folder / "src" / name, partial=True)


def examine(
    folder: Path, framework: Path, sources: Mapping[str, Path], exported: Mapping[str, Exported]
) -> list[Row]:
    """Compile and run folders that are there already."""
    for name in ("tsconfig.json", "jest.config.js", "compare.js", "package.json"):
        shutil.copyfile(_HERE / name, folder / name)
    (folder / "node_modules").symlink_to(framework / "node_modules", target_is_directory=True)
    rows = {name: _row(name, sources[name], one) for name, one in exported.items()}
    _compile(folder, rows)
    _run_cases(folder, rows)
    _compare(folder, rows, sources, exported)
    return list(rows.values())


def _requests_of_events(subject: Subject, case: Case) -> int:
    """Return how many requests a case makes for its events; nobody asks for usage at Segment."""
    if not case.usage:
        return len(case.interactions)
    return replay(subject, replace(case, usage=())).requests


def _row(name: str, source: Path, exported: Exported) -> Row:
    deliveries = exported.deliveries
    cases = subject_in(source).cases()
    made = sum(one.recorded for one in deliveries)
    left = sum(_requests_of_events(subject_in(source), one) for one in cases) - made
    exported_cases = len({one.case for one in deliveries if one.action != TOKEN})
    tokens = sum(len(one.interactions) for one in deliveries) - made
    row = Row(name, len(cases), exported_cases, made, left, tokens, 0, len(exported.refused))
    row.unsent = sum(len(one.events) for one in deliveries if not one.interactions)
    played = {(one.case, position) for one in deliveries for position in one.positions}
    for case in cases:
        for position in range(1, len(case.events) + 1):
            if (case.name, position) not in played:
                row.unplayed.append(f"event {position} of {case.name}")
    if row.unplayed and not row.refused:
        row.differences.append(f"in no test: {', '.join(row.unplayed)}")
    if subject_in(source).definition.oauth2 is not None and not tokens:
        row.differences.append("no test asks for an access token")
    if left and name not in WITH_STEPS:
        row.differences.append(f"{left} recorded requests are in no test")
    return row


def _node(folder: Path, script: str, *given: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["node", script, *given],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env={**os.environ, "NODE_ENV": "test", "TZ": "UTC", "FORCE_COLOR": "0"},
    )
    if not done.stdout.strip() and done.returncode != 0:
        raise RuntimeError(f"{script} failed: {done.stderr[-2000:]}")
    return done.stdout


def _compile(folder: Path, rows: Mapping[str, Row]) -> None:
    said = _node(folder, "node_modules/typescript/bin/tsc", "-p", ".", "--pretty", "false")
    found = _DIAGNOSTIC.findall(said)
    for name, diagnostic in found:
        rows[name].differences.append(f"does not compile: {diagnostic}")
    if said.strip() and not found:
        raise RuntimeError(f"the compiler says: {said[:2000]}")


def _run_cases(folder: Path, rows: Mapping[str, Row]) -> None:
    # In one file they load Segment's framework once, which takes longer than all cases.
    names = [name for name, row in rows.items() if row.requests or row.tokens]
    (folder / "out" / "all.test.js").write_text(_SUITES.replace("[]", json.dumps(names)))
    given = ("--json", "--runInBand", "--testLocationInResults=false")
    (suite,) = json.loads(_node(folder, "node_modules/jest/bin/jest.js", *given))["testResults"]
    if not suite["assertionResults"]:
        raise RuntimeError(f"the tests do not start: {suite['message'][:2000]}")
    run = dict.fromkeys(rows, 0)
    for test in suite["assertionResults"]:
        name, *titles = test["ancestorTitles"]
        run[name] += 1
        if test["status"] != "passed":
            why = " ".join(test["failureMessages"])[:1500]
            rows[name].differences.append(f"case {' '.join([*titles, test['title']])}: {why}")
    for name, row in rows.items():
        if run[name] < row.requests:
            row.differences.append(f"{run[name]} tests ran, of {row.requests} recorded requests")


def _compare(
    folder: Path,
    rows: Mapping[str, Row],
    sources: Mapping[str, Path],
    exported: Mapping[str, Exported],
) -> None:
    deliveries = [(name, one) for name, each in exported.items() for one in each.deliveries]
    request = {
        "folders": list(exported),
        "deliveries": [
            {
                "folder": name,
                "action": one.action,
                "mapping": one.mapping,
                "settings": one.settings,
                "clock": one.clock,
                "events": one.events,
            }
            for name, one in deliveries
        ],
    }
    answer = json.loads(_node(folder, "compare.js", ".", stdin=json.dumps(request)))
    for (name, delivery), payloads in zip(deliveries, answer["payloads"], strict=True):
        in_code = _in_code(sources[name], delivery.action)
        _compare_payloads(rows[name], delivery, payloads, in_code)
    for name, loaded in answer["destinations"].items():
        metadata = json.loads((folder / "src" / name / "metadata.json").read_text("utf-8"))
        rows[name].differences += _metadata_differences(loaded, metadata)


def _in_code(source: Path, slug: str) -> set[str]:
    """Return the fields that the code of an action changes in the framework's payload."""
    definition = subject_in(source).definition
    action = definition.actions.get(slug)
    if action is None:
        return set()
    properties = action.fields["properties"]
    changed = {key for key, one in properties.items() if one.keys() & _IN_CODE}
    return changed | {one.key for one in event_fields(definition, action)} | {"enable_batching"}


_IN_CODE: Final = frozenset({"x-escape", "x-otherwise"})


def _compare_payloads(
    row: Row, delivery: CaseDelivery, payloads: Sequence[Any], in_code: set[str]
) -> None:
    if delivery.mapping == {} or delivery.action == ALL:
        return  # a deletion, or nothing of an action
    for ours, theirs in zip(delivery.payloads, payloads, strict=True):
        row.events += 1
        if ours is None and delivery.verdicts == ("rejected",):
            continue  # which of both sides refuses it, the checks or the schema, does not matter
        if _left(ours, in_code) != _left(theirs, in_code):
            row.differences.append(
                f"payload of case {delivery.case}, {delivery.action}: {ours} here, {theirs} there"
            )


def _left(payload: Mapping[str, Any] | None, without: set[str]) -> Mapping[str, Any] | None:
    if payload is None:
        return None
    return {key: value for key, value in payload.items() if key not in without}


def _metadata_differences(loaded: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    """Return where the metadata says otherwise than the code."""
    authentication = metadata["authentication"] or {"scheme": None, "fields": {}}
    pairs = [
        *((key, loaded[key], metadata[key]) for key in ("name", "slug", "mode", "description")),
        ("scheme", loaded["scheme"], authentication["scheme"]),
        ("settings", _some(loaded["settings"], authentication["fields"]), authentication["fields"]),
        ("actions", list(loaded["actions"]), list(metadata["actions"])),
        ("presets", loaded["presets"], [_without(one, "eventSlug") for one in metadata["presets"]]),
    ]
    for slug, action in loaded["actions"].items():
        public = metadata["actions"].get(slug, {})
        pairs += [(f"{slug}.{key}", value, public.get(key)) for key, value in action.items()]
    return [f"metadata.json, {at}: {one} in code, {two}" for at, one, two in pairs if one != two]


def _some(fields: Mapping[str, Any], like: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings with the keys that the catalog has of them."""
    return {
        key: {name: one[name] for name in like.get(key, one) if name in one}
        for key, one in fields.items()
    }


def _without(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return {name: value for name, value in given.items() if name != key}


def table(rows: Iterable[Row]) -> str:
    """Return the rows as text."""
    counts = ("cases", "exported", "requests", "left", "tokens", "payloads", "unsent", "unplayed")
    lines: list[tuple[str, ...]] = [("destination", *counts, "refused", "result")]
    lines += [
        (
            row.destination,
            *map(str, (row.cases, row.exported_cases, row.requests, row.left, row.tokens)),
            *map(str, (row.events, row.unsent, len(row.unplayed), row.refused)),
            "equal" if not row.differences else f"different: {len(row.differences)}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in {0, 10} else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_json(rows: Iterable[Row]) -> str:
    """Return the rows as a JSON document."""
    return json.dumps([asdict(row) for row in rows], indent=2)
