"""Templates: text with ``{{path}}`` and ``{{{path}}}`` in it (the directive ``@template``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from destinations.segment.javascript.members import Getter
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.text import trim
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.paths import compile_path

__all__ = ["compile_template", "split_template"]

_DOUBLE: Final = re.compile(r"\{\{([^}]+)\}\}")
_FEW: Final = 8  # this many strings of an event cannot make too much
_TRIPLE: Final = re.compile(r"\{\{\{([^}]+)\}\}\}")


def compile_template(template: str, place: str = "") -> str | Callable[[Any], str]:
    """Return a function from data to the filled-in text, or the text if nothing is in it.

    Triple placeholders are filled in first; what they gave is searched for double ones again.
    Missing and null values are empty, all others print as JavaScript prints them. The function
    raises ResolveError at ``place``, the template's path in its mapping, for text that gets too
    long.
    """
    if _TRIPLE.search(template):
        first = _compile(_split(_TRIPLE, template), place)
        return lambda data: _fill(first(data), data, place)
    pieces = _split(_DOUBLE, template)
    return _compile(pieces, place) if len(pieces) > 1 else template


def split_template(template: str) -> list[str]:
    """Return texts and the paths between them in turn; the first and the last are texts."""
    pieces = []
    for at, piece in enumerate(_split(_TRIPLE, template)):
        pieces += [piece] if at % 2 else _split(_DOUBLE, piece)
    return pieces


def _split(placeholder: re.Pattern[str], template: str) -> list[str]:
    pieces = placeholder.split(template)
    pieces[1::2] = map(trim, pieces[1::2])
    return pieces


def _fill(text: str, data: Any, place: str) -> str:
    if "{{" not in text:
        return text
    made = len(text)

    def fill(found: re.Match[str]) -> str:
        nonlocal made
        piece = _print(compile_path(trim(found[1]))(data))
        made += len(piece)
        if made > LARGEST_VALUE:
            raise too_large(place)
        return piece

    return _DOUBLE.sub(fill, text)


def _print(value: Any) -> str:
    return "" if value is None or value is UNDEFINED else to_string(value)


def _compile(pieces: list[str], place: str) -> Callable[[Any], str]:
    """Compile texts and paths in turn."""
    texts = pieces[0::2]
    getters: list[Getter] = [compile_path(path) for path in pieces[1::2]]
    head, tails = texts[0], tuple(zip(getters, texts[1:], strict=True))
    is_long = len(getters) > _FEW or sum(map(len, texts)) > LARGEST_VALUE

    def render(data: Any) -> str:
        parts = [head]
        for get, text in tails:
            value = get(data)
            parts += (value if type(value) is str else _print(value), text)
        if is_long and sum(map(len, parts)) > LARGEST_VALUE:
            raise too_large(place)
        return "".join(parts)

    return render
