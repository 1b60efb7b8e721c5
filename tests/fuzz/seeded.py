"""Runs the fuzz tests with a new seed and prints it, so that a failure can be repeated.

After them come all other tests that hypothesis makes examples for, as ``FUZZ_EXAMPLES`` says.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Final

_FUZZ: Final = Path(__file__).parent
_TESTS: Final = _FUZZ.parent
# Tests with more examples, or longer tables of cases, where fuzz tests have more examples.
_MORE: Final = (
    "destinations/contracts/test_machine.py",
    "destinations/contracts/test_store.py",
    "destinations/kit/partner_page/test_untrusted.py",
    "destinations/pipeline/test_exclusion.py",
    "destinations/segment/payload/test_random.py",
    "destinations/store/test_ledger.py::test_any_selection",
)


def main() -> int:
    """The exit code of pytest, which gets the arguments of this script as well."""
    seed = random.randrange(2**32)
    print(f"--hypothesis-seed={seed}", flush=True)
    # -P: the installed package, not the tree that this is run in.
    command = [sys.executable, "-P", "-m", "pytest", f"--hypothesis-seed={seed}", *sys.argv[1:]]
    files = [_FUZZ, *(_TESTS / name for name in _MORE)]
    others = [f"--ignore={path}" for path in files if "::" not in path.name]
    codes = [
        subprocess.run([*command, *map(str, files)], check=False).returncode,
        subprocess.run(
            [*command, "-m", "hypothesis", *others, str(_TESTS)], check=False
        ).returncode,
    ]
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
