"""The reference runtime, where it is installed, and how hard it is compared with."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The strategies are modules beside the tests, which pytest imports from no package.
sys.path.insert(0, str(Path(__file__).parent))

from differential_inputs.reference import Judge, Reference

FOLDER_VARIABLE = "DIFFERENTIAL_REFERENCE"
EXAMPLES_VARIABLE = "DIFFERENTIAL_EXAMPLES"
DEFAULT_EXAMPLES = 1000


def _examples() -> int:
    wanted = os.environ.get(EXAMPLES_VARIABLE) or str(DEFAULT_EXAMPLES)
    if not wanted.isdecimal() or not int(wanted):
        raise pytest.UsageError(f"{EXAMPLES_VARIABLE} should be a number from 1 but is {wanted!r}")
    return int(wanted)


hypothesis.settings.register_profile(
    "differential",
    max_examples=_examples(),
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    """The reference runtime; the tests that ask for it are skipped where it is not installed."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        pytest.skip("compares with Segment's runtime in Node: run `tox -e conformance`")
    if shutil.which("node") is None:
        pytest.skip("Node is missing: install Node 18 or later (https://nodejs.org)")
    if not (Path(folder) / "node_modules" / "@segment" / "actions-core").is_dir():
        pytest.skip(
            f"{folder} has no node_modules/@segment/actions-core: it comes from the npm registry;"
            " `python -m benchmarks.reference.install` says what is in the way"
        )
    process = Reference(Path(folder))
    yield process
    process.close()


@pytest.fixture(scope="session")
def judge(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Makes vectors with the reference and runs them."""
    return Judge(reference, tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="session")
def compare(judge: Judge) -> Callable[[str, dict[str, Any]], None]:
    """Fails where the reference and this project make different things of the inputs."""

    def check(kind: str, inputs: dict[str, Any]) -> None:
        vector, lost = judge.vector(kind, inputs)
        hypothesis.note(f"the vector: {json.dumps(vector)}")
        for line in lost:
            hypothesis.event(line.rpartition(" is ")[2] + " in the result")
        result = judge.run(kind, vector)
        assert result.passed, f"expected {result.expected}, got {result.outcome}"

    return check
