"""``destinations test``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.json_output import json_text
from destinations.cli.opening import installed_destinations
from destinations.cli.tables import count, print_table
from destinations.errors import Issue, UsageError
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import CASES_FOLDER, case_files
from destinations.kit.testing.subject import Subject, open_subject, subject_in
from destinations.pipeline.report import SHOWN

if TYPE_CHECKING:
    from destinations.kit.testing.made_faults import FaultReport
    from destinations.kit.testing.replaying import CaseReport

__all__ = ["command"]


@dataclass(slots=True)
class _Report:
    """The results of the cases and faults of one destination."""

    destination: str
    cases: list[CaseReport] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)  # names of cases that were rewritten
    newer: list[Issue] = field(default_factory=list)  # cases that a newer version recorded
    faults: list[FaultReport] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there are cases, all of them were replayed, and nothing differs."""
        faults_passed = all(one.passed for one in self.faults)
        cases_passed = not self.newer and all(one.passed for one in self.cases)
        return bool(self.cases) and faults_passed and cases_passed


@click.command("test", cls=Command, epilog="Example: destinations test ./my-destination")
@click.argument("destination", metavar="[DESTINATION]", required=False)
@click.option(
    "--cases",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Read the cases from DIR; by default from the folder cases next to the definition.",
)
@click.option(
    "--update",
    "updates",
    is_flag=True,
    help="Show what would change in each case that differs, and rewrite it after a yes.",
)
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    destination: str | None, cases: Path | None, *, updates: bool, yes: bool, as_json: bool
) -> int:
    """Replay the cases of DESTINATION, then let its partner and the network fail in every way.

    DESTINATION is the name of an installed destination or a folder; without it, all that are
    installed are tested. Nothing is sent. Needs the extra kit. Exit codes: 0 all passed; 1
    something differs, or there are no cases; 2 wrong usage, definition or case file, or a case of a
    newer version.

    --update gives the recorded answers to the requests of today. It changes requests and outcomes
    of a case, never its answers, and keeps all else in its file.
    """
    if destination is None and cases is not None:
        raise click.UsageError("--cases is for one destination: name it")
    if updates and as_json:
        raise click.UsageError("--update shows differences as text: it cannot be used with --json")
    if yes and not updates:
        raise click.UsageError("--yes skips the prompt of --update: give both")
    update = _Update(yes=yes) if updates else None
    reports = [_test(subject, cases, update) for subject in _subjects(destination)]
    if as_json:
        shown = {
            "passed": all(report.passed for report in reports),
            "destinations": [_to_json(report) for report in reports],
        }
        click.echo(json_text(shown, indent=2))
    else:
        for report in reports:
            _print(report)
    if any(report.newer for report in reports):
        return 2
    return 0 if all(report.passed for report in reports) else 1


def _subjects(destination: str | None) -> list[Subject]:
    if destination is not None:
        return [open_subject(destination)]
    return [subject_in(one.folder) for one in installed_destinations().values()]


@dataclass(frozen=True, slots=True)
class _Update:
    """The rewriting of cases that differ, after a yes or with --yes."""

    yes: bool

    def __call__(self, subject: Subject, folder: Path | None, case: Case) -> bool:
        """Show the update of a case and ask; return whether the case was rewritten."""
        from destinations.kit.testing.updating import update_of  # noqa: PLC0415 - needs the kit

        try:
            update = update_of(subject, case, _file(folder or subject.folder / CASES_FOLDER, case))
        except UsageError as error:
            click.echo(str(error), err=True)
            return False
        click.echo(update.difference, nl=False)
        question = f"Rewrite {update.path}?"
        if update.losses:
            click.echo(f"warning: case {case.name}: delivered until now, and no longer:", err=True)
            for line in update.losses:
                click.echo(f"  {line}", err=True)
            question = f"Rewrite {update.path}, although less is delivered?"
        if not (self.yes or confirmed(question)):
            return False
        update.write()
        return True


def _file(folder: Traversable, case: Case) -> Path:
    """Return the file of a case; raises `UsageError` if it is not on a disk."""
    for file in case_files(folder):
        if file.name.rpartition(".")[0] == case.name and isinstance(file, Path):
            return file
    msg = f"the case {case.name} cannot be updated: {folder} is not a folder on a disk"
    raise UsageError(msg)


