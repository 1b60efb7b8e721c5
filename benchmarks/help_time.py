"""How long ``destinations --help`` takes: nobody should wait for what a command does not need."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure

__all__ = ["measure"]

_LIMIT_SECONDS = 0.3


def measure(scale: int) -> list[Figure]:
    """The median time of the command beside that of starting Python alone."""
    rounds = max(3, 11 // scale)
    answer = _median([sys.executable, "-P", "-m", "destinations", "--help"], rounds)
    bare = _median([sys.executable, "-c", "pass"], rounds)
    return [
        Figure("destinations --help", answer, "s", _LIMIT_SECONDS, "limit"),
        Figure("starting Python", bare, "s"),
    ]


def _median(command: list[str], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
