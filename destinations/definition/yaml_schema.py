"""Resolve plain YAML scalars by the core schema of YAML 1.2, for reading and for writing.

The parser is PyYAML's (with libyaml where available), which by itself resolves scalars as YAML 1.1
does. A plain scalar is accepted only if readers of both versions agree on it. All others, such as
``NO``, ``12:30`` and ``0123``, get the tag `AMBIGUOUS`: reading reports them, writing quotes them.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

__all__ = [
    "AMBIGUOUS",
    "BREAKS",
    "LOADERS",
    "TEXT",
    "Dumper",
    "construct",
    "disagreement",
    "is_ambiguous",
    "write_scalar",
]

_TAG: Final = "tag:yaml.org,2002:"
TEXT: Final = f"{_TAG}str"
AMBIGUOUS: Final = "!ambiguous"
BREAKS: Final = "\r\x85\u2028\u2029"  # YAML's other line breaks; YAML 1.2 has only \r

_YES: Final = "y|Y|yes|Yes|YES|on|On|ON"
_NO: Final = "n|N|no|No|NO|off|Off|OFF"
_EXPONENT: Final = "[eE][-+]?[0-9]+"
_DATE: Final = "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_TIME: Final = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]*)?)?"
_ZONE: Final = "Z|[-+][0-9]{1,2}(?::?[0-9]{2})?"


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(alternatives)})\Z")


# The core schema (section 10.3.2 of the specification), without the scalars that YAML 1.1 and its
# readers (PyYAML, Ruby's Psych, Go's yaml.v2) read in another way.
_AGREED: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    # tag: (possible first characters, pattern of the whole)
    f"{_TAG}null": ("~nN", _pattern("~|null|Null|NULL|")),
    f"{_TAG}bool": ("tTfF", _pattern("true|True|TRUE|false|False|FALSE")),
    f"{_TAG}int": ("-+0123456789", _pattern("[-+]?(?:0|[1-9][0-9]*)", "0x[0-9a-fA-F]+")),
    f"{_TAG}float": (
        "-+.0123456789",
        _pattern(
            r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+][0-9]+)?",
            r"\.[0-9]+(?:[eE][-+][0-9]+)?",
            r"[-+]?\.(?:inf|Inf|INF)",
            r"\.(?:nan|NaN|NAN)",
        ),
    ),
}

# Scalars that readers disagree on. This comes after the table above, so its number patterns may
# match more than they have to.
_NUMBER: Final = _pattern(
    rf"[-+]?(?:\.?[0-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*)(?:{_EXPONENT})?",  # 0123, 1_000, 1e3, -.5
    "[-+]?0[oO][0-7_]+",
    "[-+]?0[bB][01_]+",
    "[-+]?0[xX][0-9a-fA-F_]+",
)
_DISAGREED: Final = _pattern(
    _YES,
    _NO,
    _NUMBER.pattern.removesuffix(r"\Z"),
    r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",  # base 60
    rf"{_DATE}(?:(?:[Tt]|[ \t]+){_TIME}(?:[ \t]*(?:{_ZONE}))?)?",
    "=|<<",  # types of YAML 1.1: a mapping's default value, and a merge key
)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return the tables by first character, as PyYAML looks them up; the first that fits counts."""
    result: dict[str, list[tuple[str, re.Pattern[str]]]] = {"": [(f"{_TAG}null", _pattern(""))]}
    tables = [(tag, *table) for tag, table in _AGREED.items()]
    for tag, characters, pattern in (*tables, (AMBIGUOUS, "yYnNoO-+.0123456789=<", _DISAGREED)):
        for character in characters:
            result.setdefault(character, []).append((tag, pattern))
    return result


_RESOLVERS: Final = _resolvers()


def _with_core_schema(base: Any) -> Any:
    return type(base.__name__, (base,), {"yaml_implicit_resolvers": _RESOLVERS})


# libyaml, which nearly every build of PyYAML has, is several times faster. A file that it refuses
# is read again by the pure loader, which has better messages and accepts escaped surrogate pairs.
LOADERS: Final[tuple[Any, ...]] = tuple(
    _with_core_schema(getattr(yaml, name))
    for name in ("CSafeLoader", "SafeLoader")
    if hasattr(yaml, name)
)


class Dumper(yaml.SafeDumper):
    """Quotes every text that a reader of YAML 1.1 or 1.2 could take for something else.

    Texts of several lines become blocks. A value that occurs twice is written twice, not aliased.
    """

    yaml_implicit_resolvers = _RESOLVERS

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        """Write everything in full."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node for ``text``, quoted if a reader could take it for something else."""
        style = "|" if "\n" in text else None
        if any(character in text for character in BREAKS):
            style = '"'  # written as escapes: unescaped, they would be read as line breaks
        return self.represent_scalar(TEXT, text, style=style)


Dumper.add_representer(str, Dumper.represent_text)


def write_scalar(text: str) -> str:
    """Return ``text`` on one line, quoted if a reader could take it for something else."""
    written: str = yaml.dump(
        [str(text)], Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=math.inf
    )
    return written.removeprefix("[").removesuffix("]\n")


def is_ambiguous(text: str) -> bool:
    """Return whether YAML readers disagree on ``text`` as a plain scalar."""
    agreed = any(pattern.match(text) for _, pattern in _AGREED.values())
    return not agreed and _DISAGREED.match(text) is not None


def disagreement(text: str, *, is_key: bool = False) -> str:
    """Return the message for an ambiguous ``text``; a key is always meant as text."""
    message = f"YAML readers disagree on what `{text[:40]}` is: quote it"
    readings = () if is_key else _readings(text)
    return f"{message}, or write {' or '.join(readings)}" if readings else message


_LONGEST_WRITTEN_OUT: Final = 10**6
"""Whole numbers below this are proposed without an exponent, and without a fraction."""


def _readings(text: str) -> list[str]:
    """Return the other meanings of ``text``, written so that all readers agree."""
    if re.fullmatch(_YES, text):
        return ["true"]
    if re.fullmatch(_NO, text):
        return ["false"]
    if len(text) > 40 or not _NUMBER.match(text):
        return []
    digits = text.replace("_", "").lower()
    bases = (8, 10) if re.match("[-+]?0[0-9]", digits) else (0,)  # base 0: as the prefix says
    numbers: list[int | float] = []
    for base in bases:
        with contextlib.suppress(ValueError):
            numbers.append(int(digits, base))
    if not numbers:
        with contextlib.suppress(ValueError):
            number = float(digits)
            is_short = number.is_integer() and abs(number) < _LONGEST_WRITTEN_OUT
            numbers.append(int(number) if is_short else number)
    return [_written(number) for number in dict.fromkeys(numbers) if math.isfinite(number)]


def _written(number: float) -> str:
    """Return a number with the dot that YAML 1.1 wants before an exponent."""
    written = str(number)
    return written if "." in written else written.replace("e", ".0e")


def construct(tag: str, text: str) -> Any:
    """Return the value of the scalar ``text`` with ``tag``: a JSON value, infinity or NaN.

    Raises `LookupError` for a tag that the core schema does not have, and `ValueError` if the text
    does not fit the tag.
    """
    if tag == TEXT:
        return text
    kind = tag.removeprefix(_TAG)
    if tag not in _AGREED:
        raise LookupError(tag)
    fits = _AGREED[tag][1].match(text) or (kind == "float" and _AGREED[f"{_TAG}int"][1].match(text))
    if not fits:
        raise ValueError(text)
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 16) if text.startswith("0x") else int(text)
        case _:
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
