"""Mapping rules: they name the feature that an event uses, if the event does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.schema_issues import issues_by_schema
from destinations.errors import DefinitionError, Issue
from destinations.segment.event import Event
from destinations.segment.javascript import to_string
from destinations.segment.json_pointer import pointer

__all__ = ["Rule", "RuleMapper", "overlap", "property_values", "read_rules"]

_RULE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["name", "feature"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: an event with this name (if given) and all these property values uses ``feature``.

    ``where`` maps paths below ``properties`` to values, which are compared as text. A path has dots
    between names, and a backslash before a dot in a name. ``amount`` is recorded instead of the
    event's own ``delta``.
    """

    name: str
    feature: str
    event: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    amount: int | None = None

    def matches(self, event: Event) -> bool:
        """Return whether the event meets all conditions."""
        if self.event is not None and event.get("event") != self.event:
            return False
        properties = event.get("properties")
        return all(_holds(properties, path, value) for path, value in self.where.items())

    def to_json(self) -> dict[str, Any]:
        """Return the rule as a rules file has it."""
        found: dict[str, Any] = {"name": self.name}
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
        """The conditions in words."""
        parts = [] if self.event is None else [f'event is "{self.event}"']
        parts += [f"{path} is {to_string(value)}" for path, value in self.where.items()]
        return " and ".join(parts)


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
        if "event" not in rule and not rule.get("where"):
            message = "needs a condition: an event name, or a property with its value in where"
            yield document.issue(pointer("rules", index), message)


def _named_twice(document: Document) -> Iterator[Issue]:
    names: set[str] = set()
    for index, rule in enumerate(document.data["rules"]):
        if rule["name"] in names:
            message = f"there is a rule {rule['name']!r} further up; give each its own name"
            yield document.issue(pointer("rules", index, "name"), message)
        names.add(rule["name"])


def overlap(one: Rule, other: Rule) -> bool:
    """Return whether an event could match both rules, as no condition of one excludes the other."""
    if one.event is not None and other.event is not None and one.event != other.event:
        return False
    return all(
        to_string(one.where[path]) == to_string(other.where[path])
        for path in one.where.keys() & other.where.keys()
    )


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


def _holds(properties: object, path: str, expected: object) -> bool:
    value = properties
    for name in _BETWEEN_NAMES.split(path):
        key = name.replace(r"\.", ".")
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return not isinstance(value, dict | list) and to_string(value) == to_string(expected)
