"""Export a definition, and end before a file is put in its place: ``killed_export.py AT FROM TO``.

``AT`` counts these files from 1 on.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from destinations.kit.exporter import export_segment

_AT = int(sys.argv[1])
_replace = Path.replace
_replaced: list[Path] = []


def _replace_until(path: Path, target: Path) -> Path:
    _replaced.append(path)
    if len(_replaced) == _AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return _replace(path, target)


if __name__ == "__main__":
    Path.replace = _replace_until  # type: ignore[method-assign,assignment]
    export_segment(Path(sys.argv[2]), Path(sys.argv[3]))
