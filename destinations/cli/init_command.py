"""``destinations init``."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.extras import install_line
from destinations.kit.init import create_destination, create_package, package_definition
from destinations.runtime.installed import installed

__all__ = ["command"]

_OF_KIT = "responses"
"""A library that only the extra kit brings."""


@click.command(
    "init",
    cls=Command,
    epilog="Example: destinations init my-partner && destinations test my-partner",
)
@click.argument("name", metavar="NAME")
@click.option(
    "--path",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    metavar="DIR",
    help="Make the folder in DIR; by default in the current directory.",
)
@click.option(
    "--plugin",
    is_flag=True,
    help="Make a Python package instead, with code, a command and a sandbox with the definition.",
)
def command(name: str, parent: Path, *, plugin: bool) -> int:
    """Make the folder NAME of a new destination: a definition, an action and a case.

    It is valid and passes its tests; its comments say what to change. NAME is its slug: small
    letters, digits and hyphens. With --plugin, the folder is a package that builds a wheel.
    """
    for path in (create_package if plugin else create_destination)(name, parent):
        click.echo(path)
    folder = parent / name
    is_shadowed = name in installed().destinations  # its name alone means the installed one
    if plugin:
        by_path = package_definition(name, folder) if is_shadowed else name
        click.echo(f"\nNext: pip install --editable {folder}, then destinations test {by_path}")
    else:
        by_path = f".{os.sep}{folder}" if is_shadowed and not folder.is_absolute() else folder
        click.echo(f"\nNext: edit {folder / 'destination.yaml'}, then destinations test {by_path}")
    if importlib.util.find_spec(_OF_KIT) is None:
        click.echo(f"destinations test needs the extra kit: {install_line('kit')}")
    return 0
