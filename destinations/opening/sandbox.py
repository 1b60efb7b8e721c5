"""Start the sandbox of a destination by its name."""

from __future__ import annotations

from pathlib import Path

from destinations.opening.binding import open_definition
from destinations.runtime.plugins import RunningSandbox
from destinations.sandbox.starting import start_sandbox

__all__ = ["open_sandbox"]


def open_sandbox(
    destination: str | Path, *, seed: Path | None = None, api: str = "current"
) -> RunningSandbox:
    """Start the stand-in for a partner; use it as a context manager.

    It is that of the destination's plugin, or else made from its definition. ``destination`` is a
    name or folder. Only plugins take a ``seed``, a file that fills the sandbox, and another ``api``
    of the partner: raises `UsageError` if there is no such.
    """
    definition, plugin = open_definition(str(destination))
    return start_sandbox(definition, plugin, seed=seed, api=api)
