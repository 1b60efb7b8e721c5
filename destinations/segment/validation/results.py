"""Hold the result of checking a payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["Change", "ChangeKind", "Checked", "FieldError"]

ChangeKind = Literal["dropped", "coerced", "empty"]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a payload: the JSON pointer of the field, and what it must be."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the payload'} {self.message}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that checking changed; ``after`` is UNDEFINED for what was taken out.

    ``dropped``: the fields do not know the key. ``empty``: an empty value of a known field.
    ``coerced``: turned into the type of the field.
    """

    path: str
    kind: ChangeKind
    before: Any
    after: Any


class Checked(NamedTuple):
    """The payload as it was made to fit, every error in it, and the changes if asked for."""

    payload: Any
    errors: tuple[FieldError, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return not self.errors
