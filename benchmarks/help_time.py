"""How long commands take to start: none should wait for what only another one needs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure

__all__ = ["measure"]

_LIMIT_SECONDS = 0.3


def measure(scale: int) -> list[Figure]:
    """The median times of two commands, and of just starting Python."""
    rounds = max(3, 11 // scale)
    command = [sys.executable, "-P", "-m", "destinations"]
    answer = _median([*command, "--help"], rounds)
    # What it says of a missing store costs nothing: this is the time of its imports.
    status = _median([*command, "status", "--store", "missing.sqlite3"], rounds)
    bare = _median([sys.executable, "-c", "pass"], rounds)
    return [
        Figure("destinations --help", answer, "s", _LIMIT_SECONDS, "limit"),
        Figure("destinations status", status, "s"),
        Figure("starting Python", bare, "s"),
    ]


def _median(command: list[str], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
