"""Write what an installed destination has as a page of the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from destinations.cli.tables import plain
from destinations.definition.form_keywords import rule_text
from destinations.definition.model import ActionDefinition, DestinationDefinition

__all__ = ["definition_page"]


def definition_page(definition: DestinationDefinition) -> str:
    """Return Markdown with the settings, actions and presets of a definition."""
    return "\n".join(_lines(definition)) + "\n"


def _lines(definition: DestinationDefinition) -> Iterator[str]:
    yield from ("---", f'topic: "{definition.slug}"')
    yield from (f'summary: "{_text(f"Settings and actions of {definition.name}.")}"', "---", "")
    yield from (f"# {_text(definition.name)}", "", _text(definition.description), "")
    yield from ("## Settings", "", *_fields(definition.settings, "setting"), "")
    for action in definition.event_actions.values():
        yield from _action(action)
    if definition.deletion is not None:
        title = definition.deletion.description
        yield from (f"## {definition.deletion.slug}", "", f"Takes `type: delete`: {title}", "")
    if definition.presets:
        rows = [
            (_code(one.name), _code(one.partner_action), _code(one.subscribe))
            for one in definition.presets
        ]
        yield from ("## Presets", "")
        yield from (*_table(("preset", "action", "subscription"), rows), "")
    yield f"`destinations explain {definition.slug} EVENTS` shows what becomes of events, and"
    yield f"`destinations docs build {definition.slug}` makes the page for Segment's catalog."


def _action(action: ActionDefinition) -> Iterator[str]:
    yield from (f"## {action.slug}", "", f"{_text(action.title)}: {_text(action.description)}", "")
    if action.default_subscription:
        yield from (f"Takes `{_escaped(action.default_subscription)}` by default.", "")
    yield from (*_fields(action.fields, "field"), "")


def _fields(schema: Mapping[str, Any], what: str) -> Sequence[str]:
    required = schema.get("required", ())
    rows = [
        (_code(key), "yes" if key in required else "", _type(spec), _meaning(spec))
        for key, spec in schema.get("properties", {}).items()
    ]
    return _table((what, "required", "type", "meaning"), rows) if rows else ["None."]


def _type(spec: Mapping[str, Any]) -> str:
    """Return the type of a value, its choices, or that it is secret."""
    if "enum" in spec:
        return ", ".join(_code(json.dumps(one, ensure_ascii=False)) for one in spec["enum"])
    kind = spec.get("type", "any")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(kinds) + (", secret" if spec.get("format") == "password" else "")


def _meaning(spec: Mapping[str, Any]) -> str:
    text = _text(spec.get("description") or spec.get("title") or "")
    for keyword, begin in (("x-requiredWhen", "Required if"), ("x-dependsOn", "Shown if")):
        if keyword in spec:
            text += f" {begin} {_escaped(rule_text(spec[keyword]))}."
    if "x-choices" in spec:
        text += " The partner has a list of its values: `destinations choices`."
    if "default" in spec:
        text += f" Default: {_code(json.dumps(spec['default'], ensure_ascii=False))}"
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    return [_row(head), _row(["---"] * len(head)).replace(" ", ""), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    mark = "``" if "`" in text else "`"
    return f"{mark}{_escaped(text)}{mark}"


def _text(text: str) -> str:
    return _escaped(text).replace('"', "'")


def _escaped(text: str) -> str:
    """Return text of an author on one line, as a cell of a table takes it."""
    return plain(" ".join(text.split())).replace("|", "\\|")
