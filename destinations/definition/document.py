"""Reads YAML and JSON documents together with the line of every value.

JSON is read as the YAML it nearly is, so both report faults the same way; the differences (tabs,
numbers such as 1e5, escaped surrogate pairs) are bridged. Keys that occur twice are refused: the
second would silently win.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from destinations.errors import DefinitionError, Fault

__all__ = ["Document", "pointer", "read_document"]

_MAX_DEPTH = 64
_MAX_NESTING = 2 * _MAX_DEPTH  # from here on not even read; up to here a fault has its path
_MAX_CHARACTERS = 1_000_000
_LARGEST_NUMBER = 10**308

# libyaml, which nearly every build of PyYAML has, reads several times faster. What it refuses is
# read by the pure loader, which says better what is wrong and takes escaped surrogate pairs.
_LOADERS: Final[tuple[Any, ...]] = (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader)

# A number of JSON that YAML 1.1 takes for text: it wants a dot, and a sign in the exponent.
_JSON_FLOAT = re.compile(r"-?\d+(\.\d+)?[eE][+-]?\d+")


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed data and where each part of it stands.

    ``lines`` maps JSON pointers (``""`` is the whole document) to lines, from 1. It is empty for
    what was not read from a file.
    """

    name: str
    data: Any
    lines: Mapping[str, int]

    def fault(self, path: str, message: str) -> Fault:
        """Return a fault at ``path``, with the line of that value or the closest one around it."""
        place = path
        while place and place not in self.lines:
            place = place.rpartition("/")[0]
        line = self.lines.get(place, 1) if self.lines else None
        return Fault(message, path=path, file=self.name, line=line)


def pointer(*parts: object) -> str:
    """Return the JSON pointer (RFC 6901) of a sequence of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class _Reader:
    """Turns YAML's node graph into plain data; collects faults instead of stopping at the first."""

    def __init__(self, name: str, *, is_json: bool) -> None:
        self.name = name
        self._is_json = is_json
        self.lines: dict[str, int] = {}
        self.faults: list[Fault] = []
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, path: str, depth: int = 0) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if depth > _MAX_DEPTH:
            self._fault(node, path, f"nested more than {_MAX_DEPTH} levels deep")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(item, path + pointer(index), depth + 1)
                for index, item in enumerate(node.value)
            ]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            place = path + pointer(key)
            if key in result:
                self._fault(key_node, place, f"the key {key!r} occurs twice")
            result[key] = self.value(value_node, place, depth + 1)
            # A fault of a value is looked for at its key: that is where a block value begins.
            self.lines[place] = key_node.start_mark.line + 1
        return result

    def _key(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, path, "a key must be text")
            return ""
        return self._text(node, path, str(node.value))

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return str(node.value)  # JSON has no dates; an unquoted one is meant as text
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError) as error:
            # Of a tag that does not fit its text the library raises whatever it meets.
            reason = getattr(error, "problem", f"{node.value[:40]!r} does not fit its type")
            self._fault(node, path, f"cannot be read: {reason}")
            return None
        if isinstance(value, str):
            if self._is_json and not node.style and _JSON_FLOAT.fullmatch(value):
                value = float(value)
            else:
                return self._text(node, path, value)
        if isinstance(value, int) and abs(value) >= _LARGEST_NUMBER:
            self._fault(node, path, "must be a number below 1e+308")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._fault(node, path, "must be a finite number")
        elif not isinstance(value, str | int | float | bool | None):
            self._fault(node, path, f"must be a JSON value, not {type(value).__name__}")
        return value

    def _text(self, node: yaml.Node, path: str, text: str) -> str:
        """``text`` with its surrogate pairs joined: the reader takes each escape by itself."""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._fault(node, path, "has one half of a surrogate pair")
            return ""

    def _fault(self, node: yaml.Node, path: str, message: str) -> None:
        line = node.start_mark.line + 1
        self.faults.append(Fault(message, path=path, file=self.name, line=line))


def _compose(text: str, name: str) -> yaml.Node | None:
    *fast, last = _LOADERS
    for loader in fast:
        with contextlib.suppress(yaml.YAMLError):
            _check_growth(text, name, loader)
            node: yaml.Node | None = yaml.compose(text, loader)
            return node
    _check_growth(text, name, last)
    return yaml.compose(text, last)


def _check_growth(text: str, name: str, loader: Any) -> None:
    """Raise for what cannot be read in bounded time: aliases, and nesting without end."""
    depth = 0
    for event in yaml.parse(text, loader):
        mark = event.start_mark
        line = None if mark is None else mark.line + 1
        if isinstance(event, yaml.AliasEvent):  # they make a small file expand without bound
            message = "YAML aliases (*name) are not supported; repeat the value"
            raise DefinitionError([Fault(message, file=name, line=line)])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_NESTING:
            message = f"nested more than {_MAX_DEPTH} levels deep"
            raise DefinitionError([Fault(message, file=name, line=line)])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_document(text: str, name: str) -> Document:
    """Parse ``text`` (YAML or JSON); ``name`` is the file's name for messages.

    Raises `DefinitionError` with every fault that reading alone can find.
    """
    if len(text) > _MAX_CHARACTERS:
        message = f"has {len(text):,} characters, more than {_MAX_CHARACTERS:,}"
        raise DefinitionError([Fault(message, file=name)])
    is_json = _is_json(text)
    if is_json:
        text = text.replace("\t", " ")  # white space in JSON, where texts hold none; not in YAML
    try:
        node = _compose(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = None if mark is None else mark.line + 1
        problem = error.problem or "cannot be read"
        raise DefinitionError([Fault(f"not YAML: {problem}", file=name, line=line)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DefinitionError([Fault(f"not YAML: {error}", file=name)]) from None
    if node is None:
        raise DefinitionError([Fault("the file is empty", file=name, line=1)])
    reader = _Reader(name, is_json=is_json)
    data = reader.value(node, "")
    if reader.faults:
        raise DefinitionError(reader.faults)
    return Document(name=name, data=data, lines=reader.lines)
