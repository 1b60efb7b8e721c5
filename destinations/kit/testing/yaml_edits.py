"""Change values in the text of a YAML file, and leave everything else, comments too, as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from destinations.definition.document import read_document
from destinations.definition.yaml_schema import LOADERS, Dumper

__all__ = ["edited"]


@dataclass(frozen=True, slots=True)
class _Edit:
    """A part of the text, from ``start`` to before ``end``, and what takes its place."""

    start: int
    end: int
    text: str


def edited(text: str, new: Any) -> str:
    """Return the text of a document with the JSON value ``new``.

    ``text`` is YAML or JSON without issues. JSON is rewritten; in YAML only what differs is.
    """
    old = read_document(text, "").data
    if _same(old, new):
        return text
    if text.lstrip()[:1] in "{[":
        return json.dumps(new, ensure_ascii=False, indent=2) + "\n"
    node: Any = yaml.compose(text, LOADERS[-1])
    edits = sorted(_Editor(text).edits(node, old, new), key=lambda edit: edit.start)
    pieces, end = [], 0
    for edit in edits:
        pieces += [text[end : edit.start], edit.text]
        end = edit.end
    changed = "".join([*pieces, text[end:]])
    # Texts of many kinds are cut here: what is read again is what counts.
    return changed if _same(_read(changed), new) else _dump(new) + "\n"


def _read(text: str) -> Any:
    try:
        return yaml.load(text, LOADERS[-1])  # noqa: S506 - derived from SafeLoader
    except yaml.YAMLError:
        return None


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are written alike: 1 is neither 1.0 nor true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class _Editor:
    """Finds the parts of one text to replace."""

    def __init__(self, text: str) -> None:
        self._text = text

    def edits(self, node: yaml.Node, old: Any, new: Any) -> Iterator[_Edit]:
        """Yield what makes ``new`` of the value ``old`` of a node."""
        if _same(old, new):
            return
        if isinstance(node, yaml.MappingNode) and _both(dict, old, new) and not node.flow_style:
            yield from self._in_mapping(node, old, new)
        elif isinstance(node, yaml.SequenceNode) and _both(list, old, new) and not node.flow_style:
            yield from self._in_sequence(node, old, new)
        else:
            yield self._whole(node, new)

    def _in_mapping(
        self, node: yaml.MappingNode, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[_Edit]:
        entries = {key.value: (key, value) for key, value in node.value}
        first = next(iter(entries))
        if first not in new:  # it may stand after the dash of an item
            yield self._whole(node, new)
            return
        column = node.start_mark.column
        after: dict[str, list[str]] = {}
        known = first
        for key in new:
            if key in entries:
                known = key
            else:
                after.setdefault(known, []).append(_hung(_dump({key: new[key]}), column))
        for key, (key_node, value_node) in entries.items():
            end = self._end(value_node)
            if key not in new:
                yield self._lines(key_node.start_mark.index, end)
                continue
            if self._has_place(value_node, old[key], new[key]):
                yield from self.edits(value_node, old[key], new[key])
            elif not _same(old[key], new[key]):
                whole = _hung(_dump({key: new[key]}), column)
                # A comment would become a part of the last line of the text.
                until = self._line_end(end) if "\n" in whole else end
                yield _Edit(key_node.start_mark.index, until, whole)
            added = after.get(key, ())
            if added:  # after what the value itself gets at its end
                line_end = self._line_end(end)
                text = "".join(f"\n{' ' * column}{one}" for one in added)
                yield _Edit(line_end, line_end, text)

    def _has_place(self, node: yaml.Node, old: Any, new: Any) -> bool:
        """Return whether a new value can stand where the old one does."""
        if isinstance(node, yaml.ScalarNode):
            is_line = node.start_mark.line == node.end_mark.line
            return is_line and not isinstance(new, dict | list) and "\n" not in str(new)
        return bool(old) and bool(new) and (_both(dict, old, new) or _both(list, old, new))

    def _in_sequence(
        self, node: yaml.SequenceNode, old: list[Any], new: list[Any]
    ) -> Iterator[_Edit]:
        column = node.start_mark.column
        for item, before, after in zip(node.value, old, new, strict=False):
            yield from self.edits(item, before, after)
        for item in node.value[len(new) :]:
            dash = self._text.rindex("-", 0, item.start_mark.index)
            yield self._lines(dash, self._end(item))
        end = self._line_end(self._end(node))
        for value in new[len(old) :]:
            item_text = "- " + _hung(_item(value), column + 2)
            yield _Edit(end, end, f"\n{' ' * column}{item_text}")

    def _whole(self, node: yaml.Node, new: Any) -> _Edit:
        """Return the edit that puts a value in the place of a node."""
        start, end = node.start_mark.index, self._end(node)
        is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
        if is_block and isinstance(new, dict | list) and new:
            return _Edit(start, end, _hung(_item(new), node.start_mark.column))
        flow = yaml.dump(
            [new], Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=math.inf
        )
        return _Edit(start, end, flow.strip()[1:-1])

    def _lines(self, start: int, end: int) -> _Edit:
        """Return the edit that removes the lines of a part."""
        return _Edit(self._text.rfind("\n", 0, start) + 1, self._line_end(end) + 1, "")

    def _line_end(self, place: int) -> int:
        end = self._text.find("\n", place)
        return len(self._text) if end < 0 else end

    def _end(self, node: yaml.Node) -> int:
        """Return where the content of a node ends, without what stands between it and the next."""
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode):
            if node.style in {"|", ">"}:
                return self._line_end(start + len(self._text[start:end].rstrip()))
            return int(end)
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            return int(end)
        last = node.value[-1]
        return self._end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _both(kind: type, one: Any, other: Any) -> bool:
    return isinstance(one, kind) and isinstance(other, kind)


def _item(value: Any) -> str:
    """Return a value as it stands after the dash of an item."""
    lines = _dump([value]).split("\n")
    return "\n".join(line[2:] for line in lines)


def _hung(text: str, column: int) -> str:
    """Return text whose first line is at ``column``, with the others moved there."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * column + line if line else line for line in rest)])


def _dump(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text.rstrip("\n")
