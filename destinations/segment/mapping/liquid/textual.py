"""Filters on text. Everything else is printed first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from destinations.segment.javascript.text import WHITE_SPACE, code_units, trim
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.mapping.liquid.values import LiquidError, as_number, as_text, check_size

__all__ = ["TEXTUAL_FILTERS"]

_SPACES: Final = re.compile(f"[{WHITE_SPACE}]+")
_CJK: Final = "\u4e00-\u9fff\uf900-\ufaff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af"
_CJK_CHARACTER: Final = re.compile(f"[{_CJK}]")
_OTHER_WORD: Final = re.compile(f"[^{_CJK}{WHITE_SPACE}]+")


def _append(value: Any, *arguments: Any) -> str:
    return as_text(value) + as_text(_only_argument("append", arguments))


def _prepend(value: Any, *arguments: Any) -> str:
    return as_text(_only_argument("prepend", arguments)) + as_text(value)


def _only_argument(name: str, arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 1:
        raise LiquidError(f"{name} should have one argument")
    return arguments[0]


def _capitalize(value: Any) -> str:
    text = as_text(value)
    return text[:1].upper() + text[1:].lower()


def _stripper(strip: Callable[[str, str], str]) -> Callable[..., str]:
    """Return a filter that strips white space, or the characters given."""

    def apply(value: Any, characters: Any = UNDEFINED) -> str:
        return strip(as_text(value), as_text(characters) if is_truthy(characters) else WHITE_SPACE)

    return apply


def _replace(value: Any, pattern: Any = UNDEFINED, replacement: Any = UNDEFINED) -> str:
    parts = _split_text(as_text(value), as_text(pattern))
    between = as_text(replacement)
    check_size(sum(map(len, parts)) + len(between) * (len(parts) - 1))
    return between.join(parts)


def _split_text(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else code_units(text)


def _remove(value: Any, pattern: Any = UNDEFINED) -> str:
    return _replace(value, pattern, "")


def _replace_first(value: Any, pattern: Any = UNDEFINED, replacement: Any = UNDEFINED) -> str:
    return as_text(value).replace(as_text(pattern), as_text(replacement), 1)


def _remove_first(value: Any, pattern: Any = UNDEFINED) -> str:
    return as_text(value).replace(as_text(pattern), "", 1)


def _replace_last(value: Any, pattern: Any = UNDEFINED, replacement: Any = UNDEFINED) -> str:
    text, wanted = as_text(value), as_text(pattern)
    at = text.rfind(wanted)
    return text if at < 0 else text[:at] + as_text(replacement) + text[at + len(wanted) :]


def _remove_last(value: Any, pattern: Any = UNDEFINED) -> str:
    return _replace_last(value, pattern, "")


def _split(value: Any, separator: Any = UNDEFINED) -> list[str]:
    parts = _split_text(as_text(value), as_text(separator))
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _truncate(value: Any, size: Any = UNDEFINED, ellipsis: Any = UNDEFINED) -> Any:
    text = as_text(value)
    limit = 50.0 if size is UNDEFINED else as_number(size)
    end = "..." if ellipsis is UNDEFINED else as_text(ellipsis)
    if len(text) <= limit:
        return value
    return text[: max(int(limit) - len(end), 0)] + end


def _truncate_words(value: Any, count: Any = UNDEFINED, ellipsis: Any = UNDEFINED) -> str:
    words = _SPACES.split(as_text(value).lstrip(WHITE_SPACE))
    limit = 15 if count is UNDEFINED else max(int(as_number(count)), 1)
    end = "..." if ellipsis is UNDEFINED else as_text(ellipsis)
    return " ".join(words[:limit]) + (end if len(words) >= limit else "")


def _number_of_words(value: Any, mode: Any = UNDEFINED) -> int:
    text = trim(as_text(value))
    if not text:
        return 0
    if mode == "cjk" or (mode == "auto" and _CJK_CHARACTER.search(text)):
        return len(_CJK_CHARACTER.findall(text)) + len(_OTHER_WORD.findall(text))
    return len(_SPACES.split(text))


TEXTUAL_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "append": _append,
    "prepend": _prepend,
    "capitalize": _capitalize,
    "downcase": lambda value: as_text(value).lower(),
    "upcase": lambda value: as_text(value).upper(),
    "strip": _stripper(str.strip),
    "lstrip": _stripper(str.lstrip),
    "rstrip": _stripper(str.rstrip),
    "strip_newlines": lambda value: re.sub("\r?\n", "", as_text(value)),
    "normalize_whitespace": lambda value: _SPACES.sub(" ", as_text(value)),
    "squish": lambda value: trim(_SPACES.sub(" ", as_text(value))),
    "replace": _replace,
    "replace_first": _replace_first,
    "replace_last": _replace_last,
    "remove": _remove,
    "remove_first": _remove_first,
    "remove_last": _remove_last,
    "split": _split,
    "truncate": _truncate,
    "truncatewords": _truncate_words,
    "number_of_words": _number_of_words,
}
