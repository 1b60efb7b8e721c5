"""Pages on the directives, from directives.yaml: what each takes and gives, with examples.

A test resolves every example.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.limits import DEEPEST_MAPPING, LARGEST_VALUE, MANY_DIRECTIVES
from making.page import Page, cell, table

__all__ = ["directive_pages", "read_directives", "read_mapping_page"]

_SOURCE: Final = Path(__file__).parent / "directives.yaml"
_WHOLE: Final = Path(__file__).parent / "mapping.yaml"
_LINE: Final = 76
_MADE_FROM: Final = "docs/making/directives.yaml"


def read_directives() -> Mapping[str, Mapping[str, Any]]:
    """Return what is said of each directive, by name.

    Raises LookupError if one is missing there, or not in the code.
    """
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    if found.keys() != DIRECTIVES.keys():
        raise LookupError(f"{_SOURCE.name}: {sorted(found.keys() ^ DIRECTIVES.keys())}")
    return {name: found[name] for name in sorted(found, key=str.casefold)}


def read_mapping_page() -> Mapping[str, Any]:
    """Return the text of the page on mappings, and the examples below it."""
    found: Mapping[str, Any] = yaml.safe_load(_WHOLE.read_text(encoding="utf-8"))
    return found


def directive_pages() -> Iterator[Page]:
    """Yield a page for each directive, and one that lists them."""
    directives = read_directives()
    rows = []
    for name, said in directives.items():
        slug = name.removeprefix("@")
        rows.append((f"[`{name}`]({slug}.md)", said["summary"]))
        yield Page(
            f"directives/{slug}.md", name, said["summary"], _text(name, said), _MADE_FROM, (slug,)
        )
    page = read_mapping_page()
    text = page["text"].format(
        directives=table(("directive", "what it does"), rows),
        deepest=DEEPEST_MAPPING,
        largest=LARGEST_VALUE,
        many=MANY_DIRECTIVES,
    )
    yield Page(
        "directives/index.md",
        "directives",
        "What a mapping may say besides plain JSON.",
        "\n\n".join([text.strip(), *map(_edge, page["examples"])]),
        f"{_MADE_FROM} and mapping.yaml",
        ("directive", "mapping", "mappings"),
    )


def _text(name: str, said: Mapping[str, Any]) -> str:
    parts = [f"# {name}", said["summary"], "## Argument"]
    if "takes" in said:
        parts.append(said["takes"].strip())
    if "keys" in said:
        parts.append("An object with these keys:")
        rows = [
            (f"`{key}`", _required(one), one["type"], cell(one["meaning"]))
            for key, one in said["keys"].items()
        ]
        parts.append(table(("key", "required", "type", "meaning"), rows))
    parts += ["## Result", said["gives"].strip()]
    first, *others = said["examples"]
    parts += ["## Example", first["what"], _case(first), "## Edge cases", *map(_edge, others)]
    parts.append("[All directives](index.md)")
    return "\n\n".join(parts)


def _required(key: Mapping[str, Any]) -> str:
    required = key.get("required", "")
    return "yes" if required is True else str(required)


def _edge(one: Mapping[str, Any]) -> str:
    return f"**{one['what']}**\n\n{_case(one)}"


def _case(one: Mapping[str, Any]) -> str:
    lines = [_block("yaml", _yaml(one["mapping"]))]
    if "event" in one:
        lines += ["With the event", _json(one["event"])]
    lines.append(_result(one))
    if "differs" in one:
        lines.append(f"*Differs from Segment:* {one['differs']}")
    return "\n\n".join(lines)


def _result(one: Mapping[str, Any]) -> str:
    if "gives" in one:
        return f"Gives\n\n{_json(one['gives'])}"
    if "fails" in one:
        return f"Fails when an event reaches it: `{one['fails']}`"
    return f"Is refused when it is loaded: `{one['refused']}`"


def _yaml(mapping: Mapping[str, Any]) -> str:
    """Return a mapping with a line for each value that fits one."""
    return "\n".join(_members(mapping, ""))


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


def _flow(value: Any) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _json(value: Any) -> str:
    return _block("json", "\n".join(_json_lines(value, "", "")))


def _json_lines(value: Any, start: str, indent: str) -> Iterator[str]:
    """Yield JSON with a line for each value that fits one."""
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


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
