"""Installs Segment's reference runtime from npm, once, outside of the source tree.

``python -m benchmarks.reference.install [FOLDER]`` prints the folder that has ``node_modules`` with
the reference runtime, or why there is none on stderr (exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.npm_packages import Packages, print_folder

__all__ = ["REFERENCE"]

REFERENCE: Final = Packages(
    "Segment's runtime", Path(__file__).parent, "DIFFERENTIAL_REFERENCE", "reference"
)


if __name__ == "__main__":
    sys.exit(print_folder(REFERENCE))
