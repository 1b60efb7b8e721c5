"""Runs the tests of directives, FQL and validation against mutants, and lists what they let pass.

A mutant is a module with one small change. Each runs in a process of its own, which is forked from
one that has the libraries loaded already and gets the changed source through an import hook: the
tree is never written to. First the module's own tests run, then all of its part.

The tools for this do less of what is needed: cosmic-ray leaves texts and results alone and starts
Python anew for each mutant, mutmut leaves alone what stands outside functions, as tables do.
"""

from __future__ import annotations

import argparse
import enum
import importlib.abc
import importlib.machinery
import multiprocessing
import multiprocessing.connection
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

# Loaded once, here, for all the processes. Nothing of the project may be loaded here.
import hypothesis  # noqa: F401
import jsonschema  # noqa: F401
import jsonschema_rs  # noqa: F401
import liquid  # noqa: F401
import pytest
import yaml  # noqa: F401

from tests.mutation.mutants import Mutant, mutants_of

ROOT: Final = Path(__file__).parents[2]

TESTS: Final = ROOT / "tests" / "destinations"

EQUIVALENTS: Final = Path(__file__).with_name("equivalents.txt")

SECONDS: Final = 60
"""A mutant that takes longer hangs, which is counted on its own."""


class Outcome(enum.IntEnum):
    """What became of a mutant. The values are exit codes of the process that runs its tests."""

    MISSED = 0
    FOUND = 1
    """A test failed."""
    BROKEN = 2
    """No test failed, and not all of them ran: the mutant cannot be imported, or pytest failed."""
    TIMED_OUT = 3


@dataclass(frozen=True)
class Part:
    """A folder of modules and the tests for it, all of them faster than 3 s."""

    folder: str
    tests: tuple[str, ...]
    is_whole: bool = True
    """Whether all mutants are tried and each must be found; otherwise a sample is."""


PARTS: Final = {
    "directives": Part("segment/mapping/directives", ("segment/mapping",)),
    "fql": Part("segment/fql", ("segment/fql",)),
    "validation": Part(
        "segment/validation",
        (
            "segment/validation",
            "segment/payload/test_members.py",
            "segment/payload/test_examples.py",
            "definition/test_wrong_values.py",
        ),
        is_whole=False,
    ),
}


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a changed source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - its caller names it
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutant instead of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin, self._mutant.source)
        return spec


class _Failures:
    """Notes, as a plugin of pytest, whether a test failed.

    The exit code does not say it: with ``-x``, a module that cannot be collected ends pytest with 1
    as well.
    """

    def __init__(self) -> None:
        self.any_test = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.any_test |= report.failed


def _run_tests(mutant: Mutant | None, steps: list[list[str]]) -> None:
    """Run the tests, step by step, and end the process with the outcome as its exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    # What pytest would rewrite is loaded already, and nobody reads why an assertion fails.
    options = ["--assert=plain", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    for tests in steps:
        failures = _Failures()
        code = pytest.main([*options, *tests], plugins=[failures])
        if code == pytest.ExitCode.TESTS_FAILED and failures.any_test:
            os._exit(Outcome.FOUND)
        if code != pytest.ExitCode.OK:
            os._exit(Outcome.BROKEN)
    os._exit(Outcome.MISSED)


def _steps(part: Part, module: str) -> list[list[str]]:
    """Return the tests to run: the module's own file, if there is one, then the whole part."""
    name = f"test_{module.rpartition('.')[2].rstrip('_')}.py"
    every = [str(TESTS / tests) for tests in part.tests]
    own = sorted(str(path) for path in (TESTS / part.tests[0]).rglob(name))
    return [own, every] if own else [every]


def _outcomes(part: Part, mutants: list[Mutant], processes: int) -> dict[str, Outcome]:
    """Return what became of each mutant, by its key, and print those that no test found."""
    context = multiprocessing.get_context("fork")
    waiting = list(reversed(mutants))
    running: dict[int, tuple[ForkProcess, Mutant, float]] = {}
    outcomes: dict[str, Outcome] = {}
    while waiting or running:
        while waiting and len(running) < processes:
            mutant = waiting.pop()
            process = context.Process(target=_run_tests, args=(mutant, _steps(part, mutant.module)))
            process.start()
            running[process.sentinel] = process, mutant, time.monotonic() + SECONDS
        multiprocessing.connection.wait(list(running), timeout=1)
        for sentinel, (process, mutant, end) in list(running.items()):
            outcome = _outcome(process, end)
            if outcome is not None:
                del running[sentinel]
                outcomes[mutant.key] = outcome
                if outcome is not Outcome.FOUND:
                    name = outcome.name.lower().replace("_", " ")
                    print(f"{name}: {mutant.key}  (line {mutant.line})", flush=True)
    return outcomes


