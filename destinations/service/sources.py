"""Values that a configuration only names: ``${NAME}``, ``{env: NAME}`` and ``{file: PATH}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from destinations.secrets import Secret

__all__ = ["NAME_IT", "SourceError", "Sources", "names_a_secret"]

NAME_IT: Final = (
    "must be {env: NAME}, {file: PATH} or ${NAME}: a secret does not stand in this file"
)

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_BYTES: Final = 64 * 1024


class SourceError(Exception):
    """The value that is named cannot be had; says why, never what it is."""


class Sources:
    """Looks values up; relative paths are relative to ``folder``."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder

    def value(self, given: Any) -> Any:
        """``given`` with what it names in its place; raises `SourceError`."""
        if isinstance(given, str):
            return _VARIABLE.sub(lambda match: self._variable(match.group(1)), given)
        if isinstance(given, dict) and len(given) == 1:
            if isinstance(name := given.get("env"), str):
                return self._variable(name)
            if isinstance(path := given.get("file"), str):
                return self._file(path)
        return given

    def secret(self, given: Any) -> Secret:
        """The secret that ``given`` names; raises `SourceError`, also if it is empty."""
        if not names_a_secret(given):
            raise SourceError(NAME_IT)
        value = str(self.value(given))
        if not value:
            raise SourceError("names an empty value")
        return Secret(value)

    def _variable(self, name: str) -> str:
        if name not in self._environment:
            raise SourceError(f"the environment variable {name} is not set")
        return self._environment[name]

    def _file(self, name: str) -> str:
        path = self._folder / name
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
            text = data.decode()
        except OSError as error:
            raise SourceError(f"cannot read the file {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SourceError(f"cannot read the file {path}: it is not UTF-8") from None
        if len(data) > _MAX_BYTES:
            raise SourceError(f"the file {path} is longer than {_MAX_BYTES:,} bytes")
        return text.removesuffix("\n").removesuffix("\r")


def names_a_secret(given: Any) -> bool:
    """Whether a value names where it is, and is not there itself."""
    if isinstance(given, str):
        return _VARIABLE.fullmatch(given) is not None
    return isinstance(given, dict) and len(given) == 1 and bool(given.keys() & {"env", "file"})
