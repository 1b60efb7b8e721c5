"""All public destinations of Segment, where a folder has them; each is a file there.

The files are not kept here. Those called ``metadata.json`` are in the repository of Segment's
action destinations: give a folder of copies by SEGMENT_METADATA. The npm package of the library
comes as files by ``library.cjs``: give their folder by SEGMENT_LIBRARY. Then each destination is
imported, every key of it is accounted for, and the counts are compared with those that are kept.
With SEGMENT_UPDATE as well, they are kept anew.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.kit.importer import import_segment
from destinations.kit.importer.left_out import MEANS_NOTHING
from tests.segment_accounting import Account, Accountant

KEPT = Path(__file__).parents[3] / "fixtures" / "segment"
SOURCES = {
    "SEGMENT_METADATA": (KEPT / "counts-metadata.json", 276),
    "SEGMENT_LIBRARY": (KEPT / "counts-library.json", 214),
}


def _destinations(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(folder.glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        if "actions" in raw:
            yield file, raw


def _runs_in_browsers(raw: Mapping[str, Any]) -> bool:
    return all(action.get("platform") == "web" for action in raw["actions"].values())


@pytest.mark.parametrize("variable", SOURCES)
def test_nothing_is_lost_without_a_word(variable: str, tmp_path: Path) -> None:
    """Each key is carried, named in a note or without meaning; what is left out is refused."""
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"set {variable} to a folder of Segment's destinations")
    account, ends, notes = Account(), Counter[str](), Counter[str]()
    refused: dict[str, str] = {}
    for file, raw in _destinations(Path(given)):
        try:
            imported = import_segment(file, out=tmp_path / f"n{ends['imported']}")
        except DefinitionError as error:
            refused[file.name] = "" if _runs_in_browsers(raw) else str(error)
            continue
        ends["imported"] += 1
        notes["destinations with notes"] += bool(imported.notes)
        notes["notes"] += len(imported.notes)
        Accountant(account, imported, raw).count()
    assert account.lost == []
    assert not any(refused.values())
    ends["refused, as all actions run in browsers"] = len(refused)
    found = {"destinations": dict(ends), "notes": dict(notes), "keys": account.table()}
    kept, _ = SOURCES[variable]
    if "SEGMENT_UPDATE" in os.environ:
        kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(kept.read_text(encoding="utf-8"))


@pytest.mark.parametrize("variable", SOURCES)
def test_what_is_kept_has_a_reason_for_each_key(variable: str) -> None:
    """What the kept counts call meaningless is on the importer's list; all destinations count."""
    file, destinations = SOURCES[variable]
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert sum(kept["destinations"].values()) == destinations
    for name, counts in kept["keys"].items():
        kind, _, key = name.partition(".")
        assert counts.keys() <= {"carried", "noted", "meaningless"}
        if "meaningless" in counts:
            assert {kind: keys.get(key) for kind, keys in MEANS_NOTHING.items()}[kind]


@pytest.mark.parametrize("variable", SOURCES)
def test_the_docs_say_how_many(variable: str) -> None:
    """The page about importing has the kept counts."""
    file, destinations = SOURCES[variable]
    kept = json.loads(file.read_text(encoding="utf-8"))
    sums = Counter[str]()
    for counts in kept["keys"].values():
        sums.update(counts)
    imported = kept["destinations"]["imported"]
    numbers = [destinations, imported, *(sums[name] for name in ("carried", "noted"))]
    row = " | ".join(f"{number:,}" for number in (*numbers, sums["meaningless"]))
    text = (Path(__file__).parents[4] / "docs" / "importing.md").read_text(encoding="utf-8")
    assert f"| {row} |" in text
