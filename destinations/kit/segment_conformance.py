"""Run conformance vectors: lines of input with the results of the reference runtime.

A directory holds files whose names begin with ``mapping``, ``fql`` or ``actions`` and end in
``.jsonl`` or ``.jsonl.gz``, and ``definitions.json`` (or ``.gz``) with the fields of the actions.
A line has, by file:

- ``mapping``: ``{mapping, event}`` and ``output``, or ``error`` if loading or resolving must fail;
- ``fql``: ``{fql, event}`` and ``match``, or ``invalid`` if any result but a match is right;
- ``actions``: ``{destination, action, subscribe, mapping, event}`` and ``payload``, ``skipped`` or
  ``error``.

Numbers are compared by value, and the order of keys does not count. Lines with ``@liquid`` are
counted separately; 2% of them may differ.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from destinations.errors import DefinitionError, ResolveError, UsageError
from destinations.segment.fields import fields_to_schema
from destinations.segment.fql import compile_fql
from destinations.segment.javascript.equality import equal
from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import CompiledSchema, compile_schema

__all__ = ["LIQUID_TOLERANCE", "Difference", "FileReport", "LineResult", "run_conformance"]

LIQUID_TOLERANCE: Final = 0.02
_SUFFIXES: Final = (".jsonl", ".jsonl.gz")
_DEFINITIONS: Final = ("definitions.json", "definitions.json.gz")
_CACHED: Final = 512

Record = dict[str, Any]
Definitions = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineResult:
    """One line: its number from 1, the result, the expected result, and whether they are equal.

    ``outcome`` and ``expected`` have one key of ``output``, ``match``, ``payload``, ``skipped``,
    ``error`` (``expected`` also ``invalid``).
    """

    file: str
    line: int
    outcome: Record
    expected: Record
    passed: bool
    is_liquid: bool

    def record(self) -> Record:
        """Return the record to write: ``{file, line, output|match|payload|skipped|error}``."""
        return {"file": self.file, "line": self.line, **self.outcome}


@dataclass(frozen=True, slots=True)
class Difference:
    """A line whose result differs from the expected one."""

    line: int
    expected: Record
    got: Record


@dataclass(slots=True)
class FileReport:
    """The counts of one file, and its first differences."""

    file: str
    total: int = 0
    passed: int = 0
    liquid_total: int = 0
    liquid_passed: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Return whether every line passed, within the tolerance for lines with ``@liquid``."""
        liquid_failed = self.liquid_total - self.liquid_passed
        other_failed = self.total - self.passed - liquid_failed
        return other_failed == 0 and liquid_failed <= LIQUID_TOLERANCE * self.liquid_total

    def add(self, result: LineResult, keep: int) -> None:
        """Count a line, and keep it if it is among the first ``keep`` that differ."""
        self.total += 1
        self.passed += result.passed
        self.liquid_total += result.is_liquid
        self.liquid_passed += result.is_liquid and result.passed
        if not result.passed and len(self.differences) < keep:
            self.differences.append(Difference(result.line, result.expected, result.outcome))


def run_conformance(
    directory: Path,
    *,
    differences: int = 10,
    on_line: Callable[[LineResult], object] | None = None,
) -> Iterator[FileReport]:
    """Run every file of ``directory`` and yield a report for each; memory holds one line at a time.

    ``on_line`` is called with every line's result. Raises `UsageError` if there is nothing to run,
    a line cannot be read, or an action is not defined.
    """
    files = sorted(path for path in directory.glob("*") if _kind(path) is not None)
    if not files:
        names = ", ".join(_RUNNERS)
        raise UsageError(
            f"{directory}: no vectors found; expected files {names} ending in .jsonl or .jsonl.gz"
        )
    definitions = _read_definitions(directory)
    for path in files:
        report = FileReport(path.name)
        for result in _run_file(path, definitions):
            report.add(result, differences)
            if on_line is not None:
                on_line(result)
        yield report


def _kind(path: Path) -> str | None:
    if not path.name.endswith(_SUFFIXES):
        return None
    return next((kind for kind in _RUNNERS if path.name.startswith(kind)), None)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")


