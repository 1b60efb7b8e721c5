"""Read the conditions under which Segment's forms show or require a field.

A rule is ``{match: any|all, conditions: [{fieldKey, operator: is|is_not, value}]}``; a condition on
the sync mode is ``{type: syncMode, operator, value}``. A definition writes them as
``{match, conditions: [{field, operator, value}]}``, see `destinations.segment.validation`.
"""

from __future__ import annotations

from typing import Any, Final

from destinations.errors import Issue
from destinations.segment.validation.required_when import OPERATORS

__all__ = ["SYNC_MODE", "conditions_of"]

SYNC_MODE: Final = "__segment_internal_sync_mode"
"""The field that holds the sync mode of a subscription; Segment's mappings name it so."""


def conditions_of(rule: object, path: str, issues: list[Issue]) -> dict[str, Any] | None:
    """Return a rule of Segment's in a definition's form; None after an issue."""
    conditions = rule.get("conditions") if isinstance(rule, dict) else None
    if not isinstance(rule, dict) or not isinstance(conditions, list) or not conditions:
        issues.append(Issue('should have "conditions", a list of at least one', path))
        return None
    before = len(issues)
    found = [
        _condition(condition, f"{path}/conditions/{at}", issues)
        for at, condition in enumerate(conditions)
    ]
    match = {"match": rule["match"]} if rule.get("match") in ("any", "all") else {}
    return None if len(issues) > before else {**match, "conditions": found}


def _condition(condition: object, path: str, issues: list[Issue]) -> dict[str, Any]:
    given = condition if isinstance(condition, dict) else {}
    key = SYNC_MODE if given.get("type") == "syncMode" else given.get("fieldKey")
    if not isinstance(key, str):
        issues.append(Issue('should have "fieldKey", the key of a field', path))
    elif given.get("operator") not in OPERATORS:
        got = given.get("operator")
        issues.append(Issue(f"should be is or is_not but is {got!r}", f"{path}/operator"))
    value = {"value": given["value"]} if "value" in given else {}
    return {"field": key, "operator": given.get("operator"), **value}
