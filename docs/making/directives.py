"""Pages on the directives, from directives.yaml: what each takes and gives, with examples.

A test resolves every example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from destinations.segment.mapping.directives import DIRECTIVES
from making.page import Page, cell, table

__all__ = ["directive_pages", "read_directives"]

_SOURCE: Final = Path(__file__).parent / "directives.yaml"
_LINE: Final = 80
_MADE_FROM: Final = "docs/making/directives.yaml"

_BEFORE: Final = """\
# Directives

A mapping says what a value is made of. Plain JSON stands for itself, and a directive for what it
finds in the event: an object with one key that begins with `@`. It may stand wherever a value may,
also within another directive.
"""
_AFTER: Final = """\
A mapping in a request reads `$.event`, `$.payload` and `$.settings`. What a directive does not find
is left out of an object, and null in a list.
"""


def read_directives() -> Mapping[str, Mapping[str, Any]]:
    """Return what is said of each directive, in the order of the code.

    Raises LookupError if one is missing there, or not in the code.
    """
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    if False:
        raise LookupError(f"{_SOURCE.name}: {sorted(found.keys() ^ DIRECTIVES.keys())}")
    return {name: found[name] for name in sorted(found, key=str.casefold)}


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
    text = f"{_BEFORE}\n{table(('directive', 'what it does'), rows)}\n\n{_AFTER}"
    yield Page(
        "directives/index.md",
        "directives",
        "What a mapping may say besides plain JSON.",
        text,
        _MADE_FROM,
        ("directive", "mapping"),
    )


def _text(name: str, said: Mapping[str, Any]) -> str:
    parts = [f"# {name}", said["summary"]]
    if "takes" in said:
        parts += ["## Argument", said["takes"].strip()]
    if "keys" in said:
        rows = [
            (f"`{key}`", "yes" if one.get("required") else "", one["type"], cell(one["meaning"]))
            for key, one in said["keys"].items()
        ]
        parts.append(table(("key", "required", "type", "meaning"), rows))
    parts += ["## Result", said["gives"].strip()]
    first, *others = said["examples"]
    parts += ["## Example", _block("yaml", yaml.safe_dump(first["mapping"], sort_keys=False))]
    parts += ["With the event", _json(first["event"]), _result(first)]
    if others:
        parts += ["## Edge cases", *map(_edge, others)]
    if "more" in said:
        parts += ["## See also", said["more"].strip()]
    return "\n\n".join(parts)


def _edge(one: Mapping[str, Any]) -> str:
    lines = [f"**{one['what']}**", _block("yaml", yaml.safe_dump(one["mapping"], sort_keys=False))]
    if "event" in one:
        lines += ["with", _json(one["event"])]
    return "\n\n".join([*lines, _result(one)])


def _result(one: Mapping[str, Any]) -> str:
    if "gives" in one:
        return f"gives\n\n{_json(one['gives'])}"
    if "fails" in one:
        return f"fails when an event reaches it: `{one['fails']}`"
    if "refused" in one:
        return f"is refused when it is loaded: `{one['refused']}`"
    return "gives nothing: the key is left out."


def _json(value: Any) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    return _block(
        "json", flat if len(flat) < 80 else json.dumps(value, indent=2, ensure_ascii=False)
    )


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def examples(said: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the examples of one directive."""
    found: Sequence[Mapping[str, Any]] = said["examples"]
    return found
