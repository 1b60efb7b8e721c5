"""Read YAML and JSON documents together with the line of every value.

YAML is read by the core schema of YAML 1.2; scalars that YAML readers disagree on, such as an
unquoted ``NO``, are refused. JSON goes through the same parser, so both report issues the same way;
where JSON is not YAML (tabs, numbers such as 1e5, escaped surrogate pairs) it is adapted first.
Duplicate keys are refused: the second would silently win.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from destinations.definition.yaml_schema import (
    AMBIGUOUS,
    LOADERS,
    TEXT,
    construct,
    disagreement,
    is_ambiguous,
)
from destinations.errors import DefinitionError, Issue
from destinations.segment.json_pointer import pointer

__all__ = ["LARGEST_NUMBER", "TOO_LARGE", "Document", "read_document"]

_MAX_DEPTH = 64
_MAX_NESTING = 2 * _MAX_DEPTH  # deeper nesting is not read at all; up to here an issue has its path
_MAX_CHARACTERS = 1_000_000
LARGEST_NUMBER: Final = 10**308
TOO_LARGE: Final = "must be a number below 1e+308"
_COLLECTIONS: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

# Characters that JSON texts may hold unescaped, but YAML takes for line breaks or refuses.
_ESCAPED_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

# Line breaks of YAML 1.1 that are ordinary characters in 1.2, with their escapes.
_DISAGREED_BREAKS: Final = {"\x85": r"\N", "\u2028": r"\L", "\u2029": r"\P"}


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed data, with the line of each value.

    ``lines`` maps JSON pointers (``""`` is the whole document) to lines, from 1. It is empty for
    data that did not come from a file.
    """

    name: str
    data: Any
    lines: Mapping[str, int]

    def issue(self, path: str, message: str) -> Issue:
        """Return an issue at ``path``, with the line of that value or the closest one around it."""
        place = path
        while place and place not in self.lines:
            place = place.rpartition("/")[0]
        line = self.lines.get(place, 1) if self.lines else None
        return Issue(message, path=path, file=self.name, line=line)


