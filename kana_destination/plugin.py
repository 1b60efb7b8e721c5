"""The plugin that the entry point names: what Kana adds to its definition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from destinations import Generator, UsageError
from kana_destination.identify import identify
from kana_destination.sandbox_process import SandboxProcess

__all__ = ["KanaPlugin"]


class KanaPlugin:
    """Generators and sandbox of the destination ``kana``; see `destinations.Plugin`."""

    generators: Mapping[str, Generator] = {"identify": identify}

    def start_sandbox(
        self, *, seed: Path | None, port: int = 0, db: Path | None = None, api: str = "current"
    ) -> SandboxProcess:
        """Starts the sandbox in a process of its own, so that it has a core of its own."""
        if api not in {"current", "documented"}:
            msg = f"the Kana sandbox has the APIs current and documented, not {api!r}"
            raise UsageError(msg)
        return SandboxProcess(seed=seed, port=port, db=db, api=api)
