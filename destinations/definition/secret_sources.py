"""Values that settings and configurations only name: where secrets come from.

``${NAME}`` and ``{env: NAME}`` name an environment variable, ``{file: PATH}`` names a file. Text
may hold ``${NAME}`` among other characters.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from destinations.definition.input_files import path_issue, read_input
from destinations.secrets import Secret

__all__ = [
    "NAME_IT",
    "NAME_ONE",
    "SHORTEST",
    "SourceError",
    "SourceMissingError",
    "Sources",
    "names_a_secret",
]

NAME_IT: Final = "must be {env: NAME}, {file: PATH} or ${NAME}, not the secret itself"

NAME_ONE: Final = "must have exactly one of env and file"

SHORTEST: Final = 16
"""Characters of a key or signature secret: one that can be guessed keeps no one out."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_BYTES: Final = 64 * 1024


class SourceError(Exception):
    """The value that is named cannot be had; says why, never what it is."""


class SourceMissingError(SourceError):
    """The named variable or file does not exist, though it may be made later."""


class Sources:
    """Looks values up; relative paths are relative to ``folder``."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self.variables: set[str] = set()
        """The environment variables that were looked up."""

    def value(self, given: Any) -> Any:
        """Return ``given`` with what it names in its place, once: what comes is not looked into.

        Raises `SourceError`, also if a value that is only named is empty.
        """
        if isinstance(given, str):
            if names_a_secret(given):
                return self._filled(given)
            self._require(*_VARIABLE.findall(given))
            return _VARIABLE.sub(lambda match: self._environment[match.group(1)], given)
        if isinstance(given, dict) and given.keys() == {"env", "file"}:
            raise SourceError(NAME_ONE)
        return self._filled(given) if names_a_secret(given) else given

    def secret(self, given: Any, fault: Callable[[str], str | None] | None = None) -> Secret:
        """Return the key or signature secret that ``given`` names.

        Raises `SourceError`, also for one that no sender can send or that can be guessed. With
        ``fault``, this function says instead what is wrong with a value, without showing it.
        """
        if not names_a_secret(given):
            raise SourceError(NAME_IT)
        value = self._filled(given)
        issue = (fault or _unfit)(value)
        if issue is not None:
            raise SourceError(f"{self._origin(given)} {issue}")
        return Secret(value)

    def exposed(self, given: Any) -> Path | None:
        """Return the file that ``given`` names, if every user of this machine may read it."""
        if os.name != "posix" or not (isinstance(given, dict) and names_a_secret(given)):
            return None
        if "file" not in given:
            return None
        path = self._folder / str(given["file"])
        try:
            return path if path.stat().st_mode & stat.S_IROTH else None
        except (OSError, ValueError):  # reading it says what is wrong with it
            return None

    def _filled(self, given: Any) -> str:
        """Return the secret that a value names (see `names_a_secret`); raises if it is empty."""
        if isinstance(given, str):
            value = self._variable(given.removeprefix("${").removesuffix("}"))
        else:
            value = self._variable(given["env"]) if "env" in given else self._file(given["file"])
        if not value:
            raise SourceError(f"{self._origin(given)} is empty")
        return value

    def _origin(self, given: Any) -> str:
        if isinstance(given, str):
            return f"the environment variable {given.removeprefix('${').removesuffix('}')}"
        if "env" in given:
            return f"the environment variable {given['env']}"
        return f"the file {self._folder / given['file']}"

    def _require(self, *names: str) -> None:
        self.variables.update(names)
        missing = list(dict.fromkeys(name for name in names if name not in self._environment))
        if len(missing) == 1:
            raise SourceMissingError(f"the environment variable {missing[0]} is not set")
        if missing:
            raise SourceMissingError(f"environment variables are not set: {', '.join(missing)}")

    def _variable(self, name: str) -> str:
        self._require(name)
        return self._environment[name]

    def _file(self, name: str) -> str:
        path = self._folder / name
        issue = path_issue(name)
        if issue is not None:
            raise SourceError(f"the path {name!r} {issue}")
        try:
            data = read_input(path, limit=_MAX_BYTES + 1)
            text = data.decode()
        except FileNotFoundError as error:
            msg = f"cannot read the file {path}: {error.strerror}"
            raise SourceMissingError(msg) from None
        except OSError as error:
            raise SourceError(f"cannot read the file {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SourceError(f"cannot read the file {path}: it is not UTF-8") from None
        if len(data) > _MAX_BYTES:
            raise SourceError(f"the file {path} is longer than {_MAX_BYTES:,} bytes")
        return text.removesuffix("\n").removesuffix("\r")


def names_a_secret(given: Any) -> bool:
    """Return whether a value names where it is, and is not there itself."""
    if isinstance(given, str):
        return _VARIABLE.fullmatch(given) is not None
    if not isinstance(given, dict) or len(given) != 1:
        return False
    return isinstance(given.get("env", given.get("file")), str)


def _unfit(value: str) -> str | None:
    """Return the fault of a key or signature secret, without showing it; None if it has none."""
    if not value.strip():
        return "holds only white space"
    if any(character in value.rstrip() for character in "\r\n"):
        return "has several lines; it must hold one key, and nothing else"
    if value != value.strip():
        return "begins or ends with white space"
    if not (value.isascii() and value.isprintable()):
        return "has characters that a header cannot carry: expected printable ASCII"
    if len(value) < SHORTEST:
        return (
            f"has {len(value)} character{'s' * (len(value) > 1)}; a key needs at least {SHORTEST}: "
            "openssl rand -hex 32 makes a good one"
        )
    return None
