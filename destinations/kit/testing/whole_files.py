"""Write files so that a reader never finds a part of one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["make_file", "replace_file"]


def make_file(path: Path, content: bytes) -> None:
    """Make a new file with ``content``; raises `OSError`, FileExistsError if there is one."""
    fresh = _written(path, content)
    try:
        # Unlike a renaming, a link never replaces a file that was made since.
        os.link(fresh, path)
    finally:
        fresh.unlink()


def replace_file(path: Path, content: bytes) -> None:
    """Give a file new ``content``; raises `OSError`, and then leaves it as it was."""
    fresh = _written(path, content)
    try:
        fresh.replace(path)
    except OSError:
        fresh.unlink()
        raise


def _written(path: Path, content: bytes) -> Path:
    """Return a file next to ``path``, with a name of its own, that holds ``content``."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with fresh.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return fresh
