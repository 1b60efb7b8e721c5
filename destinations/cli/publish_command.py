"""``destinations publish``: bring a destination into Segment's catalog."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.cli.portal_check_command import KEY, KEY_METAVAR
from destinations.cli.tables import Bold, count, plain, say, terminal_width
from destinations.pipeline.output import naming
from destinations.runtime.installed import find_folder

if TYPE_CHECKING:
    from destinations.kit.publishing import Finding, Pack
    from destinations.secrets import Secret

__all__ = ["command"]

_WIDTH = 80
"""The columns of paragraphs that are not written to a terminal."""

_PUBLISHED = click.option(
    "--published",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Compare with FILE, the metadata.json of the destination that is live at Segment.",
)


@click.group("publish", cls=Group, epilog="Example: destinations publish check ./acme")
def command() -> None:
    """Check what Segment's reviews ask for, and put together what they need."""


def _list(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    """Print the rules and the categories, and end."""
    if not value or ctx.resilient_parsing:
        return
    from destinations.kit.publishing import CATEGORIES, RULES  # noqa: PLC0415 - the kit is slow

    for rule in RULES:
        say(Bold(f"{rule.id}"), f" ({rule.level}; {' and '.join(rule.kinds)})")
        _paragraphs(rule.why, rule.fix, f"Source: {rule.source}")
    say(Bold("Categories"))
    _paragraphs(", ".join(CATEGORIES))
    ctx.exit()


@command.command("check", epilog="Example: destinations publish check ./acme --json")
@click.argument("destination", metavar="FOLDER")
@_PUBLISHED
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the rules and the categories of the catalog, and check nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(destination: str, published: Path | None, *, as_json: bool) -> int:
    """Check a definition by the rules of Segment's reviews, CI and catalog.

    FOLDER is the definition's folder, or the slug of an installed one. Checks presets, batches,
    times, cases, names, secrets, descriptions, the entry in the catalog, logo and mark, the test
    account, and the documentation page; with --published also what would break for customers.
    Nothing is sent or written.

    Exits 1 if there is an error; warnings are only shown. Needs the extra kit.
    """
    from destinations.kit.publishing import check as findings_of  # noqa: PLC0415 - the kit is slow
    from destinations.kit.publishing import read_publication  # noqa: PLC0415 - as above

    publication = read_publication(Path(str(find_folder(destination))), published)
    findings = findings_of(publication)
    errors = sum(one.level == "error" for one in findings)
    warnings = len(findings) - errors
    if as_json:
        shown = {
            "destination": publication.definition.slug,
            "kind": publication.kind,
            "errors": errors,
            "warnings": warnings,
            "findings": [one.as_json() for one in findings],
        }
        click.echo(json_text(shown, indent=2))
    else:
        _print(findings)
        say(
            Bold(f"{count(errors, 'error')}, {count(warnings, 'warning')}"),
            f" in {plain(publication.definition.name)}.",
        )
    return 1 if errors else 0


def _print(findings: Sequence[Finding]) -> None:
    """Print the findings of each rule, and once why and how to fix them."""
    for rule in dict.fromkeys(one.rule for one in findings):
        say(Bold(f"{rule.level}: {rule.id}"))
        for one in findings:
            if one.rule == rule:
                say(f"  {plain(str(one.issue))}")
        _paragraphs(rule.why, f"Fix: {rule.fix}", f"Source: {rule.source}")


def _paragraphs(*texts: str) -> None:
    width = terminal_width() or _WIDTH
    for text in texts:
        for line in textwrap.wrap(
            text,
            width,
            initial_indent="    ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        ):
            say(line)


@command.command("pack", epilog="Example: destinations publish pack ./acme --into ./acme-pack")
@click.argument("destination", metavar="FOLDER")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Write the pack to DIR.",
)
@_PUBLISHED
@click.option(
    "--seed",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Fill the sandbox behind the endpoint of a Direct Destination from FILE.",
)
@click.option(
    "--key",
    type=KEY,
    metavar=KEY_METAVAR,
    help="Check the endpoint of a Direct Destination itself, with this key of a test account.",
)
@click.option("--check", "only_check", is_flag=True, help="Only say whether DIR is up to date.")
@click.option(
    "--force",
    is_flag=True,
    help="Write despite errors, but those of `export`, `field-names` and `docs-page`, and over a"
    " folder that is not a pack of this destination or was changed.",
)
def pack(  # noqa: PLR0913 - each option is one
    destination: str,
    into: Path,
    published: Path | None,
    seed: Path | None,
    key: Secret | None,
    *,
    only_check: bool,
    force: bool,
) -> int:
    """Put together what a partner hands to Segment, and a checklist for the rest.

    For a folder of TypeScript: the exported folder, the documentation page, the texts of both pull
    requests, and the mail for the catalog. For a Direct Destination: what the portal asks for, the
    page, and the result of portal-check, against the destination's sandbox or with --key against
    its own endpoint. CHECKLIST.md says what only a person can do, and what is still missing.

    All is written or nothing. What breaks a rule of `publish check` stops it, unless it can follow
    later, as a logo can. --force writes all the same, but never code of which a part cannot be
    exported, nor a pack without the page. Needs the extra kit, and for a Direct Destination
    sealing.
    """
    from destinations.kit.publishing import (  # noqa: PLC0415 - the kit is slow
        make_pack,
        stale_files,
        write_pack,
    )

    made = make_pack(
        Path(str(find_folder(destination))),
        into,
        published=published,
        force=force,
        seed=seed,
        key=key,
        check_only=only_check,
    )
    stale = stale_files(made)
    if only_check:
        for name in stale:
            click.echo(f"{into / name} is not up to date")
        if stale:
            click.echo("Next: the same command without --check")
        else:
            click.echo(f"{into} is up to date.")
        return 1 if stale else 0
    if stale:
        with naming(into):
            write_pack(made)
    _say_written(made, len(stale))
    return 0


def _say_written(made: Pack, changed: int) -> None:
    click.echo(
        f"Wrote {count(len(made.files), 'file')} to {made.folder}, {changed} of them changed."
        if changed
        else f"{made.folder} is up to date."
    )
    missing = made.open_findings
    if missing:
        click.echo(f"Still missing, as CHECKLIST.md says: {', '.join(_named(missing))}.")
    click.echo(f"Next: {made.folder / 'CHECKLIST.md'}")


def _named(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(one.rule.id for one in findings))