class _Reader:
    """Turns YAML's node graph into plain data; collects issues instead of stopping at the first."""

    def __init__(self, name: str, *, is_json: bool) -> None:
        self.name = name
        self._is_json = is_json
        self.lines: dict[str, int] = {}
        self.issues: list[Issue] = []

    def value(self, node: yaml.Node, path: str, depth: int = 0) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if depth > _MAX_DEPTH:
            self._issue(node, path, f"nested more than {_MAX_DEPTH} levels deep")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTIONS:
            self._issue(node, path, _unsupported(node.tag))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        return [
            self.value(item, path + pointer(index), depth + 1)
            for index, item in enumerate(node.value)
        ]

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            place = path + pointer(key)
            if key in result:
                self._issue(key_node, place, f"the key {key!r} occurs twice")
            result[key] = self.value(value_node, place, depth + 1)
            # The line of a value is that of its key: a block value begins there.
            self.lines[place] = key_node.start_mark.line + 1
        return result

    def _key(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._issue(node, path, "a key must be text")
            return ""
        key = self._text(node, path, str(node.value))
        if node.tag == AMBIGUOUS:
            self._issue(node, path + pointer(key), disagreement(key, is_key=True))
        return key

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Any:
        tag, text = node.tag, node.value
        if tag == TEXT:
            return self._text(node, path, text)
        if tag == AMBIGUOUS and self._is_json:  # the only ambiguous scalar that JSON has is 1e5
            return self._finite(node, path, float(text))
        if tag == AMBIGUOUS or is_ambiguous(text):  # the second with a tag that is written
            self._issue(node, path, disagreement(text))
            return None
        try:
            return self._finite(node, path, construct(tag, text))
        except LookupError:
            self._issue(node, path, _unsupported(tag))
        except ValueError:
            self._issue(node, path, f"cannot be read: {text[:40]!r} does not fit its type")

    def _finite(self, node: yaml.Node, path: str, value: Any) -> Any:
        if isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
            self._issue(node, path, TOO_LARGE)
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._issue(
                node, path, f"must be a finite number; quote {node.value[:40]} if it is text"
            )
        return value

    def _text(self, node: yaml.Node, path: str, text: str) -> str:
        """Return ``text`` with surrogate pairs joined: the parser leaves them as two escapes."""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._issue(node, path, "has a lone surrogate (half of a character)")
            return ""

    def _issue(self, node: yaml.Node, path: str, message: str) -> None:
        line = node.start_mark.line + 1
        self.issues.append(Issue(message, path=path, file=self.name, line=line))


def _compose(text: str, name: str) -> yaml.Node | None:
    *fast, last = LOADERS
    for loader in fast:
        with contextlib.suppress(yaml.YAMLError):
            _check_growth(text, name, loader)
            node: yaml.Node | None = yaml.compose(text, loader)
            return node
    _check_growth(text, name, last)
    return yaml.compose(text, last)


def _check_growth(text: str, name: str, loader: Any) -> None:
    """Raise for documents without a bounded reading time: aliases, and endless nesting."""
    depth = 0
    for event in yaml.parse(text, loader):
        mark = event.start_mark
        line = None if mark is None else mark.line + 1
        if isinstance(event, yaml.AliasEvent):  # a small file could expand without bound
            message = "YAML aliases (*name) are not supported; repeat the value"
            raise DefinitionError([Issue(message, file=name, line=line)])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_NESTING:
            message = f"nested more than {_MAX_DEPTH} levels deep"
            raise DefinitionError([Issue(message, file=name, line=line)])


def _disagreed_breaks(text: str, name: str) -> Iterator[Issue]:
    """Yield an issue for each line break of YAML 1.1 only: it may end a string or a comment."""
    for found in re.finditer(f"[{''.join(_DISAGREED_BREAKS)}]", text):
        character = found[0]
        cure = f"write it as {_DISAGREED_BREAKS[character]} in double quotes"
        message = f"YAML readers disagree on the character U+{ord(character):04X}: {cure}"
        yield Issue(message, file=name, line=text.count("\n", 0, found.start()) + 1)


def _unsupported(tag: str) -> str:
    return f"unsupported tag {tag[:80]}: expected a JSON value"


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's JSON reader would accept."""
    raise ValueError(name)


# FQL in braces that begins without a quote: YAML takes its commas and colons for its own.
_FQL_IN_BRACES: Final = re.compile(
    r"[{,][ \t]*(?:subscribe|defaultSubscription|drop|when):[ \t]+[^\s\"'{\[|>]"
)


def _hint(text: str, line: int | None) -> str:
    """Return the likely cure of a line that is not YAML; empty if none is known."""
    lines = [] if line is None else text.split("\n", line)[line - 1 : line]
    if not any(map(_FQL_IN_BRACES.search, lines)):
        return ""
    return "; in braces, quote FQL that has a comma or a colon"


def read_document(
    text: str,
    name: str,
    *,
    max_characters: int | None = _MAX_CHARACTERS,
    may_be_empty: bool = False,
) -> Document:
    """Parse ``text`` (YAML or JSON); ``name`` is the file's name for messages.

    ``max_characters`` is None for files without a limit. An empty document is an issue, unless it
    ``may_be_empty``: then its data are None.

    Raises `DefinitionError` with every syntax issue.
    """
    if max_characters is not None and len(text) > max_characters:
        message = f"has {len(text):,} characters, more than {max_characters:,}"
        raise DefinitionError([Issue(message, file=name)])
    is_json = _is_json(text)
    if is_json:
        text = text.replace("\t", " ")  # white space in JSON, where texts hold none; not in YAML
        text = _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # One of these can make the parser report more issues. A line may hold several.
    breaks = list(dict.fromkeys(_disagreed_breaks(text, name)))
    try:
        node = _compose(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = None if mark is None else mark.line + 1
        problem = error.problem or "cannot be read"
        hint = _hint(text, line)
        issue = Issue(f"not YAML: {problem}{hint}", file=name, line=line)
        raise DefinitionError(breaks or [issue]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DefinitionError(breaks or [Issue(f"not YAML: {error}", file=name)]) from None
    if node is None and not may_be_empty:
        raise DefinitionError([Issue("the file is empty", file=name, line=1)])
    reader = _Reader(name, is_json=is_json)
    reader.issues += breaks
    data = None if node is None else reader.value(node, "")
    if reader.issues:
        raise DefinitionError(reader.issues)
    return Document(name=name, data=data, lines=reader.lines)
