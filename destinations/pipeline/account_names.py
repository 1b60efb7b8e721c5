"""Compare the names of accounts at a partner."""

from __future__ import annotations

__all__ = ["folded"]


def folded(name: str) -> str:
    """Return the form in which names are compared, as an address may be spelled in two ways."""
    return name.strip().casefold()
