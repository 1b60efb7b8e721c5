"""What it takes to load the 96 definitions of the corpus: time, and memory at its peak.

``python -m benchmarks.loading FOLDER`` loads the definitions in it once, from YAML to what takes
events, and prints ``{seconds, compiling, definitions}``.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.peak import run_measured
from benchmarks.reference.install import REFERENCE
from benchmarks.reference.peer import node_command
from benchmarks.subjects import CORPUS, compiled, imported
from benchmarks.workload import ROOT
from destinations.definition import load_definition
from tests.npm_packages import InstallError, installed

__all__ = ["measure"]

_ROUNDS = 5
# The peer reads one file of JSON, which takes next to no time; here folders of YAML are checked.
_FIGURES = (
    ("loading {} definitions, YAML to ready", "seconds", "seconds", "s"),
    ("of that, compiling", "compiling", "seconds", "s"),
    ("peak memory of loading them", "mib", "mib", "MiB"),
)


def measure(scale: int) -> list[Figure]:
    """Both sides, each time in a process of its own, in turn; medians."""
    rounds = max(1, _ROUNDS // scale)
    ours, theirs = [], []
    try:
        folder, against = installed(REFERENCE), "Segment's runtime in Node"
    except InstallError as error:
        folder, against = None, f"not measured: {error}"
    with tempfile.TemporaryDirectory() as name:
        corpus, folders = Path(name) / "definitions.json", Path(name) / "definitions"
        corpus.write_bytes(gzip.decompress(CORPUS.read_bytes()))
        folders.mkdir()
        for slug in json.loads(corpus.read_bytes()):
            imported(slug, folders)
        for _ in range(rounds):
            ours.append(_told([sys.executable, "-m", "benchmarks.loading", str(folders)]))
            if folder is not None:
                theirs.append(_told([*node_command("load.mjs", folder), str(corpus)]))
    count = ours[0]["definitions"]
    return [
        Figure(
            what.format(count),
            statistics.median(report[key] for report in ours),
            unit,
            statistics.median(report[peer_key] for report in theirs) if theirs else None,
            against,
        )
        for what, key, peer_key, unit in _FIGURES
    ]


def _told(command: list[str]) -> dict[str, Any]:
    printed, mib = run_measured(command, cwd=str(ROOT))
    return {**json.loads(printed), "mib": mib}


def main() -> None:
    """Loads the folders in the folder that the command line names."""
    began = time.process_time()
    definitions = [load_definition(folder) for folder in sorted(Path(sys.argv[1]).iterdir())]
    read = time.process_time()
    destinations = [compiled(definition) for definition in definitions]
    ended = time.process_time()
    report = {
        "seconds": ended - began,
        "compiling": ended - read,
        "definitions": len(destinations),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
