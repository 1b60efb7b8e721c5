"""The command ``destinations``: one module for each sub-command, loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from destinations.cli.starting import Starting

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    with Starting(given) as starting:
        # Loading takes a while, and signals must be seen to by then.
        from destinations.cli.group import run  # noqa: PLC0415

        return run(given, starting.loaded)
