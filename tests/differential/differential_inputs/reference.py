"""Segment's reference runtime in a Node process of its own, and its answers as vectors.

Inputs and answers are those of `destinations.kit.segment_conformance`: the reference's answer is
what a vector expects, the vector is run as any other is, and where it fails it can be kept as it
is.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from destinations.kit.segment_conformance import LineResult, run_conformance
from destinations.segment.javascript.equality import equal
from destinations.segment.javascript.values import UNDEFINED

__all__ = ["Judge", "Reference", "as_json", "decode"]

Record = dict[str, Any]

_SCRIPT: Final = Path(__file__).parents[1] / "reference.mjs"
_SECONDS: Final = 60
_TAG: Final = "$js"
_DATA: Final = ("output", "payload")
_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "-0": -0.0}
# It keeps every schema that it has ever seen, so it is started anew now and then.
_REQUESTS_OF_ONE_PROCESS: Final = 4000


class Reference:
    """One long-lived process; JSON lines in and out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._asked = 0

    def ask(self, kind: str, inputs: Record) -> Record:
        """What the reference makes of the inputs of one vector; raises OSError if it is gone."""
        if self._process is None or self._asked % _REQUESTS_OF_ONE_PROCESS == 0:
            self.close()
            self._process = self._start()
        self._asked += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"id": self._asked, "kind": kind, **inputs}) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], _SECONDS)[0]:
            raise OSError(f"no answer of the reference in {_SECONDS} s")
        line = stdout.readline()
        if not line:
            raise OSError(f"the reference ended with status {self._process.wait()}")
        answer: Record = json.loads(line)
        assert answer.pop("id") == self._asked
        return {key: decode(value) if key in _DATA else value for key, value in answer.items()}

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["node", str(_SCRIPT), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Dates without a zone are local ones in JavaScript; here they are of UTC.
            env={**os.environ, "TZ": "UTC"},
        )

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def decode(value: Any) -> Any:
    """An answer of the process, with the values that JSON lacks put back."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: decode(item) for key, item in value.items()}
    what = value[_TAG]
    if what in {"undefined", "function"}:
        return UNDEFINED
    if what in _NUMBERS:
        return _NUMBERS[what]
    raise AssertionError(f"the reference gave a value that no vector can hold: {value}")


def as_json(value: Any, path: str = "") -> tuple[Any, list[str]]:
    """``value`` as ``JSON.stringify`` would carry it, and a line on each thing that this changed.

    Undefined vanishes from objects and is null in arrays, as are NaN and the infinities.
    """
    lost: list[str] = []

    def members() -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if item is UNDEFINED:
                lost.append(f"{path}/{key} is undefined")
                continue
            plain, inner = as_json(item, f"{path}/{key}")
            lost.extend(inner)
            yield key, plain

    if isinstance(value, dict):
        return dict(members()), lost
    if isinstance(value, list):
        pairs = [as_json(item, f"{path}/{at}") for at, item in enumerate(value)]
        return [plain for plain, _ in pairs], [line for _, inner in pairs for line in inner]
    if value is UNDEFINED:
        return None, [f"{path} is undefined"]
    if isinstance(value, float) and not math.isfinite(value):
        return None, [f"{path} is {value}"]
    return value, lost


class Judge:
    """Runs one vector after the other, each as a file of one line in ``directory``."""

    def __init__(self, reference: Reference, directory: Path) -> None:
        self._reference = reference
        self._directory = directory
        self._file: Path | None = None

    def vector(self, kind: str, inputs: Record) -> tuple[Record, list[str]]:
        """The inputs with what the reference makes of them; and what of it JSON cannot say."""
        answer = self._reference.ask(kind, inputs)
        lost: list[str] = []
        for name in _DATA:
            if name in answer:
                answer[name], more = as_json(answer[name])
                lost += more
        # A pair of surrogates is one character, on whichever side it was put together.
        return json.loads(json.dumps({**inputs, **answer})), lost

    def run(self, kind: str, vector: Record) -> LineResult:
        """What this project makes of a vector."""
        name = "actions" if kind == "action" else kind
        if kind == "action":
            fields = vector["fields"]
            vector = {key: value for key, value in vector.items() if key != "fields"}
            vector |= {"destination": "d", "action": "a"}
            definitions = {"d": {"actions": {"a": {"fields": fields}}}}
            self._write("definitions.json", definitions)
        self._clean(name)
        self._write(f"{name}.jsonl", vector)
        (result,) = _results(self._directory)
        # What JSON has no word for is in the vector as JSON carries it.
        outcome = {key: as_json(value)[0] for key, value in result.outcome.items()}
        passed = result.passed or (outcome.keys() <= set(_DATA) and equal(outcome, result.expected))
        return dataclasses.replace(result, passed=passed)

    def _clean(self, name: str) -> None:
        if self._file is not None and self._file.name != f"{name}.jsonl":
            self._file.unlink()
        self._file = self._directory / f"{name}.jsonl"

    def _write(self, name: str, record: Record) -> None:
        (self._directory / name).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _results(directory: Path) -> list[LineResult]:
    found: list[LineResult] = []
    for _ in run_conformance(directory, on_line=found.append):
        pass
    return found
