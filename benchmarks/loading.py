"""What it takes to load the 96 definitions of the corpus: time, and memory at its peak.

``python -m benchmarks.loading`` loads them once, and prints ``{seconds, megabytes, definitions}``.
"""

from __future__ import annotations

import gzip
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.reference.install import InstallError, installed
from benchmarks.reference.peer import node_command
from benchmarks.subjects import CORPUS, corpus_destination
from benchmarks.workload import ROOT

__all__ = ["measure"]

_ROUNDS = 5


def measure(scale: int) -> list[Figure]:
    """Both sides, each time in a process of its own, in turn; medians."""
    rounds = max(1, _ROUNDS // scale)
    ours, theirs = [], []
    try:
        folder, against = installed(), "Segment's runtime in Node"
    except InstallError as error:
        folder, against = None, f"not measured: {error}"
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "definitions.json"
        corpus.write_bytes(gzip.decompress(CORPUS.read_bytes()))
        for _ in range(rounds):
            ours.append(_told([sys.executable, "-m", "benchmarks.loading", str(corpus)]))
            if folder is not None:
                theirs.append(_told([*node_command("load.mjs", folder), str(corpus)]))
    count = ours[0]["definitions"]
    return [
        Figure(
            f"{what} of {count} definitions",
            statistics.median(report[key] for report in ours),
            unit,
            statistics.median(report[key] for report in theirs) if theirs else None,
            against,
        )
        for what, key, unit in (("loading", "seconds", "s"), ("peak memory", "megabytes", "MB"))
    ]


def _told(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Loads the file of definitions that the command line names."""
    began = time.process_time()
    corpus = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    destinations = [corpus_destination(slug, source) for slug, source in corpus.items()]
    seconds = time.process_time() - began
    # Linux counts in KiB, macOS in bytes.
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(json.dumps({"seconds": seconds, "megabytes": peak, "definitions": len(destinations)}))


if __name__ == "__main__":
    main()