def _read_definitions(directory: Path) -> Definitions:
    for name in _DEFINITIONS:
        path = directory / name
        if path.exists():
            with _open(path) as file:
                definitions: Definitions = json.load(file)
            return definitions
    return {}


def _run_file(path: Path, definitions: Definitions) -> Iterator[LineResult]:
    run = _RUNNERS[_kind(path) or ""](definitions)
    with _open(path) as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                vector: Record = json.loads(text)
                judged = run(vector)
            except (json.JSONDecodeError, KeyError) as error:
                raise UsageError(f"{path}:{number}: cannot read this line: {error!r}") from error
            yield LineResult(path.name, number, *judged, "@liquid" in text)


class _Judged(NamedTuple):
    """The result of a vector here, the expected one, and whether they are equal."""

    outcome: Record
    expected: Record
    passed: bool


_Run = Callable[[Record], _Judged]


def _run_mappings(definitions: Definitions) -> _Run:  # noqa: ARG001 - the signature of every runner
    def run(vector: Record) -> _Judged:
        outcome = _resolve(vector["mapping"], vector["event"])
        if "error" in vector:
            return _Judged(outcome, _only(vector, "error"), "error" in outcome)
        passed = "output" in outcome and equal(outcome["output"], vector["output"])
        return _Judged(outcome, _only(vector, "output"), passed)

    return run


def _resolve(mapping: Any, event: Any) -> Record:
    try:
        return {"output": compile_mapping(mapping).resolve(event)}
    except DefinitionError as error:
        return {"error": {"messages": [str(issue) for issue in error.issues]}}
    except ResolveError as error:
        return {"error": {"messages": [str(error)]}}


def _run_fql(definitions: Definitions) -> _Run:  # noqa: ARG001 - as all
    compiled = lru_cache(maxsize=_CACHED)(compile_fql)

    def run(vector: Record) -> _Judged:
        match = compiled(vector["fql"]).matches(vector["event"])
        if vector.get("invalid"):
            return _Judged({"match": match}, _only(vector, "invalid"), not match)
        return _Judged({"match": match}, _only(vector, "match"), match is vector["match"])

    return run


def _run_actions(definitions: Definitions) -> _Run:
    @lru_cache(maxsize=_CACHED)
    def schema(destination: str, action: str) -> CompiledSchema:
        try:
            fields = definitions[destination]["actions"][action]["fields"]
        except KeyError as error:
            missing = f"{destination}/{action}"
            raise UsageError(f"definitions.json does not define {missing}") from error
        return compile_schema(fields_to_schema(fields) if fields else {})

    compiled = lru_cache(maxsize=_CACHED)(compile_fql)

    def run(vector: Record) -> _Judged:
        name = next(name for name in ("payload", "skipped", "error") if name in vector)
        expected = _only(vector, name)
        outcome = _execute(
            compiled(vector["subscribe"]).matches(vector["event"]),
            vector,
            schema(vector["destination"], vector["action"]),
        )
        passed = name in outcome and (
            name != "payload" or equal(outcome["payload"], vector["payload"])
        )
        return _Judged(outcome, expected, passed)

    return run


def _execute(is_subscribed: bool, vector: Record, schema: CompiledSchema) -> Record:  # noqa: FBT001 - in the order of the vectors
    if not is_subscribed:
        return {"skipped": "not subscribed"}
    resolved = _resolve(vector["mapping"], vector["event"])
    if "error" in resolved:
        return {"error": {**resolved["error"], "status": 400}}
    checked = schema.check(resolved["output"])
    if checked.errors:
        return {"error": {"messages": [str(error) for error in checked.errors], "status": 400}}
    return {"payload": checked.payload}


def _only(vector: Record, name: str) -> Record:
    return {name: vector[name]}


_RUNNERS: Final[Mapping[str, Callable[[Definitions], _Run]]] = {
    "mapping": _run_mappings,
    "fql": _run_fql,
    "actions": _run_actions,
}
