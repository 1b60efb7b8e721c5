from __future__ import annotations

from typing import Any

import pytest
from differential_inputs.reference import Judge

from tests.reference.documented import INPUTS, documented, mapping_examples

ALL = [(kind, inputs) for kind in INPUTS for inputs in documented(kind)]


def test_vectors_of_the_reference(judge: Judge) -> None:
    """Segment's runtime gives for each documented input what this project gives."""
    for kind, inputs in ALL:
        vector, _ = judge.vector(kind, inputs)
        result = judge.run(kind, vector)
        assert result.passed, f"{inputs}: expected {result.expected}, got {result.outcome}"


DIFFERENCES = [one for _, one in mapping_examples() if "differs" in one]


@pytest.mark.parametrize("one", DIFFERENCES, ids=[one["what"] for one in DIFFERENCES])
def test_a_documented_difference(judge: Judge, one: Any) -> None:
    """What the reference calls a difference from Segment is one."""
    vector, _ = judge.vector("mapping", {"mapping": one["mapping"], "event": one["event"]})
    assert not judge.run("mapping", vector).passed