def _outcome(process: ForkProcess, end: float) -> Outcome | None:
    """Return what became of a mutant, or None while its tests run; end them if they hang."""
    if process.exitcode is None:
        if time.monotonic() <= end:
            return None
        process.kill()
        process.join()
        return Outcome.TIMED_OUT
    # A process that a signal ended, such as after too deep a recursion, has a negative code.
    return Outcome(process.exitcode) if process.exitcode in set(Outcome) else Outcome.BROKEN


def _mutants(part: Part, only: str) -> list[Mutant]:
    folder = ROOT / "destinations" / part.folder
    mutants: list[Mutant] = []
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py" and only in path.stem:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            mutants += mutants_of(module, path.read_text(encoding="utf-8"))
    return mutants


def _equivalents() -> dict[str, str]:
    """Return the reason why a mutant changes nothing, by the mutant's key."""
    lines = EQUIVALENTS.read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    return {
        key: reason.removeprefix("    ")
        for key, reason in zip(entries[::2], entries[1::2], strict=True)
    }


def main() -> int:
    """Print the score of each part; return 1 if tests miss a mutant that they have to find."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", default="", help="only modules with this text in their name")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (%(default)s)")
    parser.add_argument("--sample", type=int, default=250, help="mutants in it (%(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {min(unknown)!r}: expected one of {', '.join(PARTS)}")

    equivalents = _equivalents()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        os.chdir(ROOT)
        for name in arguments.parts or PARTS:
            failed |= not _try_part(name, equivalents, arguments)
    return int(failed)


def _try_part(name: str, equivalents: dict[str, str], arguments: argparse.Namespace) -> bool:
    """Print the score of one part, and return whether its tests are as they have to be."""
    part = PARTS[name]
    start = time.monotonic()
    process = multiprocessing.get_context("fork").Process(
        target=_run_tests, args=(None, _steps(part, ""))
    )
    process.start()
    process.join()
    if process.exitcode:
        print(f"{name}: the tests fail without a mutant; run pytest first")
        return False
    mutants = _mutants(part, arguments.only)
    if not part.is_whole:
        count = min(arguments.sample, len(mutants))
        mutants = random.Random(arguments.seed).sample(mutants, count)
        print(f"{name}: a sample of {count} mutants with --seed={arguments.seed}")
    outcomes = _outcomes(part, mutants, arguments.processes)
    counts = Counter(outcomes[key] for key in outcomes if key not in equivalents)
    equal = len(outcomes.keys() & equivalents.keys())
    score = 100 * counts[Outcome.FOUND] / max(1, counts.total())
    print(
        f"{name}: {len(mutants)} mutants, {equal} equivalent, {counts[Outcome.FOUND]} found,"
        f" {counts[Outcome.TIMED_OUT]} timed out, {counts[Outcome.BROKEN]} broken,"
        f" {counts[Outcome.MISSED]} missed, {score:.1f} % found,"
        f" {time.monotonic() - start:.0f} s"
    )
    stale = _stale(equivalents, outcomes, mutants, is_complete=not arguments.only)
    for problem in stale if part.is_whole else ():
        print(problem)
    return not (part.is_whole and (stale or counts[Outcome.MISSED]))


def _stale(
    equivalents: dict[str, str],
    outcomes: dict[str, Outcome],
    mutants: list[Mutant],
    *,
    is_complete: bool,
) -> list[str]:
    """Return what is wrong with the listed mutants: those that are gone, or that a test finds."""
    problems = [
        f"{EQUIVALENTS.name} lists a mutant that is {outcomes[key].name.lower()}: {key}"
        for key in equivalents
        if outcomes.get(key, Outcome.MISSED) is not Outcome.MISSED
    ]
    if is_complete:
        modules = tuple({f"{mutant.module}{end}" for mutant in mutants for end in ".:"})
        problems += [
            f"{EQUIVALENTS.name} lists a mutant that no longer exists: {key}"
            for key in equivalents
            if key not in outcomes and key.startswith(modules)
        ]
    return problems


if __name__ == "__main__":
    sys.exit(main())
