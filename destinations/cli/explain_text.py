"""An explanation as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape

from destinations.cli.json_output import json_text
from destinations.cli.tables import plain
from destinations.outcome import Result
from destinations.runtime.explain import Explanation, PlannedRequest, SubscriptionExplanation
from destinations.secrets import Masker
from destinations.segment.javascript import UNDEFINED

__all__ = ["print_explanation"]


def print_explanation(explanation: Explanation, masker: Masker) -> None:
    """Print each subscription's steps in order; secrets are masked."""
    console = Console(highlight=False, soft_wrap=True)

    def say(text: str, indent: int = 0) -> None:
        console.print(" " * indent + plain(masker.text(text)))

    if explanation.blank_traits:
        say(f"[bold]blank traits, left out[/bold]: {escape(', '.join(explanation.blank_traits))}")
    for followed in explanation.subscriptions:
        for indent, line in _subscription(followed):
            say(line, indent)
    if explanation.result is not None:
        say(_result(explanation.result))


def _subscription(followed: SubscriptionExplanation) -> Iterable[tuple[int, str]]:
    verdict = "matches" if followed.matches else "does not match"
    yield 0, f"[bold]{escape(followed.name)}[/bold] ({followed.action}): {verdict}"
    for clause in followed.clauses:
        mark = "held" if clause["held"] else "did not hold"
        yield 2, f"{escape(clause['text'])}  [dim]{mark}; found {_json(clause['value'])}[/dim]"
    if not followed.matches:
        return
    yield 2, "[bold]mapping[/bold]"
    for step in followed.mapping:
        yield 4, f"{escape(step['path'])} {step['directive']}  = {_json(step['value'])}"
    if followed.changes:
        yield 2, "[bold]empty values, unknown keys, coercions[/bold]"
        for change in followed.changes:
            yield 4, f"{escape(change['path'])} {_change(change)}"
    if followed.payload is not None:
        yield 2, f"[bold]payload[/bold] {_json(followed.payload)}"
    for planned in followed.requests:
        yield from _request(planned)
    if followed.result is not None:
        yield 2, _result(followed.result)
        for error in followed.result.errors:
            yield 4, escape(error)


def _change(change: dict[str, Any]) -> str:
    match change["kind"]:
        case "empty":
            return f"removed: {_json(change['before'])} is empty"
        case "dropped":
            return f"dropped: no such field ({_json(change['before'])})"
    return f"coerced: {_json(change['before'])} became {_json(change['after'])}"


def _request(planned: PlannedRequest) -> Iterable[tuple[int, str]]:
    after = f", after the answers {', '.join(planned.after)}" if planned.after else ""
    if planned.name is None:
        yield 2, f"[bold]done[/bold]{after}: {escape(planned.note)}"
        return
    yield 2, f"[bold]request {planned.name}[/bold]{after}"
    if planned.request is None:
        yield 4, escape(planned.note)
        return
    yield 4, f"{planned.request['method']} {escape(planned.request['url'])}"
    for name, value in planned.request["headers"].items():
        yield 4, f"{name}: {escape(value)}"
    body = planned.request["body"]
    if isinstance(body, dict) and isinstance(body.get("query"), str):
        depth = 0
        for line in body["query"].splitlines():
            depth -= line.strip().startswith("}")
            yield 6 + 2 * depth, escape(line.strip())
            depth += line.rstrip().endswith("{")
        yield 6, f"variables {_json(body.get('variables'))}"
    elif body is not None:
        yield 6, _json(body)
    if planned.after:
        return
    yield 4, "[dim]outcome by answer:[/dim]"
    for answer, outcome in planned.outcomes:
        yield 6, f"[dim]{escape(answer)}: {outcome}[/dim]"


def _result(result: Result) -> str:
    code = f" ({result.status} {result.code})" if result.status else ""
    return f"[bold]{result.outcome.value}[/bold]{code}: {escape(result.reason)}"


def _json(value: Any) -> str:
    if value is UNDEFINED:
        return "undefined"
    return escape(json_text(value, default=str))
