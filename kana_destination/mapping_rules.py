"""Mapping rules: they name the feature that an event uses, if the event does not.

The condition of a rule is FQL. An event name and values of properties are a short form of it, which
compares values as text: there 2 and "2" are one value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.schema_issues import issues_by_schema
from destinations.errors import DefinitionError, Issue
from destinations.segment.event import Event
from destinations.segment.fql import (
    Condition,
    Fql,
    Group,
    check_fql,
    compile_fql,
    never_holds,
)
from destinations.segment.fql import overlap as overlap_of_fql
from destinations.segment.javascript import to_string
from destinations.segment.json_pointer import pointer

__all__ = ["Rule", "RuleMapper", "overlap", "property_values", "read_rules"]

_RULE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["name", "feature"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "when": {"type": "string", "minLength": 1},
        "event": {"type": "string", "minLength": 1},
        "where": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "feature": {"type": "string", "minLength": 1},
        "amount": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    },
}
_PATH: Final = re.compile(r"(\\\.|[^.])+(\.(\\\.|[^.])+)*")
_BETWEEN_NAMES: Final = re.compile(r"(?<!\\)\.")
_RULES: Final = {
    "type": "object",
    "required": ["rules"],
    "additionalProperties": False,
    "properties": {"rules": {"type": "array", "items": _RULE, "minItems": 1}},
}


_SHORT: Final = ("event", "where")
"""The keys of the short form."""

_SPECIAL: Final = re.compile(r"[^A-Za-z0-9_-]|^[0-9-]")
"""The characters of a name that FQL reads only after a backslash."""


@dataclass(frozen=True)
class Rule:
    """A rule: an event that fits its condition uses ``feature``.

    The condition is ``when``, in FQL, or its short form: ``event`` is the event's name, and
    ``where`` maps paths below ``properties`` to values, which are compared as text. A path has dots
    between names, and a backslash before a dot in a name. ``amount`` is recorded instead of the
    event's own ``delta``.
    """

    name: str
    feature: str
    event: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    amount: int | None = None
    when: str | None = None

    @cached_property
    def fql(self) -> Fql:
        """The condition."""
        return compile_fql(self.when) if self.when is not None else _of_short_form(self)

    @cached_property
    def _nulls(self) -> Sequence[Sequence[str]]:
        """The paths at which the short form asks for null, which FQL does not tell from nothing."""
        return [_keys(path) for path, value in self.where.items() if to_string(value) == "null"]

    def matches(self, event: Event) -> bool:
        """Return whether the event meets the condition."""
        if not self.fql.matches(event):
            return False
        properties = event.get("properties")
        return all(_is_there(properties, keys) for keys in self._nulls)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as a rules file has it."""
        found: dict[str, Any] = {"name": self.name}
        if self.when is not None:
            found["when"] = self.when
        if self.event is not None:
            found["event"] = self.event
        if self.where:
            found["where"] = dict(self.where)
        found["feature"] = self.feature
        if self.amount is not None:
            found["amount"] = self.amount
        return found

    @property
    def conditions(self) -> str:
        """The condition as FQL."""
        return self.fql.text


def _of_short_form(rule: Rule) -> Fql:
    """Return the FQL that the short form of a condition stands for."""
    nodes: list[Condition | Group] = []
    if rule.event is not None:
        nodes.append(_equals(("event",), rule.event))
    for path, value in rule.where.items():
        keys, text = ("properties", *_keys(path)), to_string(value)
        same = [_equals(keys, text)]
        special = {"null": "not_exists", "true": "is_true", "false": "is_false"}.get(text)
        if special is not None:
            same.append(Condition(keys, special, None, f"{_name(keys)} = {text}"))
        elif (number := _number(text)) is not None:
            same.append(Condition(keys, "number_equals", number, f"{_name(keys)} = {text}"))
        nodes.append(same[0] if len(same) == 1 else Group("or", same))
    return Fql.of(" and ".join(map(_text, nodes)), Group("and", nodes))


def _equals(keys: tuple[str, ...], text: str) -> Condition:
    return Condition(keys, "=", text, f'{_name(keys)} = "{text}"')


def _text(node: Condition | Group) -> str:
    if isinstance(node, Condition):
        return node.text
    return f"({' or '.join(one.text for one in node.children if isinstance(one, Condition))})"


