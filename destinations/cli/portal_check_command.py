"""``destinations portal-check``."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.progress import count_off
from destinations.cli.tables import Bold, count, plain, print_table, say, terminal_width
from destinations.definition.secret_sources import SourceError, Sources
from destinations.definition.settings import read_settings
from destinations.errors import UsageError
from destinations.http.environment import check_address, environment_issues
from destinations.http.loopback import is_loopback
from destinations.kit.portal import CHECKS, CheckedEndpoint, Endpoint, Row, Verdict
from destinations.secrets import Secret, has_userinfo, shown_url

__all__ = ["KEY", "KEY_METAVAR", "command"]

_WIDTH: Final = 80
"""The columns of paragraphs that are not written to a terminal."""

_KEY_FORM: Final = "expected env:NAME or file:PATH, which say where the key is"


class KeyType(click.ParamType[Secret]):
    """A key, given by where it is: no secret stands on a command line."""

    name = "key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Secret:
        """Return the key; refuses text that does not name one."""
        kind, colon, name = str(value).partition(":")
        if not colon or kind not in {"env", "file"} or not name:
            self.fail(_KEY_FORM, param, ctx)  # what was given may be the key itself
        try:
            key = str(Sources(os.environ, Path()).value({kind: name}))
        except SourceError as error:
            self.fail(str(error), param, ctx)
        if not key.isprintable() or key != key.strip():
            where = f"the environment variable {name}" if kind == "env" else f"the file {name}"
            self.fail(
                f"{where} must hold one key on one line, without spaces around it", param, ctx
            )
        return Secret(key)


KEY: Final = KeyType()
KEY_METAVAR: Final = "env:NAME|file:PATH"


class _Url(click.ParamType[str]):
    """The URL of an endpoint."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL; refuses one that cannot be requested, or has credentials."""
        url = str(value)
        if has_userinfo(url):
            self.fail("must have no credentials: give the key with --key", param, ctx)
        try:
            parts = urlsplit(url)
            is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            is_whole = False
        if not is_whole:
            shown = shown_url(url)
            self.fail(f"{shown!r} is not a URL: expected https://HOST/PATH", param, ctx)
        if parts.fragment:
            self.fail("must have no fragment (#...): it would not be sent", param, ctx)
        issue = check_address(url)
        if issue is not None:
            self.fail(issue, param, ctx)
        return url


def _list(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    """Print the checks, and end."""
    if value and not ctx.resilient_parsing:
        rows = [(check.name, check.sent, str(check.expected)) for check in CHECKS]
        print_table(count(len(CHECKS), "check"), ["check", "sends", "expects"], rows)
        ctx.exit()


@click.command(
    "portal-check",
    cls=Command,
    epilog=(
        "Example: destinations portal-check https://events.example.com/v1/segment "
        "--key env:TEST_ACCOUNT_KEY"
    ),
)
@click.argument("url", type=_Url(), metavar="URL")
@click.option(
    "--key",
    type=KEY,
    metavar=KEY_METAVAR,
    help="Send this customer key: that of an environment variable, or of a file.",
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Send the settings in FILE (YAML or JSON) as X-Segment-Settings with every event.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait up to SECONDS for each answer.",
)
@click.option(
    "--only",
    type=click.Choice([check.name for check in CHECKS]),
    multiple=True,
    metavar="NAME",
    help="Make only this check; may be repeated. --list shows the names.",
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the checks, and send nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, a row for each check.")
def command(
    url: str,
    key: Secret | None,
    settings: Path | None,
    timeout: float,
    only: Sequence[str],
    *,
    as_json: bool,
) -> int:
    """Check an endpoint for events as Segment's partner portal does.

    URL is the endpoint of a Direct Destination: Segment posts each event to it, with the customer's
    key. Each check sends what Segment would send, or what a careful reviewer would try, and
    compares the answer with the protocol.

    The endpoint really accepts these events: use the key of a test account. Their ids begin with
    portal-check-. One check sends the key in the URL, where logs may keep it. Without --key, only
    the checks that need no key are made.

    Exits 0 if no answer is wrong, 1 if one is, 75 if the endpoint cannot be reached.
    """
    _warn(url)
    issues = environment_issues([url])
    if issues:
        raise UsageError(issues[0])
    given = None if settings is None else read_settings(settings, os.environ).data
    checked = CheckedEndpoint(Endpoint(url, key, given), seconds=timeout)
    checks = [check for check in CHECKS if not only or check.name in only]
    rows = list(count_off(checked.run(checks), len(checks), "checks"))
    if as_json:
        click.echo(json_text([asdict(row) for row in rows], indent=2))
    else:
        _print(url, checked.mark, rows)
    return 1 if any(row.verdict is Verdict.FAULT for row in rows) else 0


def _warn(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        text = "warning: the key is sent unencrypted; Segment sends events to https URLs only"
        click.echo(text, err=True)


def _print(url: str, mark: str, rows: Sequence[Row]) -> None:
    print_table(
        shown_url(url),
        ["check", "sent", "answered", "expected", "verdict"],
        [(row.name, row.sent, _statuses(row), row.expected, row.verdict) for row in rows],
    )
    answered = [
        (row, f"{row.status} {row.answer}") for row in rows if row.answer and row.status >= 400
    ]
    _print_grouped("Error messages", answered)
    of = {
        verdict: [(row, row.message) for row in rows if row.verdict is verdict]
        for verdict in Verdict
    }
    _print_grouped("Skipped", of[Verdict.SKIPPED])
    _print_grouped("Notes", of[Verdict.NOTE])
    _print_faults([row for row, _ in of[Verdict.FAULT]])
    numbers = [
        f"{len(of[Verdict.OK])} ok",
        count(len(of[Verdict.NOTE]), "note"),
        count(len(of[Verdict.FAULT]), "fault"),
        f"{len(of[Verdict.SKIPPED])} skipped",
    ]
    say(Bold(", ".join(numbers)))
    say(f"The ids of the events begin with {mark}.")


def _statuses(row: Row) -> str:
    """Return the statuses that came; equal ones once."""
    found = dict.fromkeys(str(status) if status else "none" for status in row.statuses)
    return ", ".join(found)


def _print_grouped(title: str, texts: Sequence[tuple[Row, str]]) -> None:
    """Print each text once, after the names of its checks."""
    names: dict[str, list[str]] = {}
    for row, text in texts:
        names.setdefault(text, []).append(row.name)
    _print_paragraphs(title, [f"{', '.join(found)}: {text}" for text, found in names.items()])


def _print_faults(rows: Sequence[Row]) -> None:
    _print_paragraphs(
        "Faults",
        [
            f"{row.name}: answered {row.status or 'nothing'}, expected {row.expected}. "
            f"{row.message}"
            for row in rows
        ],
    )


def _print_paragraphs(title: str, paragraphs: Sequence[str]) -> None:
    if not paragraphs:
        return
    say(Bold(title))
    for text in paragraphs:
        width = terminal_width() or _WIDTH
        for line in textwrap.wrap(
            plain(text), width, subsequent_indent="  ", break_on_hyphens=False
        ):
            say(line)
    click.echo()
