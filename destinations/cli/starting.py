"""Signals that come before a command has anything to lose, while its modules are loaded."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Final

from destinations.pipeline.signal_handlers import SignalHandlers

__all__ = ["WITH_SERVER", "Starting"]

WITH_SERVER: Final = "--with-server"
"""What a server gives to the commands that it runs itself; their output is its log."""


class Starting(SignalHandlers):
    """While entered, a signal ends the command without a traceback.

    Until `loaded` it ends the process at once: an exception in the middle of an import may end up
    anywhere. After that it raises `KeyboardInterrupt`, unless the command handles signals itself.
    The exit code is 0 for a server, which was asked to stop, and 130 for all other commands. A
    server ignores SIGHUP until then: its configuration is not read yet. Ignored signals, as SIGHUP
    is under ``nohup``, stay so.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__()
        self._serves = arguments[:1] == ["serve"] and "--check" not in arguments
        self._has_log = WITH_SERVER in arguments
        self._is_loaded = False

    def loaded(self) -> None:
        """Tell that the command begins."""
        self._is_loaded = True

    def received(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as handlers are
        """End the command, or let it end itself."""
        if self._serves and signal.Signals(number).name == "SIGHUP":
            return
        if self._is_loaded:
            raise KeyboardInterrupt
        if self._has_log:  # of its server, in which plain text has no place
            os._exit(130)
        os.write(2, b"Stopped before it began.\n" if self._serves else b"Interrupted.\n")
        os._exit(0 if self._serves else 130)
