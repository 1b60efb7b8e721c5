"""Templates: text with ``{{path}}`` and ``{{{path}}}`` in it (the directive ``@template``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from destinations.javascript.members import Getter
from destinations.javascript.printing import to_string
from destinations.javascript.text import trim
from destinations.javascript.values import UNDEFINED
from destinations.mapping.paths import compile_path

__all__ = ["compile_template"]

_DOUBLE: Final = re.compile(r"\{\{([^}]+)\}\}")
_TRIPLE: Final = re.compile(r"\{\{\{([^}]+)\}\}\}")


def compile_template(template: str) -> str | Callable[[Any], str]:
    """A function from data to the filled-in text, or the text itself if there is nothing in it.

    Triple placeholders are filled in first; what they gave is searched for double ones again.
    Missing and null values are empty, all others print as JavaScript prints them.
    """
    if _TRIPLE.search(template):
        first = _compile(_TRIPLE, template)
        return lambda data: _fill(first(data), data)
    if _DOUBLE.search(template):
        return _compile(_DOUBLE, template)
    return template


def _fill(text: str, data: Any) -> str:
    if "{{" not in text:
        return text
    return _DOUBLE.sub(lambda found: _print(compile_path(trim(found[1]))(data)), text)


def _print(value: Any) -> str:
    return "" if value is None or value is UNDEFINED else to_string(value)


def _compile(placeholder: re.Pattern[str], template: str) -> Callable[[Any], str]:
    """Literal texts and getters in turn; ``re.split`` puts the paths at the odd places."""
    pieces = placeholder.split(template)
    texts = pieces[0::2]
    getters: list[Getter] = [compile_path(trim(path)) for path in pieces[1::2]]
    head, tails = texts[0], tuple(zip(getters, texts[1:], strict=True))

    def render(data: Any) -> str:
        parts = [head]
        for get, text in tails:
            value = get(data)
            parts += (value if type(value) is str else _print(value), text)
        return "".join(parts)

    return render
