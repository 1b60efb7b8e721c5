"""Write regular expressions of definitions in JavaScript's syntax, with the flag ``u``.

Here an expression is one of JSON Schema, in the dialect of the engine that searches it (see
`destinations.segment.patterns`), which takes more than JavaScript does, and reads some of it
otherwise: its ``.`` takes the end of a line in old systems, and its edges of words are those of all
scripts. What has an exact counterpart is translated, and all else is refused. An expression is only
searched, so what it captures, and how much it takes, do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from destinations.segment.json_pointer import pointer

__all__ = ["UnsayablePatternError", "javascript_pattern", "javascript_patterns"]


class UnsayablePatternError(Exception):
    """An expression without an exact counterpart; says why, and what to write instead."""


def javascript_pattern(pattern: str) -> str:
    """Return an expression for ``expression`` in schemas.ts: its beginning may be ``(?i)``.

    Raises `UnsayablePatternError`.
    """
    translation = _Translation(pattern)
    written = translation.made()
    if translation.found_look_around:
        written = _Translation(pattern, looks_around=True).made()
    return written


def javascript_patterns(schema: Any, refuse: Callable[[str, str], None], place: str = "") -> Any:
    """Return a schema with its patterns in JavaScript's syntax.

    ``refuse`` is called with the place and the reason for each that has no counterpart.
    """
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    for keyword, value in schema.items():
        at = place + pointer(keyword)
        if keyword == "pattern" and isinstance(value, str):
            try:
                found[keyword] = javascript_pattern(value)
            except UnsayablePatternError as error:
                refuse(at, str(error))
        elif keyword == "properties":
            found[keyword] = {
                key: javascript_patterns(one, refuse, at + pointer(key))
                for key, one in value.items()
            }
        elif keyword in {"anyOf", "allOf", "oneOf"}:
            found[keyword] = [
                javascript_patterns(one, refuse, at + pointer(number))
                for number, one in enumerate(value)
            ]
        elif keyword in {"additionalProperties", "items", "contains", "not"}:
            found[keyword] = javascript_patterns(value, refuse, at)
    return found


_FLAGS: Final = re.compile(r"\(\?([imsu]+)\)")
_REPEATED: Final = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??", re.ASCII)
_GROUP: Final = re.compile(r"\((?:\?(?:P?<(?P<name>[^=!>][^>]*)>|(?P<flags>[msu]*):|<?[=!]))?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CODE_POINT: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[xuU]\{([0-9a-fA-F]+)\})"
)
_CONTROL: Final = re.compile(r"\\c([A-Za-z])")
_CLASS: Final = re.compile(r"\\[dDsSwW]")
_WHITE: Final = re.compile(r"\\[tnrfv]")
_CATEGORY: Final = re.compile(r"\\([pP])(?:\{([A-Za-z]{1,2})\}|([A-Z]))")
_OPERATION: Final = re.compile(r"&&|--|~~")
_SPECIAL: Final = frozenset(r"\^$.*+?()[]{}|")
_SPECIAL_IN_CLASS: Final = frozenset(r"\]^[-")
_CATEGORIES_TEXT: Final = """
    L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp
