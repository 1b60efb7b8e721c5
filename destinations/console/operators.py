"""Say who asks: an operator with a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

__all__ = ["ROLES", "Operator", "Role"]

Role = Literal["read", "operate"]
"""What one may do: only look, or change something as well."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Operator:
    """A person with a session, or a program with a key, who asks from an ``address``."""

    name: str
    role: Role
    via: Literal["session", "key"]
    address: str

    def may(self, role: Role) -> bool:
        """Return whether one may do what needs a role."""
        return ROLES.index(self.role) >= ROLES.index(role)
