"""Segment's runtime in a Node process, as a benchmark talks to it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["Peer", "Way", "node_command"]

Way = Literal["onEvent", "onBatch"]


class Peer:
    """One Node process; it holds one definition at a time."""

    def __init__(self, folder: Path) -> None:
        """``folder`` has the packages of `benchmarks.reference.install`."""
        self._process = subprocess.Popen(
            node_command("peer.mjs", folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_ENV": "production"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def load(self, definition: dict[str, Any], events: Sequence[bytes]) -> list[int]:
        """Takes a definition with events; returns the numbers of those to compare on.

        Left out are events for which it gives different payloads in a batch, singly, or after
        another subscription.
        """
        texts = [event.decode() for event in events]
        numbers: list[int] = self._ask(do="load", definition=definition, events=texts)["events"]
        return numbers

    def payloads(self, way: Way) -> list[list[Any]]:
        """For each subscription, the payloads that it makes of the events, in their order."""
        payloads: list[list[Any]] = self._ask(do="payloads", way=way)["payloads"]
        return payloads

    def round(self, way: Way, rounds: int) -> tuple[float, int]:
        """Processor seconds for ``rounds`` times 1,000 events, and the payloads made."""
        answer = self._ask(do="round", way=way, rounds=rounds)
        return answer["seconds"], answer["payloads"]

    def _ask(self, **request: object) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both are pipes
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit(f"Segment's runtime ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def node_command(script: str, folder: Path) -> list[str]:
    """The command for a script of this folder."""
    return ["node", str(Path(__file__).with_name(script)), str(folder)]
