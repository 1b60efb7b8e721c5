"""Compare the names of accounts at a partner."""

from __future__ import annotations

__all__ = ["folded"]


def folded(name: str) -> str:
    """Return what a name is compared by: an address that two users share may be spelled twice."""
    return name.strip().casefold()
