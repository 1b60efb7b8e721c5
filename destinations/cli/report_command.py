"""``destinations report``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.run_tables import summary
from destinations.cli.store_place import StorePlace, place_options
from destinations.operations import account_figures, last_run, run_without_record, shown_time
from destinations.outcome import Outcome, State
from destinations.report import check_report_path, run_page, write_report

__all__ = ["command"]

_HINT = "name another file, or use --force"


@click.command(
    "report", cls=Command, epilog="Example: destinations report run.html --destination kana"
)
@click.argument("file", metavar="FILE.html", type=click.Path(path_type=Path))
@click.option(
    "--destination", metavar="NAME", help="Report the last run of this destination, by its slug."
)
@click.option(
    "--account",
    metavar="NAME",
    help="Report the last run of this account: its name or unnamed-NUMBER.",
)
@place_options
@click.option("--force", is_flag=True, help="Replace FILE even if it is not a report.")
def command(
    file: Path,
    place: StorePlace,
    destination: str | None,
    account: str | None,
    *,
    force: bool,
) -> int:
    """Write a page of the last run: outcomes, reasons, what can be done, and rates over time.

    The page is one file that needs nothing else: no script, no network. It also shows how the
    account stands in the store now. An earlier report is replaced; any other file is not, without
    --force. A run that is going on has no record yet, and one that was killed has none.
    """
    check_report_path(file, _HINT, force=force)
    with place.read() as store:
        record, scope = last_run(store, destination=destination, account=account)
        figures = account_figures(store, scope, time.time())
        later = run_without_record(store, scope, record.began)
    write_report(file, run_page(record, figures, later=later), _HINT, force=force)
    named = {one.value: one for one in (*Outcome, *State)}
    rows = summary({named[name]: number for name, number in record.outcomes.items()})
    what = f"{record.context.slug} that ended {shown_time(record.ended)}"
    click.echo(f"Wrote {file}: the run of {what}: {rows or 'no rows'}.")
    if later is not None:
        click.echo(
            f"The run that began {shown_time(later.began)} has no record: it is going on, or was "
            "ended from outside, as by a kill.",
            err=True,
        )
        if later.continued_by:
            click.echo(f"If it was ended, go on with: {later.continued_by}", err=True)
    return 0
