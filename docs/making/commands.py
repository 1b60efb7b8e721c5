"""Pages on the commands, from their own help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from destinations.cli.group import COMMANDS, cli
from destinations.runtime.plugins import find_plugin, plugin_commands
from making.page import Page, cell, table

__all__ = ["command_pages"]

_FOLDER: Final = "commands"
_OPTION: Final = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")
_REFERENCE: Final = Path(__file__).resolve().parent.parent / "reference"
_MADE_FROM: Final = "the commands' own help"


def command_pages() -> Iterator[Page]:
    """Yield a page for each command, with its sub-commands, and one that lists them."""
    context = click.Context(cli, info_name="destinations")
    groups = {name: cli.get_command(context, name) for name in COMMANDS}
    plugin = find_plugin("kana")
    kana = () if plugin is None else plugin_commands(plugin)
    groups["kana"] = click.Group(
        "kana",
        {one.name or "": one for one in kana},
        help="Run commands that only the destination kana has.",
    )
    rows = []
    for name, command in groups.items():
        if command is None:
            raise LookupError(name)
        summary = COMMANDS.get(name) or command.get_short_help_str(1_000)
        rows.append((f"[`destinations {name}`]({name}.md)", cell(summary)))
        text = "\n".join(_sections(command, f"destinations {name}", context, 1))
        yield Page(
            f"{_FOLDER}/{name}.md", f"destinations {name}", summary, text, _MADE_FROM, (name,)
        )
    yield Page(
        f"{_FOLDER}/index.md",
        "commands",
        "All commands.",
        "# Commands\n\n" + table(("command", "what it does"), rows) + "\n",
        "destinations/cli",
    )


def _sections(
    command: click.Command, name: str, parent: click.Context, level: int
) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=name.rpartition(" ")[2])
    yield f"{'#' * level} {name}\n"
    yield f"```\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield _prose(command.help or command.short_help or "")
    options = list(_options(command, context))
    if options:
        yield table(("option", "meaning"), options) + "\n"
    if command.epilog:
        what, _, example = command.epilog.partition(": ")
        yield f"{what}:\n\n```sh\n{' '.join(example.split())}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            if below is not None and not below.hidden:
                yield from _sections(below, f"{name} {each}", context, level + 1)


def _prose(text: str) -> str:
    """Return the help of a command as Markdown; click's marked blocks are kept as they are."""
    paragraphs = []
    for part in re.split(r"\n\s*\n", text.strip().partition("\f")[0]):
        if part.lstrip().startswith("\b"):
            block = "\n".join(part.strip("\b\n").splitlines())
            paragraphs.append(f"```\n{block}\n```")
        else:
            paragraphs.append(_in_code(" ".join(part.split())))
    return "\n\n".join(paragraphs) + "\n"


def _in_code(text: str) -> str:
    """Return prose with the options that it names as code, and pages that it names as links."""
    return _PAGE.sub(_linked, _OPTION.sub(r"`\1`", text))


_PAGE: Final = re.compile(r"`destinations help ([a-z]+)`")


def _linked(found: re.Match[str]) -> str:
    """Return a command that shows a page as a link to that page, if it is in the reference."""
    is_page = (_REFERENCE / f"{found[1]}.md").is_file()
    return f"[{found[0]}](../{found[1]}.md)" if is_page else found[0]


def _options(command: click.Command, context: click.Context) -> Iterator[Sequence[str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option) and "--help" not in record[0]:
            names, meaning = record
            yield f"`{names}`".replace("|", "\\|"), _in_code(cell(meaning))
