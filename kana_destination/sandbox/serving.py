"""Serve a sandbox from a command: print its address, then wait until it is to stop."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import TextIO

from kana_destination.sandbox.sandbox import Sandbox

__all__ = ["serve"]

_READ_SIZE = 4096
_COLLECT_AFTER = 50_000


def serve(sandbox: Sandbox, *, until_eof: bool = False, out: TextIO | None = None) -> None:
    """Start the sandbox, print one JSON line ``{"url", "apiKey"}``, and serve until it is stopped.

    It stops on SIGTERM and SIGINT. With ``until_eof`` it also stops when standard input ends, as it
    does when the parent process dies. Call it from the main thread. Raises what
    :meth:`Sandbox.start` raises.
    """
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    threshold = gc.get_threshold()
    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with sandbox:
            ready = json.dumps({"url": sandbox.url, "apiKey": sandbox.api_key})
            print(ready, file=out or sys.stdout, flush=True)
            # The schema is never freed, and requests leave few cycles: collect garbage rarely.
            gc.freeze()
            gc.set_threshold(_COLLECT_AFTER)
            if until_eof:
                threading.Thread(target=_wait_for_eof, args=(stopped,), daemon=True).start()
            stopped.wait()
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait_for_eof(stopped: threading.Event) -> None:
    # The descriptor itself: a thread blocked in sys.stdin would hold its lock at exit.
    with suppress(OSError):
        while os.read(0, _READ_SIZE):
            continue
    stopped.set()
