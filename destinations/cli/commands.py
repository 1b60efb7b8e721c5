"""The classes of all commands: what click leaves open, and they have in common."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import click

from destinations.errors import UsageError, did_you_mean

__all__ = ["Command", "Group", "ModuleGroup", "ParsedNumber"]

_WHOLE: Final = 10_000
"""The characters of a first sentence that are shown: click cuts it at the terminal's width."""


class ParsedNumber(click.ParamType[float]):
    """A number of an option that is written as text, such as a time; ``parse`` reads it.

    What ``parse`` raises as `UsageError` is told with the option's name.
    """

    def __init__(self, name: str, parse: Callable[[str], float]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; a default is one already."""
        if isinstance(value, float):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Command(click.Command):
    """A command that refuses an option that is given twice where only one of both would count."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raises `click.UsageError` also for an option that is repeated."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        _check_repeated(self, ctx, given)
        return rest


class Group(click.Group):
    """A group whose commands are `Command`, each shown with all of its first sentence."""

    command_class = Command

    def known_commands(self, ctx: click.Context) -> Iterable[str]:
        """Return the names that a mistyped one may have meant."""
        return self.list_commands(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; the error for an unknown one names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.known_commands(ctx))
            if not hint or args[0].startswith("-"):
                raise
            raise click.UsageError(f"no such command {args[0]!r}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their first sentences, over several lines where they are long."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_WHOLE)) for name, one in commands if one is not None]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class ModuleGroup(Group):
    """A group whose command ``name`` is the ``command`` of a package's module ``name_command``.

    A hyphen of the name is an underscore there. A module is loaded when its command is asked for:
    no command waits for the imports of others.
    """

    def __init__(self, *arguments: Any, package: str, names: Collection[str], **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._package, self._names = package, names

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of their help."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return a command of this name; None if there is none."""
        if cmd_name not in self._names:
            return None
        module = f"{self._package}.{cmd_name.replace('-', '_')}_command"
        command: click.Command = importlib.import_module(module).command
        return command


def _check_repeated(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Raise `click.UsageError` for an option that is given twice, but for what may be repeated.

    A switch that has no opposite says the same each time.
    """
    if ctx.resilient_parsing:  # a shell asks what may come next
        return
    _, _, order = command.make_parser(ctx).parse_args(args=args)
    for parameter, number in Counter(order).items():
        if number == 1 or not isinstance(parameter, click.Option):
            continue
        is_switch = parameter.is_flag and not parameter.secondary_opts
        if not (parameter.multiple or parameter.count or is_switch):
            names = "/".join([*parameter.opts, *parameter.secondary_opts])
            times = "twice" if number == 2 else f"{number} times"
            raise click.UsageError(f"{names} is given {times}: expected it once", ctx)
