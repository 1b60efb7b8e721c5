"""``destinations docs``: build, lint and preview documentation pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from destinations.cli.commands import Group
from destinations.cli.opening import destination_argument, installed_destinations
from destinations.definition.input_files import read_text_input
from destinations.errors import UsageError
from destinations.opening import open_definition
from destinations.pipeline.output import naming
from destinations.runtime.installed import find_folder
from destinations.whole_files import replace_file

if TYPE_CHECKING:
    from destinations.kit.lint import Configuration, Finding

__all__ = ["command"]

_DOCS = Path("docs")


@click.group("docs", cls=Group, epilog="Example: destinations docs build kana")
def command() -> None:
    """Build, check and preview the documentation page of a destination."""


@command.command("build", epilog="Example: destinations docs build kana --check")
@click.argument("destinations", metavar="[DESTINATION]...", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a page is out of date.")
@click.option(
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    default=_DOCS,
    show_default=True,
    metavar="DIR",
    help="Write the pages into DIR, in a folder named after the destination.",
)
def build(destinations: Sequence[str], out: Path, *, check: bool) -> int:
    """Write the page of each DESTINATION in both flavours, each with an HTML preview.

    Everything comes from the definition, its templates and images in page/, and the tables of its
    plugin. Without DESTINATION, the pages of all
    installed ones are written.
    """
    from destinations.kit.partner_page import (  # noqa: PLC0415 - jinja2 and markdown-it are slow
        page_files,
        stale_files,
        write_files,
    )

    stale = []
    for name in destinations or list(installed_destinations()):
        definition, plugin = open_definition(name)
        files = page_files(find_folder(name), definition, plugin)
        target = out / definition.slug
        if check:
            stale += stale_files(files, target)
        else:
            with naming(target):
                write_files(files, target)
            for file in files:
                click.echo(str(target / file))
    for path in stale:
        click.echo(f"{path} is out of date: run destinations docs build", err=True)
    return 1 if stale else 0


@command.command("lint", epilog="Example: destinations docs lint docs/kana/kana.md --json")
@click.argument("files", metavar="[FILE|DESTINATION]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=(
        "Read levels of rules (error, warning, suggestion, off) and more known words from FILE, "
        "as YAML, instead of lint.yaml next to each page."
    ),
)
@click.option(
    "--words",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    multiple=True,
    help="Read known words from FILE, one a line, besides words.txt next to each page.",
)
@click.option(
    "--styles",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Use the rules in DIR, in the format of Vale, in place of those with the same name.",
)
@click.option("--vale", "with_vale", is_flag=True, help="Run Vale, too; it must be on the path.")
@click.option("--fix", is_flag=True, help="Fix mechanical issues in the files, and show the rest.")
@click.option("--rules", "list_rules", is_flag=True, help="List the rules, with examples, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array: --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "sarif", "github")),
    default="text",
    show_default=True,
    help="Print the findings as lines, as a JSON array, as SARIF, or as annotations of GitHub.",
)
def lint(  # noqa: PLR0913 - each option is one
    files: Sequence[Path],
    *,
    config: Path | None,
    words: Sequence[Path],
    styles: Path | None,
    with_vale: bool,
    fix: bool,
    list_rules: bool,
    as_json: bool,
    form: str,
) -> int:
    """Check pages against the rules for Segment's docs.

    Of a DESTINATION, the pages that `docs build` has written to docs/ are checked; without any
    argument, those of all. Exits 1 if there is
    an error or a warning; suggestions are only shown.
    """
    from destinations.kit.lint import (  # noqa: PLC0415 - markdown-it is slow to import
        configuration_of,
        example_message,
        with_own_rules,
    )
    from destinations.kit.lint.formats import FORMATS, rules_text  # noqa: PLC0415 - as above

    form = "json" if as_json else form
    pages = [page for given in files for page in _pages_of(given)]
    pages = pages or ([] if list_rules else _built_pages())
    # What is next to a page applies to all pages of its folder.
    configurations = {
        folder: configuration_of(folder / "page.md", config=config, styles=styles, words=words)
        for folder in dict.fromkeys(page.parent for page in pages or [_DOCS / "page.md"])
    }
    rules = {
        rule.id: rule
        for configuration in configurations.values()
        for rule in with_own_rules(configuration.rules)
    }
    if list_rules:
        rows = [
            {
                "rule": rule.id,
                "level": rule.level,
                "message": example_message(rule),
                "good": rule.good,
                "bad": rule.bad,
            }
            for rule in rules.values()
        ]
        click.echo(json.dumps(rows, indent=2) if form == "json" else rules_text(rules.values()))
        return 0
    findings = _findings(pages, configurations, fix=fix)
    if with_vale:
        findings = _with_vale(findings, pages, styles)
    output = FORMATS[form](findings, rules.values())
    if output:
        click.echo(output)
    if form == "text":
        levels = [finding.level for finding in findings]
        counts = [
            _count(levels.count(level), level) for level in ("error", "warning", "suggestion")
        ]
        click.echo(f"{', '.join(counts)} in {_count(len(pages), 'page')}.", err=True)
    return 1 if any(finding.level in {"error", "warning"} for finding in findings) else 0


@command.command("preview", epilog="Example: destinations docs preview kana --port 4100")
@destination_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Listen on this port; 0, the default, takes a free one.",
)
def preview(destination: str, port: int) -> int:
    """Serve the page of DESTINATION on this machine, and load it again when the definition changes.

    Prints the address. Stop it with Ctrl-C.
    """
    from destinations.kit.partner_page.server import Preview  # noqa: PLC0415 - jinja2 is slow

    server = Preview(find_folder(destination), port=port)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        click.echo(server.url)
        thread.join()
    finally:
        server.close()
    return 0


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _findings(
    pages: Sequence[Path], configurations: Mapping[Path, Configuration], *, fix: bool
) -> list[Finding]:
    """Return the findings in pages; with ``fix``, of those that are left in the fixed files."""
    from destinations.kit.lint import fix_page, lint_page  # noqa: PLC0415 - markdown-it is slow

    findings: list[Finding] = []
    for page in pages:
        text = _read(page)
        if fix and (fixed := fix_page(text, page, configurations[page.parent])) != text:
            with naming(page):
                replace_file(page, fixed.replace("\n", _newline(page)).encode())
            text = fixed
        findings += lint_page(text, page, configurations[page.parent])
    return findings


def _with_vale(
    findings: Sequence[Finding], pages: Sequence[Path], styles: Path | None
) -> list[Finding]:
    """Return all findings, and those of Vale that no rule of the same name has in the same line."""
    from destinations.kit.lint.vale_program import vale_findings  # noqa: PLC0415 - as above

    known = {(one.file, one.line, one.rule) for one in findings}
    more = [
        one
        for one in vale_findings(pages, styles)
        if (one.file, one.line, one.rule.rpartition(".")[2].lower()) not in known
    ]
    return [*findings, *more]


def _pages_of(given: Path) -> list[Path]:
    """Return a file that is given, or the pages in docs/ of a destination that is named."""
    if given.is_file() or not (given.is_dir() or str(given) in installed_destinations()):
        return [given]
    definition, _ = open_definition(str(given))
    folder = _DOCS / definition.slug
    pages = sorted(folder.glob(f"{definition.slug}*.md"))
    if not pages:
        msg = f"{folder} has no page: write one with `destinations docs build {given}`"
        raise UsageError(msg)
    return pages


def _built_pages() -> list[Path]:
    """Return the pages that ``docs build`` has written to docs/, whatever is installed."""
    pages = [
        path
        for folder in sorted(_DOCS.glob("*/"))
        if (folder / f"{folder.name}-submission.md").is_file()
        for path in sorted(folder.glob(f"{folder.name}*.md"))
    ]
    if not pages:
        msg = "docs/ has no page: write one with `destinations docs build`, or name the files"
        raise UsageError(msg)
    return pages


def _newline(path: Path) -> str:
    r"""Return what most lines of a file end with: ``\r\n`` or ``\n``."""
    data = path.read_bytes()
    return "\r\n" if data.count(b"\r\n") * 2 > data.count(b"\n") else "\n"


def _read(path: Path) -> str:
    try:
        return read_text_input(path, pipes=True)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason}") from None