def _test(subject: Subject, folder: Path | None, update: _Update | None) -> _Report:
    # Here, as they need the extra kit: --help does not.
    from destinations.kit.testing.made_faults import fault_cases, play_fault  # noqa: PLC0415
    from destinations.kit.testing.replaying import replay  # noqa: PLC0415

    report = _Report(subject.slug)
    cases, report.newer = subject.readable_cases(folder)
    for case in cases:
        done = replay(subject, case)
        if not done.passed and update is not None and update(subject, folder, case):
            report.updated.append(case.name)
            done = replace(done, differences=())  # an update that does not replay is none
        report.cases.append(done)
    report.faults = [play_fault(case) for case in fault_cases(subject)]
    return report


def _to_json(report: _Report) -> dict[str, Any]:
    return {
        "destination": report.destination,
        "passed": report.passed,
        "cases": [
            {
                "case": one.case,
                "events": one.events,
                "requests": one.requests,
                "passed": one.passed,
                "differences": [difference.to_json() for difference in one.differences],
            }
            for one in report.cases
        ],
        "newer": [asdict(issue) for issue in report.newer],
        "faults": [
            {
                "action": one.case.action,
                "request": one.case.way.request,
                "fault": one.case.fault.name,
                "outcomes": [outcome.value for outcome in one.ends],
                **({"field": one.case.field} if one.case.field else {}),
                **({"step": one.case.way.step} if one.case.usage and one.case.way.step else {}),
                **({"about": "usage"} if one.case.usage else {}),
                **({"ending": one.ending} if one.ending else {}),
                "sent": one.sent,
                "passed": one.passed,
                "differences": [difference.to_json() for difference in one.differences],
            }
            for one in report.faults
        ],
    }


def _print(report: _Report) -> None:
    rows = [(one.case, one.events, one.requests, _result(one, report)) for one in report.cases]
    print_table(
        f"{report.destination}: {count(len(rows), 'case')}",
        ("case", "events", "requests", "result"),
        rows,
    )
    for issue in report.newer:
        click.echo(f"not replayed: {issue}", err=True)
    if not rows and not report.newer:
        click.echo(
            f"{report.destination} has no cases: record one with destinations record", err=True
        )
    print_table(
        f"{report.destination}: {count(len(report.faults), 'simulated fault')}",
        ("action", "fault", "times", "ends as", "result"),
        _fault_rows(report.faults),
    )
    for title, differences in _failed(report):
        click.echo(f"{title}:", err=True)
        for difference in differences:
            click.echo(f"  {difference}", err=True)
    if topics := _topics(report):
        click.echo(f"Help: {', '.join(f'destinations help {one}' for one in topics)}", err=True)


def _result(case: CaseReport, report: _Report) -> str:
    if case.case in report.updated:
        return "updated"
    return "passed" if case.passed else "FAILED"


def _failed(report: _Report) -> list[tuple[str, Sequence[object]]]:
    cases = [(f"case {one.case}", one.differences) for one in report.cases if not one.passed]
    faults = [one.differences for one in report.faults if not one.passed]
    together = [difference for found in faults for difference in found]
    return [*cases, *([("simulated faults", together)] if together else [])]


def _topics(report: _Report) -> Sequence[str]:
    """Return the topics about what failed."""
    cases = [] if all(one.passed for one in report.cases) else ["case", "guide testing"]
    return cases if all(one.passed for one in report.faults) else [*cases, "faults"]


def _fault_rows(faults: Sequence[FaultReport]) -> list[tuple[object, ...]]:
    """Return a row for each action and fault; the definition's own error rules share one."""
    groups: dict[tuple[str, str], list[FaultReport]] = {}
    for one in faults:
        name = "an error that a rule reads" if one.case.fault.rule else one.case.fault.name
        name = f"choices of {one.case.field}: {name}" if one.case.field else name
        name = f"usage: {name}" if one.case.usage else name
        groups.setdefault((one.case.action, name), []).append(one)
    return [
        (
            action,
            name,
            len(group),
            _outcomes(group),
            "passed" if all(one.passed for one in group) else "FAILED",
        )
        for (action, name), group in groups.items()
    ]


def _outcomes(group: Sequence[FaultReport]) -> str:
    found = {outcome for one in group for outcome in one.ends}
    endings = dict.fromkeys(one.ending for one in group if one.ending)
    return ", ".join([*(status.value for status in SHOWN if status in found), *endings])
