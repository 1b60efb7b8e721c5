"""Show the report of a run: as tables for people, and as an object for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import click

from destinations.cli.run_samples import Sample
from destinations.cli.tables import count, plain, print_table
from destinations.opening import Deliveries
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import NEEDS_OPERATOR
from destinations.pipeline.places import Place
from destinations.pipeline.report import SHOWN, Reason, Report, Totals
from destinations.report import adds_up
from destinations.secrets import Masker

__all__ = [
    "as_json_object",
    "dry_json_object",
    "exit_code",
    "print_kept",
    "print_report",
    "summary",
]

_FINE: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.UNMAPPED})
_STOPPED: Final = {
    "authentication": 2,
    "damaged": 2,
    "interrupted": 130,
    "refused": 2,
    "unavailable": 75,
}


def exit_code(report: Report | Deliveries, *, dry_run: bool = False) -> int:
    """Return the exit code after a run; see `destinations.cli.group`."""
    if report.stopped is not None:
        return _STOPPED[report.stopped.why]
    fine = _FINE | {State.READY} if dry_run else _FINE
    return 0 if fine.issuperset(+report.totals.outcomes) else 1


def dry_json_object(report: Report, samples: Iterable[Sample], masker: Masker) -> dict[str, Any]:
    """Return the report of a dry run as JSON: `as_json_object`, and what a table shows of it."""
    totals = report.totals
    return {
        "dry_run": True,
        **as_json_object(report, masker),
        "by_subscription": [
            {"subscription": key.name, "action": key.action, "outcomes": _occurred(counts)}
            for key, counts in sorted(totals.by_subscription.items())
        ],
        "samples": [masker.value(one.to_json()) for one in samples],
    }


def as_json_object(report: Report, masker: Masker) -> dict[str, Any]:
    """Return the report as JSON: every outcome has its key, also those that did not occur."""
    totals = report.totals
    found: dict[str, Any] = {
        "lines": report.lines,
        "empty": report.empty,
        "rows": totals.rows,
        "outcomes": {status.value: totals.outcomes[status] for status in SHOWN},
        "by_action": {
            action: _occurred(counts) for action, counts in sorted(totals.by_action.items())
        },
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "reasons": [
            {
                "outcome": one.outcome.value,
                "code": None if one.code == one.example else masker.text(one.code),
                "rows": one.count,
                **(_json_place(report.places.find(one.first_line)) if one.first_line else {}),
                "reason": masker.text(_unplaced(one, report)),
            }
            for one in totals.reasons
        ],
    }
    if others := totals.other_reasons:
        found["other_reasons"] = _occurred(others)
    if report.hidden_from:
        found |= _json_place(report.places.find(report.hidden_from), "unreadable_from_")
    for by, number in report.derived.items():
        found[f"duplicates_by_{by}"] = number
    if report.earlier:
        found["earlier"] = _occurred(report.earlier)
    if report.not_kept is not None:
        found["not_kept"] = {
            "lines": report.not_kept.lines,
            "rows": report.not_kept.rows,
            **_json_place(report.places.find(report.not_kept.first), "from_"),
            "message": masker.text(report.not_kept.why),
        }
    if report.stopped is not None:
        found["stopped"] = report.stopped.why
        found |= _json_place(report.places.find(report.stopped.line))
        found["message"] = masker.text(report.stopped.message)
    return found


def _occurred(counts: Mapping[Status, int]) -> dict[str, int]:
    return {status.value: number for status in SHOWN if (number := counts.get(status, 0))}


def _json_place(place: Place, prefix: str = "") -> dict[str, Any]:
    """Return a line, and the file that has it where there are several."""
    file = {f"{prefix}file": place.file} if place.file else {}
    return {**file, f"{prefix}line": place.line}


def print_report(
    report: Report,
    masker: Masker,
    *,
    to_stderr: bool,
    of_earlier: str | None = None,
    dry_run: bool = False,
) -> None:
    """Print the rows by action and outcome, with totals, and why rows were not delivered.

    ``of_earlier`` says that no line was read: the rows are those that earlier runs had left for
    this account. Those of a dry run are by subscription.
    """
    totals = report.totals
    if of_earlier is not None and not totals.rows:
        text = f"Nothing waits for {plain(of_earlier)}: earlier runs left nothing to deliver."
        click.echo(text, err=to_stderr)
        return
    shown = [status for status in SHOWN if totals.outcomes[status]]
    columns, named = _named_counts(totals, by_subscription=dry_run)
    rows = [
        (*names, *(counts[status] or "" for status in shown), sum(counts.values()))
        for names, counts in named
    ]
    total = ("total", *[""] * (len(columns) - 1))
    print_table(
        "Outcomes",
        (*columns, *(status.value for status in shown), "rows"),
        rows,
        total=(*total, *(totals.outcomes[status] for status in shown), totals.rows),
        to_stderr=to_stderr,
    )
    is_earlier = of_earlier is not None
    text = f"{count(totals.rows, 'row')} of earlier runs." if is_earlier else _added_up(report)
    click.echo(text, err=to_stderr)
    if report.hidden_from:
        click.echo(
            f"Not all of the input could be read: from {report.places.find(report.hidden_from)} on "
            "events may be missing; the table gives the reason. Correct it, then run it again.",
            err=to_stderr,
        )
    rate = ""
    if report.seconds and not is_earlier:
        rate = f", {count(round(report.lines / report.seconds), 'line')} a second"
    click.echo(
        f"{count(report.requests, 'request')} in {report.seconds:.2f} s{rate}\n", err=to_stderr
    )
    if totals.reasons:
        title = "What would become of them, and why" if dry_run else "Why not delivered"
        _print_reasons(report, masker, title, to_stderr=to_stderr, with_lines=not is_earlier)
    if number := report.derived["content"]:
        click.echo(
            f"{count(number, 'event')} without a messageId had the same content as one of "
            f"{_others(report)}. Events that are not the same need a messageId each.\n",
            err=to_stderr,
        )
    if number := report.derived["line"]:
        click.echo(
            f"{count(number, 'event')} without a messageId stood in the same line of an input with "
            "the same --input-id. Another input needs another name.\n",
            err=to_stderr,
        )


def _named_counts(
    totals: Totals, *, by_subscription: bool
) -> tuple[Sequence[str], Sequence[tuple[Sequence[str], Counter[Status]]]]:
    """Return the columns of names, and the counts with theirs.

    An event that no action takes has none.
    """
    by_action = sorted(totals.by_action.items())
    if not by_subscription:
        named = [(("(none)" if action == "-" else action,), counts) for action, counts in by_action]
        return ("action",), named
    rest = [(("(none)", ""), counts) for action, counts in by_action if action == "-"]
    found = [((key.name, key.action), one) for key, one in sorted(totals.by_subscription.items())]
    return ("subscription", "action"), [*rest, *found]


def _print_reasons(
    report: Report, masker: Masker, title: str, *, to_stderr: bool, with_lines: bool
) -> None:
    find = report.places.find
    columns = ["outcome", "rows", *(["first line", "reason"] if with_lines else ["why"])]
    rows = [
        (
            *(reason.outcome.value, reason.count),
            *([_first(find(reason.first_line))] if with_lines else []),
            masker.text(_unplaced(reason, report)),
        )
        for reason in report.totals.reasons
    ]
    print_table(title, columns, rows, to_stderr=to_stderr)
    if others := summary(report.totals.other_reasons):
        click.echo(f"and {others} more, for other reasons\n", err=to_stderr)
    failed = [one for one in report.totals.reasons if one.outcome is not Outcome.FILTERED]
    codes = [one.code for one in failed if one.code.isupper()]  # and not a reason without a code
    # Only what was not delivered waits for the reference.
    if codes and (topics := import_module("destinations.reference").help_on_codes(codes)):
        click.echo(f"Help: {topics}\n", err=to_stderr)


def _unplaced(reason: Reason, report: Report) -> str:
    """Return an example without its line, which has a column or key of its own."""
    return reason.example.removeprefix(f"{report.places.find(reason.first_line)}: ")


def _others(report: Report) -> str:
    return "another file or an earlier run" if report.places.are_several else "an earlier run"


def _first(place: Place) -> str | int:
    """Return where a reason occurred first, for a column; a number stands on its right."""
    return f"{place.file}:{place.line}" if place.file else (place.line or "-")


def summary(counts: Mapping[Status, int]) -> str:
    """Return counts by outcome in words, such as ``2 dead, 1 held``."""
    return ", ".join(f"{counts[status]:,} {status}" for status in SHOWN if counts.get(status))


def print_kept(  # noqa: PLR0913 - the facts of a store
    counts: Mapping[Status, int],
    users: int,
    options: str,
    *,
    changes: str = "",
    read: int = 0,
    is_shared: bool = False,
    to_stderr: bool,
) -> None:
    """Print what waits for an operator, or for another run, in the store of a run.

    ``users`` is how many have changes to make by hand, and ``changes`` the command that shows them,
    empty if there is none; ``options`` say where the store is. Of what the run has ``read``, this
    many rows are ready: some may be only in its input. If it ``is_shared``, another run goes on.
    """
    if text := summary(_only(counts, *NEEDS_OPERATOR, Outcome.UNMAPPED)):
        only_unmapped = not any(counts.get(status) for status in NEEDS_OPERATOR)
        filters = " --outcome unmapped" if only_unmapped else ""
        click.echo(
            f"Kept for you to decide: {text}. See: destinations deliveries list{filters}{options}",
            err=to_stderr,
        )
    if text := summary(_only(counts, State.READY, State.UNKNOWN)):
        who = "another run, which goes on" if is_shared else "the next run"
        click.echo(f"Waiting in the store for {who}: {text}.", err=to_stderr)
    if read > (stored := counts.get(State.READY, 0)):
        other = "" if stored == 0 else "other "
        rest = read - stored
        rows, verb = count(rest, f"{other}ready row"), "is" if rest == 1 else "are"
        click.echo(f"The {rows} above {verb} only in the input, not in the store.", err=to_stderr)
    if users:
        what = "1 user has" if users == 1 else f"{users:,} users have"
        see = f" See: destinations {changes}" if changes else ""
        click.echo(f"{what} changes to make by hand.{see}", err=to_stderr)


def _only(counts: Mapping[Status, int], *statuses: Status) -> Mapping[Status, int]:
    return {status: counts.get(status, 0) for status in statuses}


def _added_up(report: Report) -> str:
    return adds_up(report.lines, report.empty, report.totals.rows)
