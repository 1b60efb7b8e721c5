"""Values that JavaScript has and JSON lacks, and tests of any value.

JSON values are those of ``json.loads``: dict, list, str, int, float, bool, None.
"""

from __future__ import annotations

from typing import Any, Final, final

__all__ = ["UNDEFINED", "NativeFunction", "Undefined", "article", "is_truthy", "type_name"]


@final
class Undefined:
    """The type of :data:`UNDEFINED`; there is one instance."""

    __slots__ = ()
    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        """Return the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"

    def __copy__(self) -> Undefined:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Undefined:
        return self

    def __reduce__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()
"""JavaScript's value of a missing key: falsy, and never equal to ``None``."""


@final
class NativeFunction:
    """A method that JavaScript values inherit (``"x".trim``, ``{}.toString``).

    A path that ends in such a name finds it. It is truthy and prints as source text. It is not a
    JSON value, so it vanishes from results.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"function {self.name}() {{ [native code] }}"


def is_truthy(value: object) -> bool:
    """Return whether JavaScript takes ``value`` for true: empty objects and arrays, but not NaN."""
    if isinstance(value, dict | list):
        return True
    return bool(value) and value == value  # noqa: PLR0124 - only NaN differs from itself


def type_name(value: object) -> str:
    """Return ``object``, ``array``, ``string``, ``number``, ``boolean``, ``null``, ``undefined``.

    A value outside of JSON is named by its Python type.
    """
    if value is None:
        return "null"
    for types, name in _NAMES:
        if isinstance(value, types):
            return name
    return type(value).__name__


_NAMES: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (dict, "object"),
    (list, "array"),
    (Undefined, "undefined"),
    (NativeFunction, "function"),
)


def article(noun: str) -> str:
    """Return ``noun`` with ``a`` or ``an`` before it."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
