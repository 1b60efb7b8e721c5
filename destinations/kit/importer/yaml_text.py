"""Write YAML in the usual style: blocks, with short directives and lists on one line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from destinations.definition.yaml_schema import Dumper
from destinations.segment.mapping.checks import directive_keys

__all__ = ["WIDTH", "comment", "indented", "yaml_text"]

WIDTH: Final = 96
_SHORT: Final = 60
_LONG: Final = 76


class _Dumper(Dumper):
    """Indents the items of a list below its key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - their signature
        super().increase_indent(flow, indentless=False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node for ``text``; a long one is folded."""
        node = super().represent_text(text)
        if node.style is None and len(text) > _LONG and " " in text:
            node.style = ">"
        return node


def _mapping(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.MappingNode:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", data.items())
    # A directive with a scalar argument, such as {'@path': $.userId}, reads best on one line.
    is_directive = len(data) == 1 and bool(directive_keys(data))
    is_numbers = all(type(value) in {int, float} for value in data.values())
    node.flow_style = is_numbers or (is_directive and _is_short(data.values()))
    return node


def _sequence(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.SequenceNode:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", data)
    node.flow_style = all(_is_short([item]) for item in data)
    return node


def _is_short(values: Iterable[object]) -> bool:
    return all(
        not isinstance(value, dict | list) and len(str(value)) <= _SHORT and "\n" not in str(value)
        for value in values
    )


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


def yaml_text(data: Mapping[str, Any], *, indent: int = 0) -> str:
    """Return the block for ``data``, indented by ``indent`` spaces."""
    text: str = yaml.dump(
        dict(data),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=max(WIDTH - indent, 20),
        indent=2,
    )
    return indented(text, indent)


def indented(text: str, indent: int) -> str:
    """Return ``text`` with every non-empty line indented."""
    return textwrap.indent(text, " " * indent)


def comment(text: str, *, indent: int = 0) -> str:
    """Return ``text`` as a comment; unprintable characters, which could end it, become spaces."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    lines = textwrap.wrap(printable, WIDTH - indent - 2)
    return indented("".join(f"# {line}".rstrip() + "\n" for line in lines), indent)
