"""Write the pages that are made from data; with ``--check`` only say which are out of date.

``python docs/generate.py [--check]``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kana_behaviour import kana_behaviour

ROOT = Path(__file__).resolve().parent.parent
_INTRODUCTION = (
    "A destination is a folder with `destination.yaml` and one file for each action, named after "
    "its slug. Values marked *mapping* take any JSON value or a mapping directive. The last "
    "section says [when a request is sent again](#when-a-request-fails).\n"
)
_FAILURES = """## When a request fails

Error rules say what a failure means: whether it may pass (`retryable`), and whether it proves that
the request changed nothing (`nothingApplied`). `run` and `serve` act on that in the same way.
"""
_FOLLOWS = (
    (
        "May pass, and nothing was applied or the request is idempotent",
        "The event is tried again: after the partner's `Retry-After`, up to `maxRetryAfter`; without "
        "one after a random wait of at most `base` x 2^(n-1) seconds, and at most `cap`.",
    ),
    (
        "The same for the last of the `attempts` of its error rule",
        "The event is `dead`.",
    ),
    (
        "Lasts, and nothing was applied or the request is idempotent",
        "The event is `rejected`.",
    ),
    (
        "May have been applied, as when the answer is lost, and the request is not idempotent",
        "The event is `unknown`, and is never sent again by itself. With `reconcile` the partner is "
        "asked for the balance; without it, or if asking does not tell, the event is `held` for an "
        "operator.",
    ),
    (
        "Is of class `authentication`",
        "`run` stops with exit code 2; `serve` tries again.",
    ),
)
_HOW_LONG = """
The definition says how an event is tried again, the source for how long. `run` gives an event up
after 60 seconds (`--outage`), and waits as long for a partner that answers nobody; then it stops, and
the next run goes on. `serve` gives an event up after 4 hours (`delivery.deadlineSeconds`).
"""
_HEAD = "<!-- Made by docs/generate.py from destinations/schemas; do not edit. -->\n"


def definition_reference() -> str:
    """Return every key of a definition's files, from the schemas that check them."""
    parts = [
        _HEAD,
        "# Definition reference\n",
        _INTRODUCTION,
    ]
    for name in ("destination", "action"):
        path = ROOT / "destinations" / "schemas" / f"{name}.schema.json"
        schema = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"## {schema['title']}\n\n{schema['description']}\n")
        parts.append("| key | required | type | meaning |\n|---|---|---|---|")
        parts.extend(_rows(schema, schema, ""))
        parts.append("")
    parts += [_FAILURES, "| the failure | what follows |\n|---|---|"]
    parts += [f"| {failure} | {follows} |" for failure, follows in _FOLLOWS]
    parts.append(_HOW_LONG)
    return "\n".join(parts)


def _rows(root: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, spec in schema.get("properties", {}).items():
        if key == "$schema":
            continue
        found = _resolve(root, spec)
        required = "yes" if key in schema.get("required", ()) else ""
        text = _meaning(found).replace("|", "\\|")
        yield f"| `{prefix}{key}` | {required} | {_type(root, found)} | {text} |"
        if not found.get("deprecated"):
            yield from _nested(root, found, f"{prefix}{key}")


def _meaning(spec: Mapping[str, Any]) -> str:
    """Return what a key is for, what it is without being given, and whether it is deprecated."""
    text = "*Deprecated.* " if spec.get("deprecated") else ""
    text += spec.get("description", "")
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
    if isinstance(items, dict):
        yield from _rows(root, _resolve(root, items), f"{prefix}[].")


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
    if spec.get("$name") == "mapping":
        return "*mapping*"
    if "enum" in spec:
        return " \\| ".join(f"`{value}`" for value in spec["enum"])
    if "const" in spec:
        return f"`{json.dumps(spec['const'])}`"
    if "anyOf" in spec:
        return " or ".join(_type(root, _resolve(root, option)) for option in spec["anyOf"])
    if spec.get("type") == "array":
        return f"list of {_type(root, _resolve(root, spec.get('items', {})))}"
    return str(spec.get("type", "any"))


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/definition-reference.md": definition_reference,
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
