"""Take the versions of the partner's API out of URLs, as Segment asks for in one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from destinations.kit.exporter.literals import comment, text

__all__ = ["VersionFile", "versions_in"]

_VERSION: Final = re.compile(
    r"((?<![A-Za-z0-9])v\d+(?:\.\d+)*(?![A-Za-z0-9])|\b20\d\d-\d\d(?:-\d\d)?\b)"
)


def versions_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the versions that URLs name, such as ``v1``, each once."""
    return tuple(dict.fromkeys(one for each in texts for one in _VERSION.findall(each)))


class VersionFile:
    """Writes ``versioning-info.ts``, and names its constants."""

    def __init__(self, name: str, versions: tuple[str, ...]) -> None:
        self._name = name
        several = len(versions) > 1
        self.constants = {
            version: f"API_VERSION_{re.sub('[^0-9A-Za-z]', '_', version).upper()}"
            if several
            else "API_VERSION"
            for version in versions
        }

    def source(self) -> str:
        """Return the text of the file."""
        if not self.constants:
            return (
                comment(f"The requests to {self._name} name no version of its API.") + "export {}\n"
            )
        parts = [
            comment(f"The version of {self._name}'s API that requests name.")
            + f"export const {constant} = {text(version)}\n"
            for version, constant in self.constants.items()
        ]
        return "\n".join(parts)

    def code(self, piece: str) -> tuple[str, list[str]]:
        """Return the expression of a text with constants for the versions in it, and these."""
        parts, used = [], []
        for at, one in enumerate(_VERSION.split(piece)):
            # Versions stand between the texts around them.
            constant = self.constants.get(one) if at % 2 else None
            if constant is not None:
                parts.append(constant)
                used.append(constant)
            elif one:
                parts.append(text(one))
        return " + ".join(parts) or "''", used
