"""Peak memory of a run, which must not grow with the file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.peak import run_measured
from benchmarks.workload import sandbox, settings_file, track_file

__all__ = ["measure"]

_LIMIT_MIB = 150


def measure(scale: int) -> list[Figure]:
    """Peak resident memory for a small file and for a large one, with the limit."""
    figures = []
    for events in (1_000, 200_000 // scale):
        for kept in ("memory", "a store"):
            with (
                track_file(events) as path,
                sandbox() as running,
                settings_file(running) as settings,
                tempfile.TemporaryDirectory() as folder,
            ):
                store = ["--store", f"{folder}/store.sqlite3"]
                peak = _peak_mib(path, settings, *(store if kept != "memory" else []))
            name = f"peak memory of a run with {kept}, {events:,} events"
            figures.append(Figure(name, peak, "MiB", _LIMIT_MIB, "limit"))
    return figures


def _peak_mib(events: Path, settings: Path, *options: str) -> float:
    command = [sys.executable, "-P", "-m", "destinations", "run", "kana", "--json"]
    command += ["--events", str(events), "--settings", str(settings)]
    command += options or ["--no-store"]
    _, peak = run_measured(command)
    return peak
