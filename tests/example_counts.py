"""How many examples tests have that hypothesis makes examples for."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["FUZZ_EXAMPLES", "examples"]

_USUAL: Final = 40
FUZZ_EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", str(_USUAL)))
"""How many a fuzz test has."""


def examples(usual: int) -> int:
    """Return how many examples a test has that usually has so many.

    They are as many times more as fuzz tests have then; see ``fuzz/seeded.py``.
    """
    return max(1, usual * FUZZ_EXAMPLES // _USUAL)
