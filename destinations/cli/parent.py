"""End with the process that started this one, however that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TextIO

__all__ = ["watch_parent"]


def watch_parent(stream: TextIO, ended: Callable[[], None]) -> None:
    """Call ``ended`` once the other end of a pipe is closed, as by the end of its process."""

    def wait() -> None:
        while stream.readline():  # nothing comes
            pass
        ended()

    threading.Thread(target=wait, name="parent", daemon=True).start()
