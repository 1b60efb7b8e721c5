"""Workers that die."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest


class Workers:
    """Makes processes that deliver; see ``worker.py``."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "worker.log"
        self._stderr = self.log.open("wb")
        # -P: the package that is installed, not a folder of that name where the tests are run.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "error", str(Path(__file__).parent / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )

    def run(self, task: Mapping[str, Any]) -> int:
        """The exit code of one process, or minus the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    @staticmethod
    def kill_at_steps(run: Callable[[int], int], every: int) -> Iterator[int]:
        """Kills a command at each so many-th step, and at the last ones; yields after each.

        ``run`` makes the place anew, runs the command until a step, and gives its exit code.
        """
        for nth in itertools.count(1, every):
            end = run(nth)
            if end == 0:
                break
            assert end == -signal.SIGKILL
            yield nth
        # The last steps exchange what is there, and nobody knows beforehand which ones that are:
        # more of them are looked at than of the others, and all of them in the long form.
        for behind in range(max(1, nth - 2 * every), nth, 3) if every > 1 else ():
            if run(behind) == -signal.SIGKILL:
                yield behind

    def close(self) -> None:
        """Ends the process that makes them."""
        self._process.communicate()
        self._stderr.close()


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Processes that deliver."""
    made = Workers(tmp_path_factory.mktemp("workers"))
    yield made
    made.close()
