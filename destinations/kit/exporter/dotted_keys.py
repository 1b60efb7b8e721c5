r"""Find keys with a dot in mappings: paths of Segment's framework cannot say them.

Here a dot after a backslash is one of the name, as in ``$.settings.data\.region``. There it cuts
all the same, so nothing is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from destinations.kit.exporter.literals import literal
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import split
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.templates import split_template

__all__ = [
    "UNSAID",
    "dotted_code",
    "dotted_keys",
    "is_dotted",
    "paths_with",
    "setting_path",
    "value_code",
    "with_paths",
]

UNSAID: Final = "Segment's paths know no key with a dot"

_PLACEHOLDER: Final = re.compile(r"(\{\{\{?)\s*([^{}]+?)\s*(?=\}\})")


def is_dotted(path: str) -> bool:
    """Return whether a key of a path has a dot."""
    return "\\." in path


def setting_path(name: str) -> str:
    """Return the path of a setting."""
    return "$.settings." + name.replace(".", r"\.")


def value_code(path: str) -> str:
    """Return the expression of the value at a path, which `is_dotted`, of ``context``."""
    keys = literal(split_path(strip_root(path)))
    return f"valueAt({keys}, context)"


def dotted_keys(mapping: object) -> Iterator[str]:
    """Yield the place of each path and template in a mapping that has a key with a dot."""
    return paths_with(is_dotted, mapping)


def paths_with(is_meant: Callable[[str], bool], mapping: object) -> Iterator[str]:
    """Yield the place of each path and template in a mapping that has such a path."""
    found = split(mapping)
    if found is not None:
        for part in found.parts:
            is_path = part.role == "code" and found.directive.name != "@liquid"
            name = found.directive.name
            inner = (
                _code_with(is_meant, name, part.value)
                if is_path
                else paths_with(is_meant, part.value)
            )
            yield from (part.place + place for place in inner)
    elif isinstance(mapping, Mapping | list | tuple):
        items = mapping.items() if isinstance(mapping, Mapping) else enumerate(mapping)
        for key, item in items:
            yield from (pointer(key) + place for place in paths_with(is_meant, item))


def dotted_code(directive: str, code: object) -> Iterator[str]:
    """Yield the places in the code of a directive that have a key with a dot.

    If it is computed, that is any text in it.
    """
    return _code_with(is_dotted, directive, code)


def _code_with(is_meant: Callable[[str], bool], directive: str, code: object) -> Iterator[str]:
    if not isinstance(code, str):
        yield from _texts(is_meant, code)
        return
    paths = split_template(code)[1::2] if directive == "@template" else [code]
    if any(map(is_meant, paths)):
        yield ""


def with_paths(directive: str, code: str, path_of: Callable[[str], str]) -> str:
    """Return the code of a directive with others in place of the paths that are dotted.

    ``path_of`` returns the path of what the code of a dotted one computes.
    """
    if directive != "@template":
        return path_of(code) if is_dotted(code) else code
    return _PLACEHOLDER.sub(
        lambda one: one[1] + strip_root(path_of(one[2])) if is_dotted(one[2]) else one[0], code
    )


def _texts(is_meant: Callable[[str], bool], value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from [""] if is_meant(value) else []
    elif isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from (pointer(key) + place for place in _texts(is_meant, item))
