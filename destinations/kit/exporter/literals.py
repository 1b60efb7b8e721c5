"""Write values, names and comments of TypeScript, formatted as Segment's repository formats them.

That is Prettier's style with single quotes, no semicolons and lines of 120 characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "WIDTH",
    "Code",
    "comment",
    "file_name",
    "is_identifier",
    "line_comment",
    "literal",
    "member",
    "name_of",
    "text",
    "throwing",
]

WIDTH: Final = 120
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)
_WORDS: Final = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_RESERVED_TEXT: Final = """
    any arguments as async await boolean break case catch class const constructor continue debugger
    declare default delete do else enum eval export exports extends false finally for from function
    get globalThis if implements import in Infinity instanceof interface is let module namespace NaN
    never new null number object of package private protected public require return set static
    string super switch symbol this throw true try type typeof undefined unknown var void while with
    yield
"""
_RESERVED: Final = frozenset(_RESERVED_TEXT.split())
# Files that are beside folders, what repositories leave out, and what Windows has no files of.
_NO_FOLDERS_TEXT: Final = """
    __helpers__ __tests__ batches checks choices conversions escaping generated-types http index
    metadata parameters requests schemas signing tokens versioning-info windows
    dist node_modules
    con prn aux nul com0 com1 com2 com3 com4 com5 com6 com7 com8 com9
    lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9
"""
_NO_FOLDERS: Final = frozenset(_NO_FOLDERS_TEXT.split())
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


@dataclass(frozen=True, slots=True)
class Code:
    """A value that is written as it is, such as a call; its lines are indented as those around."""

    source: str


def is_identifier(name: str) -> bool:
    """Return whether a name can stand in TypeScript without quotes, as a variable too."""
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def name_of(name: str, taken: Iterable[str] = ()) -> str:
    """Return an identifier like a name that none of the ``taken`` ones equals."""
    words = _WORDS.findall(name)
    found = name if is_identifier(name) else "".join([*words[:1], *map(_capital, words[1:])])
    if not is_identifier(found):
        found = f"_{found}" if not _IDENTIFIER.fullmatch(found) else f"{found}_"
    known, unique, number = set(taken), found, 2
    while unique in known:
        unique, number = f"{found}{number}", number + 1
    return unique


def file_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return the name of a folder like a name, other than the ``taken`` ones and files beside it.

    On some machines, names that differ only in case are the same.
    """
    known = {*_NO_FOLDERS, *(one.casefold() for one in taken)}
    found, number = name, 1
    while found.casefold() in known:
        found = f"{name}Action{number}" if number > 1 else f"{name}Action"
        number += 1
    return found


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def text(value: str) -> str:
    """Return a string literal, in the quotes that need fewer escapes."""
    quote = '"' if value.count("'") > value.count('"') else "'"
    return quote + "".join(_escaped(one, quote) for one in value) + quote


def _escaped(character: str, quote: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == quote:
        return "\\" + quote
    is_shown = character.isprintable() or character == " "
    if is_shown or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"


def literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return a value of JSON, with `Code` in any place, as an expression.

    Its later lines are indented by ``indent`` spaces; ``before`` characters stand on its line.
    """
    if isinstance(value, Code):
        return value.source.replace("\n", "\n" + " " * indent)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return _object(value, indent, before)
    if isinstance(value, Sequence):
        return _list(value, indent, before)
    return "undefined" if value is ... else json.dumps(value)


def member(key: str) -> str:
    """Return the key of an object literal."""
    if key == "__proto__":  # otherwise it would set the prototype
        return "['__proto__']"
    return key if _IDENTIFIER.fullmatch(key) else text(key)


def _flat(value: Any) -> str | None:
    """Return a value on one line; None if it has several, or is too long for any."""
    if isinstance(value, Code):
        return None if "\n" in value.source else value.source
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        found = _joined(value.values(), [f"{member(key)}: " for key in value])
        return None if found is None else f"{{ {found} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        is_table = len(value) > 1 and all(
            isinstance(one, Mapping) and len(one) > 1 for one in value
        )
        found = None if is_table else _joined(value, [""] * len(value))
        return None if found is None else f"[{found}]"
    return literal(value)


def _joined(values: Iterable[Any], starts: Sequence[str]) -> str | None:
    """Return values on one line, each after its start; stop as soon as they are too long."""
    parts: list[str] = []
    length = 0
    for start, value in zip(starts, values, strict=True):
        flat = _flat(value)
        length += len(start) + len(flat or "")
        if flat is None or length > WIDTH:
            return None
        parts.append(start + flat)
    return ", ".join(parts)


def _object(value: Mapping[str, Any], indent: int, before: int) -> str:
    flat = _flat(value)
    if flat is not None and (not value or before + len(flat) <= WIDTH - 1):
        return flat
    inner = indent + 2
    lines = [_pair(member(key), one, inner) for key, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


def _pair(key: str, value: Any, indent: int) -> str:
    start = f"{' ' * indent}{key}: "
    written = literal(value, indent, len(start))
    if isinstance(value, str) and len(start) + len(written) > WIDTH - 1:
        return f"{' ' * indent}{key}:\n{' ' * (indent + 2)}{written}"
    return start + written


def _list(value: Sequence[Any], indent: int, before: int) -> str:
    flat = _flat(value)
    if flat is not None and (not value or before + len(flat) <= WIDTH - 1):
        return flat
    inner = " " * (indent + 2)
    lines = [inner + literal(one, indent + 2, indent + 2) for one in value]
    return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"


def throwing(message: str) -> Code:
    """Return a function that throws Segment's error for what is not there, as a member."""
    parts = [text(message), text("NotImplemented"), "501"]
    flat = f"throw new IntegrationError({', '.join(parts)})"
    if len("    ") + len(flat) <= WIDTH:
        return Code(f"() => {{\n  {flat}\n}}")
    inner = ",\n    ".join(parts)
    return Code(f"() => {{\n  throw new IntegrationError(\n    {inner}\n  )\n}}")


def line_comment(value: str) -> str:
    """Return a comment of one line; it never looks like a mark of what is written by hand."""
    return f"// {' '.join(value.split())}".replace("// By hand: ", "// By hand, ")


def comment(value: str, indent: int = 0) -> str:
    """Return a documentation comment of any text; it ends where it should."""
    space = " " * indent
    lines = value.replace("*/", "*\\/").splitlines() or [""]
    if len(lines) == 1:
        return f"{space}/** {lines[0]} */\n"
    return (
        f"{space}/**\n"
        + "".join(f"{space} * {line}".rstrip() + "\n" for line in lines)
        + f"{space} */\n"
    )
