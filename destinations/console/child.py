"""Keep the console running as a child of a server: in a process of its own, with its own memory."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from destinations.clock import Clock, SystemClock

__all__ = ["ConsoleChild", "command_line"]

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LONG_ENOUGH: Final = 60.0
"""The seconds after which one that has ended is started again at once."""
_END_SECONDS: Final = 10.0


def command_line(path: Path) -> list[str]:
    """Return the command that runs the console of a configuration for a server."""
    # -P keeps modules in the working directory from taking the place of others.
    return [
        *(sys.executable, "-P", "-m", "destinations"),
        *("console", "--config", str(path), "--with-server"),
    ]


class ConsoleChild:
    """The child of a server; started again with growing pauses if it ends by itself.

    It ends with its server, however that ends: it reads from a pipe that nobody writes to.
    """

    def __init__(self, command: list[str], clock: Clock | None = None) -> None:
        self._command = command
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        # Ends a pause: at the end, or as another configuration may mend what was wrong.
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="console", daemon=True)

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        with self._lock:
            return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, and see to it from now on."""
        self._thread.start()

    def reload(self) -> None:
        """Let it read its configuration again; one that waits for its next start begins at once."""
        with self._lock:
            self._wake.set()
            if self._process is not None and hasattr(signal, "SIGHUP"):
                self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it; safe to repeat."""
        self._stop.set()
        with self._lock:
            self._wake.set()
            process = self._process
            if process is not None:
                process.terminate()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)
            if self._thread.is_alive() and process is not None:
                process.kill()
                self._thread.join()

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            began = self._clock.monotonic()
            code = self._run()
            if self._stop.is_set():
                return
            lived = self._clock.monotonic() - began
            if lived >= _LONG_ENOUGH:
                pause = _FIRST_PAUSE
            if code == 0 and lived >= _FIRST_PAUSE:  # it wants another configuration
                continue
            _LOG.warning("console ended", extra={"exit_code": code, "again_in": pause})
            is_woken = self._clock.wait(pause, self._wake)
            if self._stop.is_set():
                return
            pause = _FIRST_PAUSE if is_woken else min(2 * pause, _LONGEST_PAUSE)

    def _run(self) -> int | None:
        """Run it until it ends, and return its exit code; None if it could not be started."""
        try:
            with self._lock:
                if self._stop.is_set():
                    return None
                self._wake.clear()  # it reads what there is now
                self._process = subprocess.Popen(  # noqa: S603 - this Python, with our own module
                    self._command,
                    stdin=subprocess.PIPE,
                    # Ctrl-C is for the server, which ends it.
                    process_group=None if sys.platform == "win32" else 0,
                )
                process = self._process
        except OSError as error:
            _LOG.warning("console not started: %s", error)
            return None
        try:
            return process.wait()
        finally:
            with self._lock:
                self._process = None
            if process.stdin is not None:
                process.stdin.close()
