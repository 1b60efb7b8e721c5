"""Pages on the directives, from directives.yaml: what each takes and gives, with examples.

A test resolves every example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from destinations.segment.mapping import compile_mapping
from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.limits import DEEPEST_MAPPING, LARGEST_VALUE, MANY_DIRECTIVES
from making.layout import json_block, yaml_block
from making.page import Page, cell, table

__all__ = ["directive_pages", "read_directives", "read_mapping_page"]

_SOURCE: Final = Path(__file__).parent / "directives.yaml"
_WHOLE: Final = Path(__file__).parent / "mapping.yaml"
_MADE_FROM: Final = "docs/making/directives.yaml"


@cache
def _parsed(text: str) -> Any:
    """Return what a file says, which tests read for each kind of example."""
    return yaml.safe_load(text)


def read_directives() -> Mapping[str, Mapping[str, Any]]:
    """Return what is said of each directive, by name.

    Raises LookupError if one is missing there, or not in the code.
    """
    found: Mapping[str, Mapping[str, Any]] = _parsed(_SOURCE.read_text(encoding="utf-8"))
    if found.keys() != DIRECTIVES.keys():
        raise LookupError(f"{_SOURCE.name}: {sorted(found.keys() ^ DIRECTIVES.keys())}")
    return {name: found[name] for name in sorted(found, key=str.casefold)}


def read_mapping_page() -> Mapping[str, Any]:
    """Return the text of the page on mappings, and the examples below it."""
    found: Mapping[str, Any] = _parsed(_WHOLE.read_text(encoding="utf-8"))
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
    lines = [yaml_block(one["mapping"])]
    if "event" in one:
        lines += ["With the event", json_block(one["event"])]
    lines.append(_result(one))
    if "differs" in one:
        lines.append(f"*Differs from Segment:* {one['differs']}")
    return "\n\n".join(lines)


def _result(one: Mapping[str, Any]) -> str:
    if "gives" in one:
        return f"Gives\n\n{json_block(one['gives'])}"
    if "refused" in one:
        return f"Is refused: `{one['refused']}`"
    if compile_mapping(one["mapping"]).warnings:
        return f"Is refused; in Segment each event that reaches it fails: `{one['fails']}`"
    return f"Fails: `{one['fails']}`"
