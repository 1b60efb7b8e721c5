"""Where tests can keep files in memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["folder_in_memory"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the tests' own folders are made in it
_MEMORY_BYTES: Final = 2 * 1024**3
"""The room in memory that the folders of failed tests, and of tests under way, never fill."""


def folder_in_memory() -> Path | None:
    """Return a folder that is in memory; None if there is none with enough room.

    Tests make thousands of stores, each with dozens of syncs: a disk takes half of their time, and
    shows nothing, as no test ends the machine.
    """
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES:
        return _MEMORY
    return None
