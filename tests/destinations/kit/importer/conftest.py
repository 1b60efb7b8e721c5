"""Segment's files: samples, and changes of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.importer import Imported, import_segment

FIXTURES = Path(__file__).parents[3] / "fixtures" / "segment"


@pytest.fixture
def fixtures() -> Path:
    """The folder of the samples."""
    return FIXTURES


@pytest.fixture(scope="session")
def metadata() -> dict[str, Any]:
    """The destination metadata of the sample, as it is in the file: not to be changed."""
    whole = json.loads((FIXTURES / "metadata.json").read_text("utf-8"))
    value: dict[str, Any] = whole["data"]["destinationMetadata"]
    return value


@pytest.fixture
def importing(
    metadata: dict[str, Any], write: Callable[[str, Any], Path], tmp_path: Path
) -> Callable[[Callable[[Any], None]], Imported]:
    """Imports the sample after a change of its metadata into the folder ``sample``."""

    def run(change: Callable[[Any], None]) -> Imported:
        changed = copy.deepcopy(metadata)
        change(changed)
        return import_segment(write("changed.json", changed), out=tmp_path / "sample")

    return run
