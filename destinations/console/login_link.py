"""A link by which the person at the terminal of a server signs in, once, without a password."""

from __future__ import annotations

import logging
import secrets
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from destinations.console.sessions import is_same
from destinations.console.users import replace_private
from destinations.errors import UsageError
from destinations.server import ServeConfig

__all__ = ["LoginLink", "login_link_path", "own_terminal"]

_LOG = logging.getLogger(__name__)
_TOKEN_BYTES: Final = 32
_FILE: Final = "console-login"


def login_link_path(config: ServeConfig) -> Path:
    """Return the file that the login link of a console is written to."""
    console, address = config.console, config.store.address
    if console is not None and console.login_link is not None:
        return console.login_link
    if isinstance(address, Path):
        return address.resolve().parent / _FILE
    return (Path() if config.path is None else config.path.parent) / _FILE


class LoginLink:
    """Has one token at a time; once it was used, the next one is told.

    It is written to a file that only its owner can read, and to ``terminal``: None where what is
    printed may be read by others, as in a journal. ``url`` is where the console listens. If the
    file cannot be written, as on a full disk, the terminal says why; without one, a warning does.
    """

    def __init__(self, file: Path, url: str, terminal: TextIO | None) -> None:
        self._file = file
        self._url = url
        self._terminal = terminal
        self._lock = threading.Lock()
        self._token = ""
        self.is_written = False
        """Whether the file has the link."""

    def tell(self) -> None:
        """Make the next token, and tell it."""
        with self._lock:
            self._token = secrets.token_urlsafe(_TOKEN_BYTES)
            link = f"{self._url}/login/{self._token}"
        why = ""
        self.is_written = False
        try:
            replace_private(self._file, f"{link}\n")
        except UsageError as error:
            why = str(error)
            self.close()  # one of an earlier link leads nowhere
        if self._terminal is not None:
            only_here = f" (only here: {why})" if why else ""
            self._terminal.write(f"Sign in to the console, once: {link}{only_here}\n")
            self._terminal.flush()
        if not why:
            self.is_written = True
            _LOG.info("login link written", extra={"file": str(self._file)})
        elif self._terminal is not None:
            _LOG.warning("login link not written to its file, only to the terminal: %s", why)
        else:
            _LOG.warning(
                "login link not written: %s; without a terminal and users nobody can sign in: make "
                "room and reload the configuration",
                why,
            )

    def take(self, token: str) -> bool:
        """Return whether a token is the one that was told; then it is used up."""
        with self._lock:
            if not self._token or not is_same(token, self._token):
                return False
            self._token = ""
        self.tell()
        return True

    def close(self) -> None:
        """Remove the file: its link leads nowhere any more."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def own_terminal() -> TextIO | None:
    """Return the terminal of this process, if it has one."""
    return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