"""
_CATEGORIES: Final = frozenset(_CATEGORIES_TEXT.split())
_WORD_SIGNS: Final = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}"
_WORD: Final = f"[{_WORD_SIGNS}]"
_OF_UNICODE: Final[Mapping[str, str]] = {
    r"\d": r"\p{Nd}",
    r"\s": r"\p{White_Space}",
    r"\w": _WORD_SIGNS,
}
"""What the engine takes these for in an expression that looks around; in others they are ASCII."""

_BOUNDARIES: Final[Mapping[str, str]] = {
    r"\b": f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    r"\B": f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
}
_EDGES: Final[Mapping[str, str]] = {r"\A": "^", r"\z": "$"}


def _refuse(what: str, instead: str) -> NoReturn:
    message = f"{what} has no exact counterpart in JavaScript's regular expressions: {instead}"
    raise UnsayablePatternError(message)


class _Translation:
    """One expression, read from its beginning to its end."""

    def __init__(self, pattern: str, *, looks_around: bool = False) -> None:
        flags = _FLAGS.match(pattern)
        given = flags[1] if flags is not None else ""
        self._pattern = pattern
        self._at = 0 if flags is None else flags.end()
        self._ignores_case = "i" in given
        self._scopes = [frozenset(given)]
        self._found: list[str] = ["(?i)"] if self._ignores_case else []
        self._is_repeatable = False
        self._looks_around = looks_around
        self.found_look_around = False

    def made(self) -> str:
        """Return the expression in JavaScript's syntax."""
        while self._at < len(self._pattern):
            self._next()
        return "".join(self._found)

    def _take(self, form: re.Pattern[str]) -> re.Match[str] | None:
        found = form.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _add(self, written: str, *, is_repeatable: bool = True) -> None:
        self._found.append(written)
        self._is_repeatable = is_repeatable

    def _next(self) -> None:
        one = self._pattern[self._at]
        if (repeated := self._take(_REPEATED)) is not None:
            self._repeat(repeated[0])
        elif one == "{":
            _refuse("a { that counts nothing", r"write \{ for the character")
        elif one == "\\":
            self._escape()
        elif one == "(":
            self._group()
        elif one == "[":
            self._class()
        else:
            self._at += 1
            self._single(one)

    def _repeat(self, written: str) -> None:
        if not self._is_repeatable:
            _refuse(
                f"the repetition {written} of another one, or of a position",
                "put what is repeated in a group, as in (?:a{2}){3}",
            )
        self._add(written, is_repeatable=False)

    def _single(self, one: str) -> None:
        flags = self._scopes[-1]
        if one == ".":
            self._add(r"[\s\S]" if "s" in flags else r"[^\n]")
        elif one == "^":
            self._add(r"(?<![^\n])" if "m" in flags else "^", is_repeatable=False)
        elif one == "$":
            self._add(r"(?![^\n])" if "m" in flags else "$", is_repeatable=False)
        elif one == "|":
            self._add("|", is_repeatable=False)
        elif one == ")":
            self._scopes.pop()
            self._add(")")
        else:
            self._add(_character(one))

    def _group(self) -> None:
        found = self._take(_GROUP)
        written = "(" if found is None else found[0]
        if found is None or self._pattern.startswith("?", self._at):
            _refuse(
                f"the group ({self._pattern[self._at :][:3]}...",
                "set the flags i, m and s at the beginning, and write no other ones",
            )
        self.found_look_around |= written.endswith(("=", "!"))
        if found["name"] is not None:
            written = f"(?<{found['name']}>" if _NAME.fullmatch(found["name"]) else "(?:"
        elif found["flags"]:
            written = "(?:"
        self._scopes.append(self._scopes[-1] | set(found["flags"] or ""))
        self._add(written, is_repeatable=False)

    def _escape(self) -> None:
        start = self._pattern[self._at : self._at + 2]
        if start in _BOUNDARIES and not self._pattern.startswith("{", self._at + 2):
            self._at += 2
            self._add(_BOUNDARIES[start], is_repeatable=False)
        elif start in _EDGES:
            self._at += 2
            self._add(_EDGES[start], is_repeatable=False)
        elif (kind := self._kind()) is not None:
            self._add(kind)
        else:
            self._add(_character(self._escaped()))

    def _kind(self, *, in_class: bool = False) -> str | None:
        """Return an escape that stands for many characters; None if there is none."""
        if (found := self._take(_CLASS)) is not None:
            return self._class_escape(found[0], in_class=in_class)
        if (found := self._take(_CATEGORY)) is None:
            return None
        name = found[2] or found[3]
        if name not in _CATEGORIES or (found[1] == "P" and self._ignores_case):
            _refuse(found[0], r"write a general category, such as \p{Lu}, or the characters")
        return rf"\{found[1]}{{{name}}}"

    def _class_escape(self, written: str, *, in_class: bool) -> str:
        if not self._looks_around:
            return written
        signs = _OF_UNICODE[written.lower()]
        if written.islower():
            return signs if in_class else f"[{signs}]"
        if in_class:
            _refuse(f"{written} in a class beside a look-around", "write the characters")
        return f"[^{signs}]"

    def _escaped(self) -> str:
        """Return the character that an escape stands for."""
        if (found := self._take(_CODE_POINT)) is not None:
            return chr(int(found[1] or found[2] or found[3] or found[4], 16))
        if (found := self._take(_CONTROL)) is not None:
            return chr(ord(found[1]) % 32)
        if (found := self._take(_WHITE)) is not None:
            return {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}[found[0][1]]
        one = self._pattern[self._at + 1]
        if one.isalnum() or one in "<>" or not one.isascii():
            what = "a back-reference" if one in "123456789" else f"the escape \\{one}"
            _refuse(what, "write the characters that it stands for")
        self._at += 2
        return one

    # -- classes of characters -------------------------------------------------------------------

    def _class(self) -> None:
        self._at += 1
        written = "["
        if self._pattern.startswith("^", self._at):
            self._at += 1
            written = "[^"
        is_first = True
        while is_first or not self._pattern.startswith("]", self._at):
            written += self._member()
            is_first = False
        self._at += 1
        self._add(written + "]")

    def _member(self) -> str:
        """Return a character of a class, a range, or what stands for several."""
        if self._pattern.startswith("[", self._at):
            _refuse("a class in a class", r"write its characters; write \[ for the character")
        if (operation := _OPERATION.match(self._pattern, self._at)) is not None:
            _refuse(f"{operation[0]} in a class", "write the characters that are left")
        if (
            self._pattern.startswith("\\", self._at)
            and (kind := self._kind(in_class=True)) is not None
        ):
            return kind
        first = self._one_of_class()
        is_range = self._pattern.startswith("-", self._at)
        if not is_range or self._pattern.startswith("]", self._at + 1):
            return _character(first, _SPECIAL_IN_CLASS)
        if first == "-" or _OPERATION.match(self._pattern, self._at) is not None:
            _refuse("a - between two characters of which one is -", r"write \- for the character")
        self._at += 1
        if self._pattern.startswith("[", self._at):
            _refuse("a class in a class", r"write its characters; write \[ for the character")
        last = self._one_of_class()
        return "-".join(_character(one, _SPECIAL_IN_CLASS) for one in (first, last))

    def _one_of_class(self) -> str:
        if self._pattern.startswith("\\", self._at):
            return self._escaped()
        self._at += 1
        return self._pattern[self._at - 1]


def _character(one: str, special: frozenset[str] = _SPECIAL) -> str:
    return f"\\{one}" if one in special else one
