"""Check the rules by which answers are judged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from destinations.definition.document import Document
from destinations.definition.graphql_document import root_keys
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["awaited_actions", "rule_issues"]


def rule_issues(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in error rules: what repeats mean, and root fields."""
    for kind in ("answers", "errorRules"):
        for index, rule in enumerate(data.get(kind, ())):
            yield from _repeat_means(document, place + pointer(kind, index), rule)
            field = rule["when"].get("rootField")
            known = root_keys(data.get("graphql", {}).get("document", ""))
            if field is not None and field not in known:
                listed = ", ".join(known) or "none"
                message = (
                    f"unknown root field {field!r}: expected one of several in the document "
                    f"next to it; known: {listed}"
                )
                message += did_you_mean(field, known)
                yield document.issue(place + pointer(kind, index, "when", "rootField"), message)


def _repeat_means(document: Document, place: str, rule: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that an error that proves an earlier success is not tried again."""
    if "repeatMeans" in rule and rule["retryable"]:
        message = (
            "must be false: with repeatMeans the partner has the event, so nothing is repeated"
        )
        yield document.issue(place + "/retryable", message)


def awaited_actions(document: Document, actions: Collection[str]) -> Iterator[Issue]:
    """Yield the rules that wait for an action that does not exist."""
    requests = document.data["requests"]
    of_requests = [(pointer("requests", name), each) for name, each in requests.items()]
    for place, data in (("", document.data), *of_requests):
        for index, rule in enumerate(data.get("errorRules", ())):
            action = rule.get("waitFor", {}).get("action")
            if action is not None and action not in actions:
                own = place + pointer("errorRules", index, "waitFor", "action")
                yield document.issue(own, unknown_name("action", action, sorted(actions)))
