"""Remember what was made of an object that has no hash, such as a definition, by its identity."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["ByIdentity"]

T = TypeVar("T")


class ByIdentity(Generic[T]):
    """A key for `functools.lru_cache`: equal if it is of the very same object, which it keeps."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
