"""Make the page of a run: one file that needs nothing else, and shows no secret."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from destinations.operations import (
    AccountFigures,
    BegunRun,
    RunReason,
    RunRecord,
    SubscriptionCounts,
    proposed,
)
from destinations.outcome import Outcome, State, Status
from destinations.pages import (
    EMPTY,
    Bar,
    Column,
    Html,
    Series,
    badge,
    bar_list,
    command,
    counted,
    document,
    duration,
    element,
    empty,
    facts,
    joined,
    message,
    share_text,
    stacked_rates,
    table,
    time,
    time_text,
    void,
)
from destinations.pipeline.ledger import NEEDS_OPERATOR, LedgerEntry
from destinations.report.words import adds_up, advice, ended_as

__all__ = ["MARK", "run_page"]

MARK: Final = "destinations-run-report"
"""What a page of a run says that it is: a file with it may be replaced by another one."""

_ORDER: Final[Mapping[str, Status]] = {one.value: one for one in (*Outcome, *State)}
_DAY: Final = 86_400
_LONGEST: Final = 100
_SHORT: Final = 24
_NAMES: Final = 30
_NUMBERS: Final = ("before", "expected", "found")
_DUPLICATES: Final = {
    "content": (
        "without a messageId had the same content as one of another file or an earlier run; events "
        "that are not the same need a messageId each"
    ),
    "line": (
        "without a messageId stood in the same line of an input with the same --input-id; another "
        "input needs another name"
    ),
}
_FINE: Final = frozenset({"delivered", "filtered", "unmapped"})

Mask = Callable[[str], str]


def run_page(
    record: RunRecord,
    figures: AccountFigures | None = None,
    mask: Mask = str,
    *,
    later: BegunRun | None = None,
) -> Html:
    """Return the page of a run, and of its account in the store as it stands now, if it is kept.

    ``mask`` replaces secrets in what the store says; a record has none. A ``later`` run, which
    began at that time, has left no record.
    """
    context = record.context
    what = "Dry run" if context.is_dry else "Run"
    title = f"{what} of {context.name}, {time_text(record.began)}"
    return document(
        title,
        element("h1", f"{what} of {context.name}"),
        _later(record, later),
        _result(record),
        _facts(record),
        _outcomes(record),
        _rates(record),
        _reasons(record),
        _undecided(record, figures, mask) if figures is not None else EMPTY,
        _unmapped(record),
        _duplicates(record),
        _account(record, figures) if figures is not None else EMPTY,
        _foot(record),
        marks=[void("meta", name="generator", content=f"{MARK} {record.made_by}")],
    )


# -- how it ended ----------------------------------------------------------------------------------


def _result(record: RunRecord) -> Html:
    """Return how the run ended, and how to go on."""
    if record.failure:
        return message("bad", _paragraph("The run failed: ", record.failure), *_going_on(record))
    if record.stopped:
        # Only refused credentials are those of one event: all else is noticed after some line.
        word = "at" if record.stopped == "authentication" else "after"
        at = f" {word} {record.stopped_at}" if record.stopped_at else ""
        # An interrupt says no more than that.
        why = "" if record.stopped == "interrupted" else f": {record.why_stopped}"
        ended = _paragraph(f"{ended_as(record.stopped)}{at}{why}.")
        return message("bad" if record.exit_code == 2 else "warning", ended, *_going_on(record))
    fine = {**dict.fromkeys(_FINE, 0), **({"ready": 0} if record.context.is_dry else {})}
    others = {name: number for name, number in record.outcomes.items() if name not in fine}
    if not record.rows:
        return message("", _paragraph("There was nothing to deliver."))
    if not others:
        text = (
            "Every row would be sent, or needs no sending."
            if record.context.is_dry
            else ("Every row was delivered, filtered or kept as unmapped.")
        )
        return message("good", _paragraph(text))
    listed = ", ".join(f"{number:,} {name}" for name, number in others.items())
    return message("warning", _paragraph(f"Not every row was delivered: {listed}."))


def _later(record: RunRecord, later: BegunRun | None) -> Html:
    """Return what is to be known of a run after this one that has no record."""
    if later is None:
        return EMPTY
    text = _paragraph(
        "This is not the last run: the one that began ",
        time(later.began),
        " has no record. It is going on, or was ended from outside, as by a kill or a power cut. "
        "What it delivered is among the deliveries of the account below, not among the rows of "
        "the run that this page is about.",
    )
    how: list[Html] = []
    if later.continued_by:
        how = [_paragraph("If it was ended, go on with:"), command(later.continued_by)]
    elif record.context.delivering:
        how = [
            _paragraph("Deliver what it left in the store, and feed its input again after that:"),
            command(_without_report(record.context.delivering)),
        ]
    about = _paragraph("Of the run that began ", time(record.began), ", which has a record:")
    return joined([message("warning", text, *how), about])


def _without_report(command_line: str) -> str:
    """Return a command without the file of its page, which is of another run."""
    if "--report" not in command_line:
        return command_line
    words = shlex.split(command_line)
    if "--report" not in words:
        return command_line
    at = words.index("--report")
    return shlex.join([*words[:at], *words[at + 2 :]])


def _going_on(record: RunRecord) -> Iterator[Html]:
    if record.not_kept:
        yield _paragraph(
            f"Read, and neither finished nor stored: {record.not_kept}. Feed the same input again."
        )
    if record.context.continued_by and not record.context.is_dry:
        yield _paragraph("Continue with:")
        yield command(_without_report(record.context.continued_by))


def _paragraph(*content: object) -> Html:
    return element("p", *content)


def _facts(record: RunRecord) -> Html:
    context = record.context
    rate = None
    if record.seconds > 0.001 and record.lines:
        rate = f"{round(record.lines / record.seconds):,} lines a second"
    kept = "in the store" if context.is_kept else "nothing: the same events would be sent again"
    return facts(
        [
            ("Destination", f"{context.name} ({context.slug}), version {context.version}"),
            ("Account", context.account),
            ("Input", context.source or "none: what earlier runs left"),
            ("Began", time(record.began)),
            ("Ended", time(record.ended)),
            ("Took", duration(record.seconds)),
            ("Requests", f"{record.requests:,}"),
            ("Rate", rate),
            ("Remembered", "nothing: a dry run" if context.is_dry else kept),
            ("Undelivered events", context.undelivered),
            ("Exit code", f"{record.exit_code}"),
        ]
    )


# -- what became of the rows -----------------------------------------------------------------------


def _outcomes(record: RunRecord) -> Html:
    parts = [_matrix(record.subscriptions, record.outcomes), _paragraph(_sum(record))]
    if record.missing:
        text = (
            f"{counted(record.missing, 'entry')} that {'was' if record.missing == 1 else 'were'} "
            "read have no row here, as the run was cut off: the same command continues with them."
        )
        parts.append(message("warning", _paragraph(text)))
    if record.hidden_from:
        text = (
            f"Not all of the input could be read: from {record.hidden_from} on events may be "
            "missing. Correct it, then run it again."
        )
        parts.append(message("warning", _paragraph(text)))
    if record.before:
        listed = ", ".join(f"{number:,} {name}" for name, number in record.before.items())
        text = f"Before that, what earlier runs had left was delivered: {listed}."
        parts.append(_paragraph(text))
    if record.earlier and not record.before:
        listed = ", ".join(f"{number:,} {name}" for name, number in record.earlier.items())
        text = f"Of what earlier runs had left, this run ended beside its own rows: {listed}."
        parts.append(element("p", text, class_="note"))
    return _section("Outcomes", *(parts if record.rows else [empty("No row."), *parts[1:]]))


def _sum(record: RunRecord) -> str:
    if not record.lines and not record.context.source:
        return f"{counted(record.rows, 'row')} of earlier runs."
    if record.missing or record.failure:
        # An error may have left rows out: nothing is promised of them.
        return f"{counted(record.lines, 'line')} read: {counted(record.rows, 'row')}."
    return adds_up(record.lines, record.empty, record.rows)


def _matrix(subscriptions: Sequence[SubscriptionCounts], outcomes: Mapping[str, int]) -> Html:
    """Return the rows of each subscription by outcome, with the totals of both."""
    rows = sum(outcomes.values())
    shown = [name for name in _ORDER if outcomes.get(name)]
    names = ["subscription", "action"]
    return table(
        [*map(Column, names), *(Column(name, "number") for name in (*shown, "rows"))],
        [
            (
                one.name or "(none)",
                one.action,
                *(one.outcomes.get(name) for name in shown),
                sum(one.outcomes.values()),
            )
            for one in subscriptions
        ],
        total=("total", "", *(outcomes[name] for name in shown), rows) if rows else (),
    )


def _rates(record: RunRecord) -> Html:
    values = record.timeline.values()
    series = [Series(status, status, numbers) for status, numbers in values.items()]
    if not series:
        return EMPTY
    return stacked_rates(
        series,
        began=record.timeline.began,
        step=record.timeline.step,
        title="When rows got their outcome",
        name="run",
    )


def _section(title: str, *content: object) -> Html:
    return element("section", element("h2", title), *content)


# -- why, and what can be done ---------------------------------------------------------------------


def _reasons(record: RunRecord) -> Html:
    order = list(_ORDER)
    reasons = sorted(record.reasons, key=lambda one: (order.index(one.outcome), -one.rows))
    if not reasons:
        return EMPTY
    parts: list[Html] = []
    for name, group in itertools.groupby(reasons, key=lambda one: one.outcome):
        parts.append(_of_outcome(name, list(group), record))
    title = "What would become of them, and why" if record.context.is_dry else "Why not delivered"
    return _section(title, *parts)


def _of_outcome(name: str, reasons: Sequence[RunReason], record: RunRecord) -> Html:
    """Return the reasons of one outcome or state, and what can be done about its rows."""
    number = record.outcomes.get(name, 0)
    share = share_text(number, record.rows)
    head = element("h3", badge(name), f" {counted(number, 'row')}, {share}")
    codes = {one.code for one in reasons}
    only = codes.pop() if len(codes) == 1 else ""
    found = advice(_ORDER[name], record.context, only)
    parts = [head, _paragraph(found.text)]
    if found.command:
        parts.append(command(_without_report(found.command)))
    if found.command and found.command.endswith("--dry-run"):
        parts.append(
            element("p", "Without --dry-run it is done; with it, it is only shown.", class_="note")
        )
    if found.after:
        after = _without_report(found.after)
        parts += [_paragraph("Then deliver what waits:"), command(after)]
    with_lines = any(one.place for one in reasons)
    is_short = all(len(one.place) <= _SHORT for one in reasons)
    place = [Column("first at", "short" if is_short else "text")] if with_lines else []
    rows = [(one.rows, *([one.place] if with_lines else []), one.code, one.text) for one in reasons]
    columns = [
        Column("rows", "number"),
        *place,
        Column("code", "short"),
        Column("first reason", "long"),
    ]
    if not any(one.code for one in reasons):
        del columns[-2]
        rows = [(*one[:-2], one[-1]) for one in rows]
    missing = number - sum(one.rows for one in reasons)
    note = EMPTY
    if missing > 0:
        text = f"{counted(missing, 'row')} more had other reasons, which were too many to keep."
        note = element("p", text, class_="note")
    return joined([*parts, table(columns, rows), note, _samples(reasons)])


def _samples(reasons: Sequence[RunReason]) -> Html:
    """Return events with these reasons, as far as they are known; they can be unfolded."""
    found = [(one.code, each) for one in reasons for each in one.samples if each.event]
    if not found:
        return EMPTY
    with_place = any(each.place for _, each in found)
    columns = [
        *([Column("at", "short")] if with_place else []),
        Column("reason", "long"),
        Column("event", "long"),
    ]
    rows = [
        (*([each.place] if with_place else []), each.text, element("code", each.event))
        for _, each in found
    ]
    head = element("summary", f"{counted(len(rows), 'event')} of them, with masks for their values")
    return element("details", head, table(columns, rows))


def _undecided(record: RunRecord, figures: AccountFigures, mask: Mask) -> Html:
    """Return the deliveries whose answers were lost, each with the numbers to judge it by."""
    if not figures.undecided:
        return EMPTY
    number = sum(figures.counts.get(state.value, 0) for state in (State.HELD, State.UNKNOWN))
    more = number - len(figures.undecided)
    reasons = {mask(one.reason) for one in figures.undecided}
    columns = [
        *(Column("delivery", "short"), Column("state"), Column("user", "long")),
        *(Column(name, "number") for name in ("adds", *_NUMBERS)),
        Column("balances show"),
    ]
    rows = [_undecided_row(one, mask) for one in figures.undecided]
    if len(reasons) > 1:
        columns.append(Column("why", "long"))
        rows = [(*row, mask(one.reason)) for row, one in zip(rows, figures.undecided, strict=True)]
    parts = [
        _paragraph(
            "The answers to these were lost. A balance that was found as expected shows that what "
            "was added has been applied; one that is as before shows that it was not."
        ),
        *([_paragraph("All of them: ", *reasons, ".")] if len(reasons) == 1 else []),
        table(columns, rows),
    ]
    if more > 0:
        text = f"{more:,} more are not shown here."
        parts.append(element("p", text, class_="note"))
    first = next((one for one in figures.undecided if one.status is State.HELD), None)
    if first is not None and not record.context.is_dry:
        line = f"destinations deliveries resolve {first.id} --applied{_store_of(record)}"
        parts += [
            _paragraph("Decide on one, with --applied or --not-applied:"),
            command(line),
        ]
    return _section("Held and unknown", *parts)


def _store_of(record: RunRecord) -> str:
    """Return the options of the record without those that select by destination."""
    return record.context.options.partition(" --destination")[0]


def _undecided_row(entry: LedgerEntry, mask: Mask) -> tuple[object, ...]:
    shown = {True: "applied", False: "not applied", None: ""}[proposed(entry)]
    numbers = [entry.evidence.get(name) for name in _NUMBERS]
    amount = None if entry.increment is None else entry.increment.amount
    return (
        str(entry.id),
        badge(entry.status),
        _bounded(mask(entry.user)),
        amount,
        *(one if isinstance(one, int) else None for one in numbers),
        shown,
    )


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _unmapped(record: RunRecord) -> Html:
    """Return the unmapped events by name."""
    if not record.unmapped:
        return EMPTY
    names = list(record.unmapped.items())
    bars = [Bar(name or "(no name)", number, "unmapped") for name, number in names[:_NAMES]]
    others = record.other_unmapped + sum(number for _, number in names[_NAMES:])
    note = EMPTY
    if others:
        text = f"{counted(others, 'event')} with other names."
        note = element("p", text, class_="note")
    return _section("Unmapped events by name", bar_list(bars), note)


def _duplicates(record: RunRecord) -> Html:
    if not record.duplicates:
        return EMPTY
    items = [
        element("li", f"{counted(number, 'event')} {_DUPLICATES.get(by, by)}.")
        for by, number in record.duplicates.items()
    ]
    return _section("Duplicates without a messageId", element("ul", *items))


# -- the store -------------------------------------------------------------------------------------


def _account(record: RunRecord, figures: AccountFigures) -> Html:
    """Return how the account stands: this run, those before it, and what was decided since."""
    if not figures.rows:
        return _section("The account in the store", empty("The store has no delivery of it."))
    account = record.context.account or record.context.slug
    parts: list[Html] = [
        _paragraph(f"All deliveries to {account} that the store has, at ", time(figures.at), ":"),
        _matrix(figures.subscriptions, figures.counts),
        _paragraph(_same_totals(figures)),
    ]
    if len(figures.days) > 1:
        parts.append(_by_day(figures.days))
    if figures.users_to_change:
        who = (
            "1 user has"
            if figures.users_to_change == 1
            else f"{figures.users_to_change:,} users have"
        )
        parts.append(message("warning", _paragraph(f"{who} changes to make by hand.")))
    if any(figures.counts.get(one.value) for one in NEEDS_OPERATOR):
        parts += [
            _paragraph("List what needs a decision:"),
            command(f"destinations deliveries list{record.context.options}"),
        ]
    return _section("The account in the store", *parts)


def _same_totals(figures: AccountFigures) -> str:
    """Return the sentence that the totals of both ways to count are the same, or that not."""
    counted_ones = sum(sum(one.outcomes.values()) for one in figures.subscriptions)
    if counted_ones == figures.rows:
        return f"{counted(figures.rows, 'delivery')}: the subscriptions add up to the total."
    return (
        f"{counted(figures.rows, 'delivery')}; the subscriptions have {counted_ones:,}, as a "
        "process was writing when they were counted."
    )


def _by_day(days: Mapping[int, Mapping[str, int]]) -> Html:
    first, last = min(days), max(days)
    names = [name for name in _ORDER if any(name in counts for counts in days.values())]
    series = [
        Series(name, name, [days.get(day, {}).get(name, 0) for day in range(first, last + 1)])
        for name in names
    ]
    return stacked_rates(
        series,
        began=first * _DAY,
        step=_DAY,
        title="Deliveries of all runs by the day on which they ended",
        name="days",
        unit="deliveries",
    )


def _foot(record: RunRecord) -> Html:
    text = (
        f"Made by destinations {record.made_by}. Secrets are masked, and the values of sample "
        "events; a reason may quote its event."
    )
    return element("footer", element("p", text, class_="note"))
