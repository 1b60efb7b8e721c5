"""Makes docs/kana-behaviour.md from the tables that the code runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.request_model import ErrorRule
from destinations.http import Failure, compile_request
from destinations.http.error_rules import ErrorReader, Signal
from destinations.outcome import State, Status
from destinations.runtime.installed import find_folder
from destinations.runtime.sender import status_of
from kana_destination.cases import Case, cases
from kana_destination.flags import BOXES

__all__ = ["kana_behaviour"]

_SAME = "user 1 is updated: the fields"
_THEN = {
    "create": "user 1 is created with all fields",
    "update": "user 1 is updated: the email and the other fields",
    "merge": "merged: user 1 keeps its id, gets email x and Stripe's billingId (see below)",
    "rename": "the Stripe user's id is overwritten with 1; its billingId stays (see below)",
}


def kana_behaviour() -> str:
    """Write the page."""
    definition = load_definition(find_folder("kana"))
    template = (Path(__file__).parent / "kana-behaviour.md.j2").read_text(encoding="utf-8")
    boxes = ["| box | users |", "|---|---|", *(f"| `{name}` | {BOXES[name]} |" for name in BOXES)]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(
        description=definition.description,
        cases="\n".join(_case_table()),
        fields="\n".join(_fields(definition)),
        errors="\n".join(_errors(definition)),
        boxes="\n".join(boxes),
    )


def _case_table() -> Iterator[str]:
    yield "| # | user 1 | Stripe user with email x | others with email x | outcome | flagged |"
    yield "|---|---|---|---|---|---|"
    for case in sorted(cases().values(), key=_order):
        number = "" if case.number is None else str(case.number)
        user = case.user.replace("same email", "email x")
        yes = ["yes" if value else "no" for value in (case.stripe, case.others)]
        flagged = "yes" if case.flagged else ""
        then = _SAME if case.user == "same email" else _THEN[case.then]
        yield f"| {number} | {user} | {yes[0]} | {yes[1]} | {then} | {flagged} |"


def _order(case: Case) -> int:
    """Sort the guide's cases first, by number."""
    return case.number if case.number is not None else 99


def _fields(definition: DestinationDefinition) -> Iterator[str]:
    yield "| action | field | required | meaning |\n|---|---|---|---|"
    for action in definition.event_actions.values():
        for key, spec in action.fields["properties"].items():
            required = "yes" if key in action.fields["required"] else ""
            yield f"| {action.title} | `{key}` | {required} | {spec['description']} |"


def _errors(definition: DestinationDefinition) -> Iterator[str]:
    """Yield what each documented error means for a usage event and for any other request."""
    yield "| error | class | recording usage | other requests |\n|---|---|---|---|"
    compiled = {
        name: compile_request(request, definition.transport, definition.error_rules)
        for name, request in definition.requests.items()
    }
    own = definition.requests["recordUsage"].error_rules
    for rule in definition.error_rules:
        first = next((mine for mine in own if mine.when == rule.when), rule)
        ends = []
        for name, found in (("recordUsage", first), ("findUser", rule)):
            status = status_of(
                compiled[name],
                error_class=found.error_class,
                retryable=found.retryable,
                nothing_applied=found.nothing_applied,
            )
            ends.append(_end(found, status))
        yield f"| {rule.when} | {rule.error_class} | {ends[0]} | {ends[1]} |"


def _end(rule: ErrorRule, status: Status) -> str:
    """Return the outcome of an event whose request meets an error."""
    if rule.error_class == "authentication":
        return "stops the run"
    if _concerns_request(rule):
        return "the action pauses; its events wait"
    if rule.wait_for is not None:
        minutes = f"{rule.wait_for.seconds / 60:g} minutes"
        return (
            f"`serve` lets it wait {minutes} for the {rule.wait_for.action} of its user, `run` "
            "tries it again a few times; then `dead`"
        )
    return "tried again, then `dead`" if status is State.READY else f"`{status}`"


def _concerns_request(rule: ErrorRule) -> bool:
    """Return whether an error is about the document or the address, whatever the event is."""
    when = rule.when
    status = 200 if when.status is None else when.status[0]
    if not isinstance(status, int) or when.exception is not None or when.message is not None:
        return rule.concerns == "request"
    signal = Signal(status, "", code=when.code)
    found = ErrorReader((), [rule], fixed_address=True).match(signal, whole_request=True)
    return isinstance(found, Failure) and found.concerns == "request"
