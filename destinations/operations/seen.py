"""Recognise a database that was put back to an earlier point in time.

What was delivered since then would be delivered again. Nothing in the database says so: each
machine notes in the state folder of its user how far the database was, for its next start.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.postgres import option_of
from destinations.store import OpenStore, Reached, make_file, make_folder, sync

__all__ = ["as_far_as_seen", "check_seen", "note_seen", "noting_seen", "state_path"]

_LOG: Final = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 60.0


if sys.platform == "linux":

    def _state_folder() -> Path | None:
        """Return the folder of the XDG Base Directory Specification; None without a home."""
        named = Path(os.environ.get("XDG_STATE_HOME", ""))
        if named.is_absolute():
            return named / "destinations"
        home = Path(os.environ.get("HOME", ""))
        return home / ".local" / "state" / "destinations" if home.is_absolute() else None

else:
    import platformdirs

    def _state_folder() -> Path | None:
        """Return where this operating system has it."""
        return Path(platformdirs.user_state_dir("destinations", appauthor=False))


def state_path(store: OpenStore) -> Path | None:
    """Return the path of a database in the state folder, before the ending; None without one."""
    folder = _state_folder()
    return None if folder is None else folder / store.uuid


@contextlib.contextmanager
def as_far_as_seen(store: OpenStore) -> Iterator[None]:
    """Let the caller deliver from a store, unless it was put back; note how far it gets.

    Raises as `check_seen`. What waits in a copy that was loaded elsewhere gets its order back.
    """
    check_seen(store)
    store.mend_order()
    with noting_seen(store):
        yield


def check_seen(store: OpenStore) -> None:
    """Raise `UsageError` if a store is not as far as it was when it was last noted here."""
    now = store.reached()
    before = _noted(store)
    if now is None or before is None:
        return
    why = now.why_behind(before)
    if why is not None:
        raise UsageError(
            f"cannot deliver from the store {store.shown}: it was put back to an earlier point in "
            f"time ({why}), and what was delivered since would be delivered again; say so with: "
            f"destinations store restore --in-place{option_of(store)}"
        )


def _noted(store: OpenStore) -> Reached | None:
    path = state_path(store)
    if path is None:
        return None
    try:
        return Reached(**json.loads(_seen(path).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _seen(path: Path) -> Path:
    return path.with_name(f"{path.name}.seen")


def note_seen(store: OpenStore) -> None:
    """Note how far a store is, in one step. Raises OSError, and `UsageError` as reading it."""
    found = store.reached()
    path = state_path(store)
    if found is None or path is None:
        return
    path = _seen(path)
    # Containers that share the folder may have the same numbers of processes.
    new = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        make_folder(path.parent)
        new.unlink(missing_ok=True)
        make_file(new)
        new.write_text(json.dumps(found._asdict()), "ascii")
        sync(new)
        new.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


@contextlib.contextmanager
def noting_seen(store: OpenStore, every: float = _EVERY_SECONDS) -> Iterator[None]:
    """Note how far a store is, now, every so many seconds, and at the end.

    Where it cannot be noted, that is logged once.
    """
    if store.reached() is None:
        yield
        return
    stop = threading.Event()
    failed: list[str] = []

    def note() -> None:
        try:
            note_seen(store)
        except (OSError, UsageError) as error:
            if not failed:
                _LOG.warning("cannot note how far the store is: %s", error)
            failed.append(str(error))

    def run() -> None:
        while not stop.wait(every):
            note()

    note()
    thread = threading.Thread(target=run, name="seen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        note()
