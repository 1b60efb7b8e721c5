"""Reading a seed's YAML together with the line of each of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from destinations.errors import DefinitionError, Fault
from kana_destination.sandbox.checks import pointer

__all__ = ["SeedText", "read_yaml"]


@dataclass(frozen=True, slots=True)
class SeedText:
    """The document, the file it is from, and lines (from 1) by JSON pointer."""

    file: str | None
    document: Any
    lines: Mapping[str, int]

    def line_of(self, path: str) -> int | None:
        """Return the line of the value, or of its container; None if it has no file."""
        while path not in self.lines and path:
            path = path.rpartition("/")[0]
        return self.lines.get(path)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which moments stay text: they are checked with everything else."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str, file: str) -> SeedText:
    """Read one YAML document; raises :class:`~destinations.errors.DefinitionError`."""
    try:
        node, document = _compose(text)
        places = [] if node is None else list(_places(node, (), ()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        message = f"is no YAML: {error.problem or error.context}"
        raise DefinitionError([Fault(message, file=file, line=line)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DefinitionError([Fault(f"is no YAML: {error}", file=file)]) from None
    lines: dict[str, int] = {}
    twice = []
    for path, line in places:
        if path in lines:
            message = f"is given twice, first in line {lines[path]}"
            twice.append(Fault(message, path, file, line))
        lines[path] = line
    if twice:
        raise DefinitionError(twice)
    return SeedText(file, document, lines)


def _compose(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _places(
    node: yaml.Node, parts: tuple[object, ...], inside: tuple[yaml.Node, ...]
) -> Iterator[tuple[str, int]]:
    yield pointer(*parts), node.start_mark.line + 1
    if node in inside:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, (*parts, key.value), (*inside, node))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _places(value, (*parts, index), (*inside, node))
