from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Where `promql` is.
sys.path.insert(0, str(Path(__file__).parent / "lib"))

Json = dict[str, Any]


@pytest.fixture(scope="session")
def events_file() -> Path:
    """The file of every case."""
    return ROOT / "tests" / "fixtures" / "examples" / "every-case.ndjson"


@pytest.fixture(scope="session")
def ledger_file() -> Path:
    return ROOT / "tests" / "fixtures" / "examples" / "every-case.ledger.json"


@pytest.fixture(scope="session")
def ledger(ledger_file: Path) -> Json:
    made: Json = json.loads(ledger_file.read_text(encoding="utf-8"))
    return made


@pytest.fixture(scope="session")
def lines(events_file: Path) -> list[bytes]:
    text = events_file.read_bytes()
    assert text.endswith(b"\n")
    return text.split(b"\n")[:-1]


@pytest.fixture(scope="session")
def rows(ledger: Json, lines: list[bytes]) -> list[tuple[Json, bytes]]:
    """Each row of the ledger with its line."""
    return [(row, lines[row["line"] - 1]) for row in ledger["by_line"]]
