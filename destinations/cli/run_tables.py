"""How a run is reported: the ledger as tables for people, and as an object for machines."""

from __future__ import annotations

from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from destinations.account import Account
from destinations.cli.tables import print_table
from destinations.outcome import Outcome
from destinations.plugins import Plugin
from destinations.runner import Report
from destinations.secrets import Masker

__all__ = ["as_json_object", "exit_code", "print_kept", "print_report"]

_FINE: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.UNMAPPED})


def exit_code(report: Report) -> int:
    """What a command exits with after a run; see `destinations.cli.group`."""
    if report.stopped is not None:
        return 2 if report.stopped.why == "authentication" else 130
    return 0 if _FINE.issuperset(+report.ledger.outcomes) else 1


def as_json_object(report: Report, masker: Masker) -> dict[str, Any]:
    """The report as JSON: every outcome has its key, also those that did not occur."""
    ledger = report.ledger
    found: dict[str, Any] = {
        "lines": report.lines,
        "empty": report.empty,
        "rows": ledger.rows,
        "outcomes": {outcome.value: ledger.outcomes[outcome] for outcome in Outcome},
        "by_action": {
            action: {outcome.value: count for outcome in Outcome if (count := counts[outcome])}
            for action, counts in sorted(ledger.by_action.items())
        },
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
    }
    if report.stopped is not None:
        found["stopped"] = report.stopped.why
        found["line"] = report.stopped.line
        found["message"] = masker.text(report.stopped.message)
    return found


def print_report(report: Report, masker: Masker, *, to_stderr: bool) -> None:
    """The ledger by action and outcome, with totals, and why rows were not delivered."""
    console = Console(stderr=to_stderr, highlight=False)
    ledger = report.ledger
    shown = [outcome for outcome in Outcome if ledger.outcomes[outcome]]
    table = Table(title="Ledger", title_justify="left", title_style="bold", show_footer=True)
    table.add_column("action", footer="total")
    for outcome in shown:
        total = f"{ledger.outcomes[outcome]:,}"
        table.add_column(outcome.value, footer=total, justify="right")
    table.add_column("rows", footer=f"{ledger.rows:,}", justify="right")
    for action, counts in sorted(ledger.by_action.items()):
        cells = [f"{counts[outcome]:,}" if counts[outcome] else "" for outcome in shown]
        table.add_row(action, *cells, f"{sum(counts.values()):,}")
    console.print(table)
    console.print(_sum(report))
    rate = f"{report.lines / report.seconds:,.0f} lines a second" if report.seconds else ""
    console.print(f"{report.requests:,} requests in {report.seconds:.2f} s, {rate}\n")
    if ledger.reasons:
        rows = [
            (reason.outcome.value, reason.count, reason.first_line, masker.text(reason.example))
            for reason in ledger.reasons
        ]
        columns = ("outcome", "rows", "first line", "reason there")
        print_table("Why not delivered", columns, rows, to_stderr=to_stderr)


def print_kept(account: Account, plugin: Plugin | None, *, to_stderr: bool) -> None:
    """What the store holds of this account after a run, if anything, and what tells more of it."""
    counts = [
        f"{count:,} {outcome.value}"
        for outcome in Outcome
        if outcome is not Outcome.DELIVERED and (count := account.kept.count(outcome))
    ]
    users = len(account.manual_changes.entries())
    held = [f"events: {', '.join(counts)}"] if counts else []
    held += [f"changes to make by hand: {users:,}"] if users else []
    if not held:
        return
    text = f"The store {account.store.path} keeps {'; '.join(held)}."
    if plugin is not None and any(command.name == "status" for command in plugin.commands()):
        text += f" More: destinations {account.destination.definition.slug} status"
    click.echo(text, err=to_stderr)


def _sum(report: Report) -> str:
    """The sentence that shows that nothing is missing from the account."""
    rows, entries = report.ledger.rows, report.lines - report.empty
    text = f"{report.lines:,} lines read"
    if report.empty:
        text += f", {report.empty:,} of them empty"
    if rows == entries:
        return f"{text}: {rows:,} rows, one for each."
    return f"{text}: {rows:,} rows, one for each event and subscription that took it."
