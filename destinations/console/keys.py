"""Keys of programs: each with a name and a role, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from destinations.console.operators import Role
from destinations.secrets import Secret, reveal
from destinations.server import ApiKeyConfig

__all__ = ["ApiKeys"]


class ApiKeys:
    """The keys of a configuration."""

    def __init__(self, keys: Sequence[ApiKeyConfig]) -> None:
        self._known = [(_digest(one.key), one.name, one.role) for one in keys]

    def find(self, key: str) -> tuple[str, Role] | None:
        """Return the name and role of a key; None for an unknown one, after just as long."""
        digest, found = _digest(key), None
        for known, name, role in self._known:
            if hmac.compare_digest(digest, known):
                found = (name, role)
        return found


def _digest(key: str | Secret) -> bytes:
    return hashlib.sha256(reveal(key).encode("utf-8", "surrogatepass")).digest()
