"""Runs all that has made examples with a new seed and prints it, so that a failure can be repeated.

These are the fuzz tests, and all others that hypothesis makes examples for. Those that call it in
themselves, or whose tables are longer then, have the mark ``fuzz``.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Final

_TESTS: Final = Path(__file__).parent.parent


def main() -> int:
    """The exit code of pytest, which gets the arguments of this script as well."""
    seed = random.randrange(2**32)
    print(f"--hypothesis-seed={seed}", flush=True)
    # -P: the installed package, not the tree that this is run in.
    command = [sys.executable, "-P", "-m", "pytest", str(_TESTS), "-m", "fuzz or hypothesis"]
    command += [f"--hypothesis-seed={seed}", *sys.argv[1:]]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
