"""Let Python look for garbage less often in a process that delivers for long."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["collect_less_often"]

_YOUNG: Final = 20_000
_OLDER: Final = (20, 50)


def collect_less_often() -> None:
    """Skip what is loaded, and look among the rest after tens of thousands of new objects.

    The objects of an event have no cycles, so looking after every 700 objects, as Python does by
    itself, finds nothing and takes a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *_OLDER)
