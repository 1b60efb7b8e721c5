"""Libraries that not every command needs: each comes with an extra of the package."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.errors import MissingExtraError

__all__ = ["install_line", "libraries_of", "missing_library", "pip_install"]

_PACKAGE: Final = "kana-destination"


@contextmanager
def libraries_of(extra: str, needed_by: str = "this command") -> Iterator[None]:
    """Import the libraries of an extra within; raises `MissingExtraError` if one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == __name__.partition(".")[0]:  # a fault of this package, which no extra cures
            raise
        raise missing_library(library, extra, needed_by) from error


def missing_library(library: str, extra: str, needed_by: str = "this command") -> MissingExtraError:
    """Return the error that names a missing library, its extra, and the command that installs it.

    The command works without a release on an index: it installs from where this package came.
    """
    where, line = _installing(extra)
    message = (
        f"{needed_by} needs the library {library}, which is not installed; "
        f"install the extra {extra}{where}: {line}"
    )
    return MissingExtraError(message)


def install_line(extra: str) -> str:
    """Return the command that installs an extra from where this package came."""
    return _installing(extra)[1]


def _installing(extra: str) -> tuple[str, str]:
    """Return from where the command installs that is the second, if that is not said by itself."""
    origin = _origin()
    if origin is None:
        return "", pip_install(f"{_PACKAGE}[{extra}]")
    if found := _requirement(origin, extra):
        return "", pip_install(*found)
    return " from a checkout of this package", pip_install(f".[{extra}]")


def pip_install(*arguments: str) -> str:
    """Return the command that installs into the environment of this process, quoted for a shell."""
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", *arguments])


def _requirement(origin: Mapping[str, Any], extra: str) -> list[str] | None:
    """Return the arguments for pip; None if the source of the package is gone."""
    url = str(origin["url"])
    if control := origin.get("vcs_info"):
        return [f"{_PACKAGE}[{extra}] @ {control['vcs']}+{url}@{control['commit_id']}"]
    if not url.startswith("file:"):
        return [f"{_PACKAGE}[{extra}] @ {url}"]
    # Here, as it takes longer than all else: each process that needs an extra would wait for it.
    from urllib.request import url2pathname  # noqa: PLC0415

    path = Path(url2pathname(urlsplit(url).path))
    if not path.exists():
        return None
    editable = ["--editable"] if origin.get("dir_info", {}).get("editable") else []
    return [*editable, f"{path}[{extra}]"]


def _origin() -> dict[str, Any] | None:
    """Return pip's note about the source of the package; None if it came from an index.

    The note is ``direct_url.json``: packaging.python.org/en/latest/specifications/direct-url/
    """
    import importlib.metadata  # noqa: PLC0415 - as in `_requirement`

    with suppress(importlib.metadata.PackageNotFoundError):
        noted = importlib.metadata.distribution(_PACKAGE).read_text("direct_url.json")
        if noted is not None:
            origin: dict[str, Any] = json.loads(noted)
            return origin
    # A checkout may be started without being installed, or be left with what a build makes in it.
    checkout = Path(__file__).parents[1]
    return {"url": checkout.as_uri()} if (checkout / "setup.cfg").is_file() else None
