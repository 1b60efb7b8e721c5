"""Pages on the keys of files, from the JSON Schemas that check them.

Each file has a page with its keys. A key that has many of its own has a page for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from making.page import Page, cell, table

__all__ = ["FILES", "File", "key_pages", "read_examples"]

ROOT: Final = Path(__file__).resolve().parents[2]
_EXAMPLES: Final = Path(__file__).parent / "examples.yaml"
_MAPPINGS: Final = frozenset({"mapping", "textOrDirective", "objectOrDirective"})
_MANY: Final = 8
"""Keys with at least so many below them have a page of their own."""

_HEAD: Final = ("key", "required", "type", "meaning")


@dataclass(frozen=True, slots=True)
class File:
    """A kind of file: its schema, the folder of its pages, and what readers call it."""

    schema: str
    folder: str
    name: str
    summary: str
    also: Sequence[str] = ()
    after: str = ""


_SCHEMAS: Final = "destinations/definition/schemas"

FILES: Final = (
    File(
        schema=f"{_SCHEMAS}/destination.schema.json",
        folder="definition/destination",
        name="destination.yaml",
        summary="Keys of a destination's file.",
        also=("destination",),
        after="The other file of a definition is that of an [action](../action/index.md).",
    ),
    File(
        schema=f"{_SCHEMAS}/action.schema.json",
        folder="definition/action",
        name="action",
        summary="Keys of an action's file.",
        also=("action.yaml",),
    ),
    File(
        schema=f"{_SCHEMAS}/connection.schema.json",
        folder="connection",
        name="connection",
        summary="Keys of subscriptions and filters of your own.",
        also=("connections",),
        after="[Connections](../../connections.md) explains how they are used.",
    ),
    File(
        schema=f"{_SCHEMAS}/serve.schema.json",
        folder="serve",
        name="serve.yaml",
        summary="Keys of the configuration of a server.",
        also=("configuration", "config"),
        after="[Serving](../../serving.md) explains how a server is set up.",
    ),
    File(
        schema=f"{_SCHEMAS}/case.schema.json",
        folder="case",
        name="case",
        summary="Keys of a recorded case.",
        also=("cases",),
        after="[Testing](../../testing.md) explains how cases are recorded and replayed.",
    ),
    File(
        schema="destinations/sandbox/faults.schema.json",
        folder="faults",
        name="faults",
        summary="Keys of the faults that a sandbox makes.",
        also=("faults.yaml",),
        after="[The sandbox](../../sandbox.md) explains how it is started with them.",
    ),
)


@dataclass(slots=True)
class _Key:
    """A key of a file, with those below it."""

    path: str
    name: str
    required: str
    kind: str
    meaning: str
    below: list[_Key] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many keys are below it."""
        return sum(1 + one.size for one in self.below)

    @property
    def topic(self) -> str:
        """What `destinations help` is asked for."""
        return re.sub(r"\.\*|\[\]", "", self.path)


def read_examples() -> Mapping[str, str]:
    """Return the examples of examples.yaml, as YAML, by the topics of the pages that show them."""
    examples: Mapping[str, str] = yaml.safe_load(_EXAMPLES.read_text(encoding="utf-8"))
    return examples


def key_pages() -> Iterator[Page]:
    """Yield the pages of all files."""
    examples = read_examples()
    for file in FILES:
        schema = json.loads((ROOT / file.schema).read_text(encoding="utf-8"))
        keys = list(_nested(schema, schema, "")) if "items" in schema else None
        keys = keys or list(_keys(schema, schema, ""))
        made_from = (ROOT / file.schema).resolve().relative_to(ROOT).as_posix()
        for page in _pages(file, made_from, schema, keys):
            yield replace(page, text=page.text + _example(examples.get(page.name, "")))


def _pages(
    file: File, made_from: str, schema: Mapping[str, Any], keys: Sequence[_Key]
) -> Iterator[Page]:
    text = f"# {file.name}\n\n{schema.get('description', schema['title'])}\n\n{_table(keys)}\n"
    if file.after:
        text += f"\n{file.after}\n"
    yield Page(f"{file.folder}/index.md", file.name, file.summary, text, made_from, file.also)
    for key in _with_pages(keys):
        summary = key.meaning.partition(". ")[0].rstrip(".").replace("*", "") + "."
        body = f"# {key.topic}\n\n`{key.path}` in [{file.name}](index.md): {key.meaning}\n\n"
        body += _table(key.below)
        name, also = key.topic, list[str]()
        if not file.folder.startswith("definition"):
            name, also = f"{file.name} {key.topic}", [key.topic]
        path = f"{file.folder}/{key.topic}.md"
        yield Page(path, name, _plain(summary), body + "\n", made_from, also)


def _example(text: str) -> str:
    return f"\n## Example\n\n```yaml\n{text.rstrip()}\n```\n" if text else ""


