"""Prove the exports of all destinations of the repository that are data.

``python -m tests.export.run [--json FILE] [DESTINATION ...]`` prints a table and what differs, and
fails if anything does. Without Node, npm or the registry it says so, and does not fail.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.export.install import FRAMEWORK
from tests.export.proof import as_json, prove, table
from tests.npm_packages import InstallError, installed
from tests.shipped import DEFINITIONS, SHIPPED

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Return 1 if an export differs from its definition."""
    parser = argparse.ArgumentParser(prog="python -m tests.export.run", description=__doc__)
    parser.add_argument("destinations", nargs="*", metavar="DESTINATION", default=SHIPPED)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to FILE as well")
    given = parser.parse_args(arguments)
    try:
        framework = installed(FRAMEWORK)
    except InstallError as error:
        print(f"skipped: {error}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        sources = {name: DEFINITIONS / name for name in given.destinations}
        rows = prove(Path(folder).resolve(), framework, sources)
    print(table(rows))
    for row in rows:
        for difference in row.differences:
            print(f"\n{row.destination}: {difference}")
    if given.json is not None:
        given.json.write_text(as_json(rows) + "\n", encoding="utf-8")
    return 1 if any(row.differences for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
