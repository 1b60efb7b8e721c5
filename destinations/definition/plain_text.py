"""Find plain text in mappings that was meant as a path or a template, and is sent as it is.

Only a directive reads the event: text without one is a constant, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from destinations.definition.reads import Found, Shape, single_braces
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import split

__all__ = ["sent_as_it_is"]

_BRACKETS: Final = r"\[(?:\d+|'[^']*'|\"[^\"]*\")\]"
_PATH: Final = re.compile(rf"\$(?:\.[A-Za-z_][\w\\-]*|{_BRACKETS})(?:\.[\w\\-]+|{_BRACKETS})*")
_PLACEHOLDER: Final = re.compile(
    rf"\{{\{{\s*(?:\$\.)?[A-Za-z_][\w\\-]*(?:\.[\w\\-]+|{_BRACKETS})*\s*(\|[^{{}}]*)?\}}\}}"
)
_LONGEST_SHOWN: Final = 60


def sent_as_it_is(mapping: object, place: str, shape: Shape | None = None) -> Iterator[Found]:
    """Yield (path, message) for plain text in a mapping that looks like a path or a template.

    ``place`` is the JSON pointer of the mapping, ``shape`` that of the data at its place.
    ``@literal`` says that its text is meant.
    """
    found = split(mapping)
    if found is not None:
        for part in found.parts if found.directive.name != "@literal" else ():
            if part.role != "code" or not isinstance(part.value, str):
                inner = shape if part.on == "data" else None
                yield from sent_as_it_is(part.value, place + part.place, inner)
    elif isinstance(mapping, str):
        meant = _meant(mapping, shape)
        if meant:
            yield place, f"{_shown(mapping)} is plain text and sent as it is; did you mean {meant}"
    elif isinstance(mapping, list):
        for at, item in enumerate(mapping):
            yield from sent_as_it_is(item, place + pointer(at), shape)
    elif isinstance(mapping, dict):
        for key, item in mapping.items():
            yield from sent_as_it_is(item, place + pointer(key), shape)


def _meant(text: str, shape: Shape | None) -> str:
    """Return the directive that a text probably lacks, and how to mean the text; empty if none."""
    if _PATH.fullmatch(text):
        return _question("@path", text)
    found = _PLACEHOLDER.search(text)
    if found is not None:
        is_url = shape is not None and shape.of_url
        template = text if found[1] or is_url else text.replace("{{$.", "{{")
        return _question("@liquid" if found[1] else "@template", template)
    template = text
    for placeholder, meant in dict(single_braces(text, shape)).items():
        template = template.replace(placeholder, meant)
    return "" if template == text else _question("@template", template)


def _question(directive: str, argument: str) -> str:
    return f"{{'{directive}': {_shown(argument)}}}? If the text is meant, write {{'@literal': ...}}"


def _shown(text: str) -> str:
    is_long = len(text) > _LONGEST_SHOWN
    return repr(text[:_LONGEST_SHOWN] + "..." if is_long else text)