def _plain(text: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace('"', "'")


def _with_pages(keys: Sequence[_Key]) -> Iterator[_Key]:
    for key in keys:
        if key.size >= _MANY:
            yield key
        yield from _with_pages(key.below)


def _table(keys: Sequence[_Key]) -> str:
    return table(_HEAD, list(_rows(keys)))


def _rows(keys: Sequence[_Key]) -> Iterator[Sequence[str]]:
    for key in keys:
        has_page = key.size >= _MANY
        shown = f"[`{key.path}`]({key.topic}.md)" if has_page else f"`{key.path}`"
        yield shown, key.required, key.kind, cell(key.meaning)
        if not has_page:
            yield from _rows(key.below)


def _keys(
    root: Mapping[str, Any], schema: Mapping[str, Any], prefix: str, required: str = "yes"
) -> Iterator[_Key]:
    for name, spec in schema.get("properties", {}).items():
        if name == "$schema":
            continue
        found = _resolve(root, spec)
        path = f"{prefix}{name}"
        is_required = name in schema.get("required", ())
        key = _Key(
            *(path, name, required if is_required else ""),
            _type(root, found),
            _meaning(root, found),
        )
        if not found.get("deprecated") and found.get("$name") not in _MAPPINGS:
            key.below.extend(_nested(root, found, path))
        yield key
    options = [
        found
        for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
        if (found := _resolve(root, option)).get("$name") not in _MAPPINGS and "properties" in found
    ]
    for found in options:
        yield from _keys(root, found, prefix, "yes" if len(options) == 1 else "one of them")


def _nested(root: Mapping[str, Any], spec: Mapping[str, Any], path: str) -> Iterator[_Key]:
    yield from _keys(root, spec, f"{path}.")
    each = spec.get("additionalProperties")
    if isinstance(each, dict):
        found = _resolve(root, each)
        if found.get("$name") not in _MAPPINGS:
            yield from _keys(root, found, f"{path}.*.")
    items = spec.get("items")
    found = _resolve(root, items) if isinstance(items, dict) else {}
    if found.get("$name") not in _MAPPINGS:  # which hold mappings again, without end
        yield from _keys(root, found, f"{path}[].")


def _meaning(root: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Return what a key is for, what it may be and is without being given, and if it is old."""
    text = "*Deprecated.* " if spec.get("deprecated") else ""
    text += str(spec.get("description", ""))
    # What a description says already is not said again.
    text += "".join(f" {one}" for one in _bounds(root, spec) if one.rstrip(".") not in text)
    default = spec.get("default")
    if default is not None and not isinstance(default, dict | list):
        text += f" Default: `{json.dumps(default)}`."
    return text


def _bounds(root: Mapping[str, Any], spec: Mapping[str, Any]) -> Sequence[str]:
    """Return sentences on the values that a key takes: a range, a length, a number, a form."""
    found = [
        _range(spec.get("minimum"), spec.get("maximum"), "", spec),
        _range(spec.get("minLength"), spec.get("maxLength"), " characters", {}),
        _range(spec.get("minItems"), spec.get("maxItems"), " items", {}),
        _range(spec.get("minProperties"), spec.get("maxProperties"), " keys", {}),
    ]
    if "pattern" in spec and "x-expected" in spec:
        found.append(f"Written as {spec['x-expected']}.")
    for several in ("anyOf", "oneOf"):
        for option in spec.get(several, ()):
            resolved = _resolve(root, option)
            if resolved.get("type") != "object":  # which has keys of its own
                found += _bounds(root, resolved)
    return list(dict.fromkeys(filter(None, found)))


def _range(least: object, most: object, what: str, spec: Mapping[str, Any]) -> str:
    over, under = spec.get("exclusiveMinimum"), spec.get("exclusiveMaximum")
    if what and least == 1 and most is None:
        return "Not empty."
    if what and least == most and most is not None:
        return f"Exactly {most}{what if most != 1 else what.removesuffix('s')}."
    low = f"more than {over}" if over is not None else f"at least {least}"
    high = f"less than {under}" if under is not None else f"at most {most}{what}"
    has_low, has_high = (least, over) != (None, None), (most, under) != (None, None)
    if least is not None and most is not None:
        return f"From {least} to {most}{what}."
    text = " and ".join([*([low] if has_low else []), *([high] if has_high else [])])
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _resolve(root: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``spec`` with what it refers to; its own words win."""
    reference = spec.get("$ref")
    if reference is None:
        return dict(spec)
    target: Any = root
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    return {"$name": part, **target, **spec}


def _type(root: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    if spec.get("$name") in _MAPPINGS:
        return "*mapping*"
    if "enum" in spec:
        return " \\| ".join(f"`{value}`" for value in spec["enum"])
    if "const" in spec:
        return f"`{json.dumps(spec['const'])}`"
    for several in ("anyOf", "oneOf"):
        if several in spec and "type" not in spec:
            found = (_type(root, _resolve(root, option)) for option in spec[several])
            kinds = [kind for one in found for kind in one.split(" or ")]
            return " or ".join(dict.fromkeys(kinds))
    if spec.get("type") == "array":
        return f"list of {_type(root, _resolve(root, spec.get('items', {})))}"
    types = spec.get("type", "any")
    return types if isinstance(types, str) else " or ".join(types)
