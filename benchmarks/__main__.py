"""``python -m benchmarks [--quick]``: all figures as a table, and as JSON with ``--out FILE``.

``attempts``, ``cluster``, ``console``, ``database_size``, ``identifies``, ``metering``, ``soak``,
``sources`` and ``tenants`` are run only with ``--only NAME``.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from benchmarks import (
    against_reference,
    attempts,
    cluster,
    console,
    database_size,
    help_time,
    identifies,
    loading,
    memory,
    metering,
    one_event,
    pipeline,
    serving,
    soak,
    sources,
    tenants,
    user_list,
    whole_run,
)
from benchmarks.figures import Figure, print_figures

_BENCHMARKS: Final = (
    help_time,
    one_event,
    pipeline,
    against_reference,
    loading,
    whole_run,
    serving,
    memory,
    user_list,
)
# They take minutes whatever they find, so they are run when they are named.
_BY_NAME: Final = (
    attempts,
    cluster,
    console,
    database_size,
    identifies,
    metering,
    soak,
    sources,
    tenants,
)


def main() -> int:
    """Run every benchmark in turn, or the one that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events")
    names = [benchmark.__name__.rpartition(".")[2] for benchmark in (*_BENCHMARKS, *_BY_NAME)]
    parser.add_argument("--only", choices=names, metavar="NAME", help="one of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    figures: list[Figure] = []
    chosen: Sequence[ModuleType] = _BENCHMARKS
    if options.only:
        known = dict(zip(names, (*_BENCHMARKS, *_BY_NAME), strict=True))
        chosen = (known[options.only],)
    for benchmark in chosen:
        sys.stderr.write(f"{benchmark.__name__} ...\n")
        figures += benchmark.measure(scale)
    print_figures(figures)
    if options.out is not None:
        report = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "garbage collector": {"enabled": gc.isenabled(), "thresholds": gc.get_threshold()},
            "figures": [figure.to_json() for figure in figures],
        }
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
