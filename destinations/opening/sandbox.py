"""Start the sandbox of a destination by its name."""

from __future__ import annotations

from pathlib import Path

from destinations.opening.binding import open_definition
from destinations.runtime.plugins import RunningSandbox, start_sandbox

__all__ = ["open_sandbox"]


def open_sandbox(
    destination: str | Path, *, seed: Path | None = None, api: str = "current"
) -> RunningSandbox:
    """Start the stand-in for a partner that a plugin brings; use it as a context manager.

    ``destination`` is a name or folder, ``seed`` a file that fills the sandbox, and ``api`` the
    partner's API that it speaks. Raises `UsageError` if there is no sandbox.
    """
    definition, plugin = open_definition(str(destination))
    return start_sandbox(definition, plugin, seed=seed, api=api)