def _name(keys: Iterable[str]) -> str:
    """Return a path as FQL has it: a backslash before what has a meaning there."""
    return ".".join(_SPECIAL.sub(lambda found: "\\" + found.group(), key) for key in keys)


def _number(text: str) -> float | None:
    """Return the number that is written so; None for any other text, such as 2.0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if to_string(number) == text and math.isfinite(number) else None


class RuleMapper:
    """The mapper that the track action names: the oldest rule that matches wins."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    def __call__(self, event: Event, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the payload with the rule's feature and amount; None if no rule matches."""
        rule = self.find(event)
        if rule is None:
            return None
        amount = {} if rule.amount is None else {"delta": rule.amount}
        return {**payload, "featureId": rule.feature, **amount}

    def find(self, event: Event) -> Rule | None:
        """Return the rule that maps an event, or None."""
        return next((rule for rule in self.rules if rule.matches(event)), None)


def read_rules(document: Document) -> list[Rule]:
    """Read a document ``{rules: [...]}``; raises `DefinitionError` with every issue."""
    issues = list(issues_by_schema(document, _RULES))
    if not issues:
        issues += _wrong_paths(document)
        issues += _without_conditions(document)
        issues += _wrong_fql(document)
        issues += _named_twice(document)
    if issues:
        raise DefinitionError(issues)
    return [Rule(**data) for data in document.data["rules"]]


def _wrong_paths(document: Document) -> Iterator[Issue]:
    for index, rule in enumerate(document.data["rules"]):
        for path in rule.get("where", ()):
            if not _PATH.fullmatch(path):
                message = (
                    f"{path!r} is not a property path: expected names with dots between them, "
                    r"such as plan.name; write a dot in a name as in plan\.name"
                )
                yield document.issue(pointer("rules", index, "where", path), message)


def _without_conditions(document: Document) -> Iterator[Issue]:
    for index, rule in enumerate(document.data["rules"]):
        if "when" not in rule and "event" not in rule and not rule.get("where"):
            message = (
                "needs a condition: FQL in when, an event name, or a property with its value in "
                "where"
            )
            yield document.issue(pointer("rules", index), message)


def _wrong_fql(document: Document) -> Iterator[Issue]:
    for index, rule in enumerate(document.data["rules"]):
        if "when" not in rule:
            continue
        for key in _SHORT:
            if key in rule:
                message = "cannot stand beside when: write it in its FQL"
                yield document.issue(pointer("rules", index, key), message)
        place, never = pointer("rules", index, "when"), never_holds(rule["when"])
        for issue in [*check_fql(rule["when"]), *([] if never is None else [never])]:
            yield document.issue(place, str(issue))
        if never is None and "track" not in compile_fql(rule["when"]).types:
            yield document.issue(place, "never holds: rules are for track events")


def _named_twice(document: Document) -> Iterator[Issue]:
    names: set[str] = set()
    for index, rule in enumerate(document.data["rules"]):
        if rule["name"] in names:
            message = f"there is a rule {rule['name']!r} further up; give each its own name"
            yield document.issue(pointer("rules", index, "name"), message)
        names.add(rule["name"])


def overlap(one: Rule, other: Rule) -> bool:
    """Return whether an event could match both rules."""
    return overlap_of_fql(one.fql, other.fql) is not None


def property_values(properties: object) -> Iterator[tuple[str, str]]:
    """Yield each path below ``properties`` that a rule could name, with its value as text."""
    pending: list[tuple[str, object]] = [("", properties)]
    while pending:
        prefix, value = pending.pop()
        if isinstance(value, dict):
            inner: Iterable[tuple[str, object]] = value.items()
            # A path cannot name a key that is empty or ends in a backslash.
            named = [
                (key.replace(".", r"\."), item)
                for key, item in inner
                if key and not key.endswith("\\")
            ]
            pending += [(f"{prefix}.{key}" if prefix else key, item) for key, item in named]
        elif prefix and not isinstance(value, list):
            yield prefix, to_string(value)


def _keys(path: str) -> tuple[str, ...]:
    """Return the names that a path of the short form has."""
    return tuple(name.replace(r"\.", ".") for name in _BETWEEN_NAMES.split(path))


def _is_there(value: object, keys: Iterable[str]) -> bool:
    """Return whether an object has something at a path, be it null."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True
