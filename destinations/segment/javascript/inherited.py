"""List the methods that JavaScript values inherit (ECMA-262, annex B included).

A path that ends in one of these names finds a function, even if the data has no such key.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ARRAY_MEMBERS",
    "INHERITED_MEMBERS",
    "NUMBER_MEMBERS",
    "OBJECT_MEMBERS",
    "TEXT_MEMBERS",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


OBJECT_MEMBERS: Final = _names(
    "constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf"
    " __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__"
)
ARRAY_MEMBERS: Final = OBJECT_MEMBERS | _names(
    "at concat copyWithin entries every fill filter find findIndex findLast findLastIndex flat"
    " flatMap forEach includes indexOf join keys lastIndexOf map pop push reduce reduceRight"
    " reverse shift slice some sort splice toReversed toSorted toSpliced unshift values with"
)
TEXT_MEMBERS: Final = OBJECT_MEMBERS | _names(
    "anchor at big blink bold charAt charCodeAt codePointAt concat endsWith fixed fontcolor"
    " fontsize includes indexOf isWellFormed italics lastIndexOf link localeCompare match matchAll"
    " normalize padEnd padStart repeat replace replaceAll search slice small split startsWith"
    " strike sub substr substring sup toLocaleLowerCase toLocaleUpperCase toLowerCase toUpperCase"
    " toWellFormed trim trimEnd trimLeft trimRight trimStart"
)
NUMBER_MEMBERS: Final = OBJECT_MEMBERS | _names("toExponential toFixed toPrecision")
INHERITED_MEMBERS: Final = ARRAY_MEMBERS | TEXT_MEMBERS | NUMBER_MEMBERS
"""The names for all types of values."""
