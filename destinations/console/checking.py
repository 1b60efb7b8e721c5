"""Check whether a server could run the console of its configuration, without starting it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.extras import missing_library
from destinations.server import ServeConfig

__all__ = ["check_console"]

_LIBRARIES: Final = ("argon2", "jinja2", "starlette")


def check_console(config: ServeConfig, path: Path) -> list[str]:
    """Return warnings about the console of a configuration.

    Raises for a console that could not run: `MissingExtraError`, `DefinitionError`, `UsageError`.

    ``path`` is where the configuration was read. The libraries are not loaded: the memory of the
    console is that of its own process.
    """
    if config.console is None:
        return []
    for library in _LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise missing_library(library, "console", "the console")
    if path.is_fifo():
        msg = f"{path} is a pipe, which the console cannot read as well: name a regular file"
        raise UsageError(msg)
    if config.console.users is not None:
        from destinations.console.users import (  # noqa: PLC0415 - with an extra
            first_user,
            read_users,
        )

        users = config.console.users
        if not read_users(users):
            return [f"{users}: nobody may sign in to the console yet: {first_user(users)}"]
    return []
