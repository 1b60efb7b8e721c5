"""Say what became of the rows of a run, and what can be done about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from destinations.operations import RunContext
from destinations.outcome import Outcome, State, Status
from destinations.pages import counted

__all__ = ["Advice", "adds_up", "advice", "ended_as"]


def adds_up(lines: int, empty: int, rows: int) -> str:
    """Return the sentence that shows that nothing is missing."""
    entries = lines - empty
    text = f"{counted(lines, 'line')} read"
    if empty:
        text += f", {empty:,} of them empty"
    if rows == entries:
        each = ", one for each" if rows > 1 else ""
        return f"{text}: {counted(rows, 'row')}{each}."
    return f"{text}: {counted(rows, 'row')}, one for each event and subscription that took it."


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence about rows with an outcome or state, and the command that helps.

    ``after`` is the command that comes next. Both are empty where there is nothing to do.
    """

    text: str
    command: str = ""
    after: str = ""


_LOOK: Final = "destinations deliveries list"
_REPLAY: Final = "destinations deliveries replay"
_RESOLVE: Final = "destinations deliveries resolve"

_ADVICE: Final[Mapping[Status, tuple[str, str]]] = {
    Outcome.FILTERED: ("They were not meant to be sent: there is nothing to do.", ""),
    Outcome.UNMAPPED: (
        (
            "They are kept until a rule maps them, and wait to be sent as soon as one does. Make "
            "the rule, then deliver what waits. What a change of the definition maps instead is "
            "replayed first: destinations deliveries replay --outcome unmapped."
        ),
        _REPLAY,
    ),
    Outcome.INVALID: (
        (
            "Nothing was sent. Correct the mapping or the definition and replay them; or correct "
            "the events and run them again, each with its messageId."
        ),
        _REPLAY,
    ),
    Outcome.REJECTED: (
        "The partner refused them for good. Correct what it objects to, then replay them.",
        _REPLAY,
    ),
    Outcome.DEAD: (
        "They failed until the last attempt. When the cause is gone, replay them.",
        _REPLAY,
    ),
    Outcome.DROPPED: ("An operator gave them up: they are never sent again.", ""),
    State.READY: ("They were not sent yet. Continue the run.", ""),
    State.SENDING: ("Their requests are under way.", ""),
    State.UNKNOWN: (
        "Their answers were lost, so they may have been applied. The next run asks the partner.",
        "",
    ),
    State.HELD: (
        (
            "The partner's answer does not tell whether they were applied. Look them up there and "
            "decide: applied, or to be sent again."
        ),
        _RESOLVE,
    ),
}
_GOES_ON: Final = frozenset({State.READY, State.UNKNOWN})
_REPLAYED: Final = frozenset({Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD})


def advice(status: Status, context: RunContext, code: str = "") -> Advice:
    """Return what can be done about rows of a run; ``code`` narrows the command down."""
    text, verb = _ADVICE[status]
    if context.is_dry:
        return Advice("They would be sent." if status is State.READY else _SHORT.get(status, text))
    if not context.is_kept:
        return _without_store(status, text, context)
    if status in _GOES_ON:
        return Advice(text, context.continued_by)
    if not verb:
        return Advice(text)
    if status is Outcome.UNMAPPED:
        return Advice(text, after=context.delivering)
    kind = "state" if isinstance(status, State) else "outcome"
    narrowed = f" --code {code}" if code else ""
    chosen = f"--{kind} {status}{narrowed}{context.options}"
    after = context.delivering if status in _REPLAYED else ""
    return Advice(text, f"{verb} {chosen} --dry-run", after)


def _without_store(status: Status, text: str, context: RunContext) -> Advice:
    """Return what can be done where nothing was remembered."""
    if status in {Outcome.FILTERED, Outcome.DROPPED}:
        return Advice(text)
    if context.undelivered:
        kept = f"They are in {context.undelivered}, which can be fed back with --events."
    else:
        kept = "Use --undelivered FILE to have them in a file, or --store FILE to keep them."
    return Advice(f"{_SHORT[status]} Nothing was remembered of them. {kept}")


_SHORT: Final[Mapping[Status, str]] = {
    Outcome.UNMAPPED: "They name nothing to deliver to, and no rule does.",
    Outcome.INVALID: "Nothing was sent.",
    Outcome.REJECTED: "The partner refused them for good.",
    Outcome.DEAD: "They failed until the last attempt.",
    State.READY: "They were not sent.",
    State.SENDING: "Their requests were under way.",
    State.UNKNOWN: "Their answers were lost, so they may have been applied.",
    State.HELD: "The partner's answer does not tell whether they were applied.",
}
"""The meaning of each status, without what could be done."""


_STOPPED: Final = {
    "authentication": "The run stopped: the credentials were refused",
    "damaged": "The run stopped: the store is damaged",
    "interrupted": "The run was interrupted",
    "refused": "The run stopped: the partner refuses every request of an action",
    "unavailable": "The run stopped: the partner or the store was not available",
}


def ended_as(stopped: str) -> str:
    """Return what ended a run before its input did."""
    return _STOPPED.get(stopped, "The run stopped")
