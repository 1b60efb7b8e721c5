"""Write the pages that are made from data; with ``--check`` only say which are out of date.

``python docs/generate.py [--check]``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from kana_behaviour import kana_behaviour

from destinations.console.api.table import OPERATIONS
from destinations.operations import RunRecord
from destinations.report import run_page

ROOT = Path(__file__).resolve().parent.parent


def definition_reference() -> str:
    """Return every key of a definition's files, from the schemas that check them."""
    tables = []
    for name in ("destination", "action"):
        path = ROOT / "destinations" / "definition" / "schemas" / f"{name}.schema.json"
        schema = json.loads(path.read_text(encoding="utf-8"))
        tables.append(f"## {schema['title']}\n\n{schema['description']}\n")
        tables.append("| key | required | type | meaning |\n|---|---|---|---|")
        tables.extend(_rows(schema, schema, ""))
        tables.append("")
    tables += ["## Directives", "", _DIRECTIVES, ""]
    tables.append("| directive | required | type | meaning |\n|---|---|---|---|")
    mapping = schema["$defs"]["mapping"]
    tables.extend(row for row in _rows(schema, mapping, "") if not row.startswith("| `_"))
    tables.append("")
    return _rendered("definition-reference", tables="\n".join(tables))


def _rendered(name: str, **values: str) -> str:
    """Return the page that a template of docs/ becomes."""
    template = (ROOT / "docs" / f"{name}.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(**values)


def api() -> str:
    """Return the page on the console's API, with its routes from their table."""
    rows = [f"| `{one.method} {one.path}` | `{one.needs}` | {one.summary} |" for one in OPERATIONS]
    return _rendered("api", routes="\n".join(rows))


_DIRECTIVES = """\
A directive is an object with one key that begins with `@`, such as `{'@path': $.userId}`. It may
stand wherever a mapping may, and within another directive."""


def _rows(root: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, spec in schema.get("properties", {}).items():
        if key == "$schema":
            continue
        found = _resolve(root, spec)
        required = "yes" if key in schema.get("required", ()) else ""
        text = _meaning(found).replace("|", "\\|")
        yield f"| `{prefix}{key}` | {required} | {_type(root, found)} | {text} |"
        if not found.get("deprecated") and found.get("$name") not in _MAPPINGS:
            yield from _nested(root, found, f"{prefix}{key}")


_MAPPINGS = ("mapping", "textOrDirective", "objectOrDirective")


def _meaning(spec: Mapping[str, Any]) -> str:
    """Return what a key is for, what it is without being given, and whether it is deprecated."""
    text = "*Deprecated.* " if spec.get("deprecated") else ""
    text += str(spec.get("description", ""))
    default = spec.get("default")
    if default is not None and not isinstance(default, dict | list):
        text += f" Default: `{json.dumps(default)}`."
    return text


def _nested(root: Mapping[str, Any], spec: Mapping[str, Any], prefix: str) -> Iterator[str]:
    yield from _rows(root, spec, f"{prefix}.")
    each = spec.get("additionalProperties")
    if isinstance(each, dict):
        yield from _rows(root, _resolve(root, each), f"{prefix}.*.")
    items = spec.get("items")
    found = _resolve(root, items) if isinstance(items, dict) else {}
    if found.get("$name") not in _MAPPINGS:  # which hold mappings again, without end
        yield from _rows(root, found, f"{prefix}[].")


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
    if "anyOf" in spec and "type" not in spec:
        return " or ".join(_type(root, _resolve(root, option)) for option in spec["anyOf"])
    if spec.get("type") == "array":
        return f"list of {_type(root, _resolve(root, spec.get('items', {})))}"
    types = spec.get("type", "any")
    return types if isinstance(types, str) else " or ".join(types)


def example_report() -> str:
    """Return the page of a run, from what such a run has recorded."""
    path = ROOT / "docs" / "example-report.json"
    return run_page(RunRecord.from_json(json.loads(path.read_text(encoding="utf-8"))))


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/api.md": api,
    "docs/definition-reference.md": definition_reference,
    "docs/example-report.html": example_report,
    "docs/kana-behaviour.md": kana_behaviour,
}


def main(arguments: list[str]) -> int:
    """Write the pages; with ``--check`` return 1 if one is out of date, and write nothing."""
    stale = []
    for name, make in PAGES.items():
        path = ROOT / name
        text = make()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        sys.stderr.write(f"{name} is out of date: run python docs/generate.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
