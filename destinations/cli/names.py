"""Names that an operator gives, as options of commands."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["NAME"]


class _Name(click.ParamType[str]):
    """Text of one line that names something, without the spaces around it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; refuses one that is empty, as of a variable that is not set."""
        name = str(value).strip()
        if not name:
            self.fail("the name is empty", param, ctx)
        if not name.isprintable():
            self.fail("the name has a line break, or a character that is not shown", param, ctx)
        return name


NAME = _Name()
"""The type of an option whose value is a name."""
