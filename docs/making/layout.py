"""Lay out YAML and JSON for a page: a line for each value that fits one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

__all__ = ["json_block", "yaml_block"]

_LINE: Final = 76


def yaml_block(mapping: Mapping[str, Any]) -> str:
    """Return a block of YAML, with a line for each value that fits one."""
    return _block("yaml", _members(mapping, ""))


def _members(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        yield from _entry(f"{indent}{_flow(key)}:", value, indent)


def _items(values: Sequence[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and len(f"{indent}- {_flow(value)}") > _LINE:
            first, *others = _members(value, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from others
        else:
            yield from _entry(f"{indent}-", value, indent)


def _entry(start: str, value: Any, indent: str) -> Iterator[str]:
    line = f"{start} {_flow(value)}"
    if not isinstance(value, dict | list) or len(line) <= _LINE:
        yield line
        return
    yield start
    inner = f"{indent}  "
    yield from _members(value, inner) if isinstance(value, dict) else _items(value, inner)


class _Dumper(yaml.SafeDumper):
    """Quotes what readers of YAML disagree on, as definitions have to: ``y`` is true for some."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "'" if value in {"y", "Y", "n", "N"} else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _flow(value: Any) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def json_block(value: Any) -> str:
    """Return a block of JSON, with a line for each value that fits one."""
    return _block("json", _json_lines(value, "", ""))


def _json_lines(value: Any, start: str, indent: str) -> Iterator[str]:
    line = f"{start}{json.dumps(value, ensure_ascii=False)}"
    if not isinstance(value, dict | list) or len(line) <= _LINE:
        yield line
        return
    inner = f"{indent}  "
    pairs = value.items() if isinstance(value, dict) else (("", item) for item in value)
    left = len(value)
    yield f"{start}{'{' if isinstance(value, dict) else '['}"
    for key, item in pairs:
        left -= 1
        named = f"{json.dumps(key)}: " if isinstance(value, dict) else ""
        *lines, last = _json_lines(item, f"{inner}{named}", inner)
        yield from lines
        yield last + ("," if left else "")
    yield f"{indent}{'}' if isinstance(value, dict) else ']'}"


def _block(language: str, lines: Iterable[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])
