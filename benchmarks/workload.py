"""The events that benchmarks run on, and a sandbox to deliver them to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from destinations.runtime.plugins import RunningSandbox, find_plugin

__all__ = ["EVERY_CASE", "ROOT", "example_lines", "sandbox", "settings_file", "track_file"]

ROOT = Path(__file__).resolve().parent.parent
EVERY_CASE = ROOT / "tests" / "fixtures" / "examples" / "every-case.ndjson"
"""Example events of every case, everyday or odd; ``examples/make_events.py`` makes them."""


def example_lines() -> list[bytes]:
    """The lines of the example that are events of Kana's two actions."""
    lines = EVERY_CASE.read_bytes().splitlines()
    return [line for line in lines if b'"track"' in line or b'"identify"' in line]


@contextlib.contextmanager
def track_file(events: int, users: int = 12) -> Iterator[Path]:
    """A file of plain track events: 12 users are those of the sandbox's example account."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.ndjson"
        script = ROOT / "examples" / "make_events.py"
        command = [sys.executable, str(script), "--out", str(path), "--plain-track", str(events)]
        command += ["--users", str(users)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield path


@contextlib.contextmanager
def sandbox(seed: Path | None = None) -> Iterator[RunningSandbox]:
    """A Kana sandbox in a process of its own, with the account of a seed or its example."""
    plugin = find_plugin("kana")
    if plugin is None:
        raise SystemExit("install the package first: pip install .")
    running = plugin.start_sandbox(seed=seed)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def settings_file(running: RunningSandbox) -> Iterator[Path]:
    """A settings file that leads to the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(dict(running.settings)), encoding="utf-8")
        yield path
