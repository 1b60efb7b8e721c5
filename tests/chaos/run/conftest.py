"""``destinations run`` in processes that are ended from outside, and a partner that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ForkedPopen

PATIENCE = 60.0
SOON = 0.005


class Runs:
    """The command ``run`` with one store: one process after another."""

    def __init__(self, folder: Path, store: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._store = store
        self._settings = folder / "settings.json"
        self._settings.write_text(json.dumps(settings), encoding="utf-8")
        self._started: list[subprocess.Popen[bytes]] = []
        self._feeders: list[threading.Thread] = []

    @property
    def log(self) -> bytes:
        """What all of them wrote."""
        return b"".join(
            self._output(number, kind).read_bytes()
            for number in range(len(self._started))
            for kind in ("out", "err")
        )

    @property
    def report(self) -> Any:
        """What the last process printed at its end; None if it did not come to that."""
        text = self._output(len(self._started) - 1, "out").read_text("utf-8")
        return json.loads(text) if text else None

    @property
    def errors(self) -> bytes:
        """What the last process said beside that."""
        return self._output(len(self._started) - 1, "err").read_bytes()

    def start(
        self, *more: str, lines: Sequence[bytes] | None = None, stdin: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a process with further arguments; ``lines`` are brought by a pipe, in pieces."""
        # -P: the package that is installed, not a folder of that name where the tests are run.
        command = [sys.executable, "-P", "-W", "error", str(Path(__file__).parent / "process.py")]
        command += ["run", "kana", "--settings", str(self._settings), "--store", str(self._store)]
        number = len(self._started)
        with (
            self._output(number, "out").open("wb") as out,
            self._output(number, "err").open("wb") as err,
        ):
            process = ForkedPopen[bytes](
                [*command, "--json", *more],
                stdin=stdin or (subprocess.DEVNULL if lines is None else subprocess.PIPE),
                stdout=out,
                stderr=err,
            )
        self._started.append(process)
        if lines is not None:
            self._feeders.append(threading.Thread(target=_feed, args=(process, lines)))
            self._feeders[-1].start()
        return process

    def run(self, *more: str, lines: Sequence[bytes] | None = None) -> int:
        """Runs one to its end; the exit code."""
        return self.start(*more, lines=lines).wait(PATIENCE)

    def close(self) -> None:
        """Leaves nothing behind."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for feeder in self._feeders:
            feeder.join()

    def _output(self, number: int, kind: str) -> Path:
        return self._folder / f"run-{number}.{kind}"


def _feed(process: subprocess.Popen[bytes], lines: Sequence[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        for start in range(0, len(lines), 7):
            process.stdin.write(b"".join(lines[start : start + 7]))
            process.stdin.flush()
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.002)


@pytest.fixture
def runs(tmp_path: Path, ledger: Any) -> Iterator[Callable[[Mapping[str, str]], Runs]]:
    """Makes runs with settings, on the store of this test."""
    made: list[Runs] = []

    def make(settings: Mapping[str, str]) -> Runs:
        made.append(Runs(tmp_path, ledger.path, settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def end() -> Callable[..., int]:
    """Sends a signal to a process once a condition holds, unless it is over; its exit code."""

    def send(
        process: subprocess.Popen[bytes], number: signal.Signals, is_so: Callable[[], bool]
    ) -> int:
        give_up = time.monotonic() + PATIENCE
        while process.poll() is None and not is_so():
            assert time.monotonic() < give_up, "it did not become so"
            with suppress(subprocess.TimeoutExpired):
                process.wait(SOON)
        if process.poll() is None:
            os.kill(process.pid, number)
        return process.wait(PATIENCE)

    return send
