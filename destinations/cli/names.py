"""Names that an operator gives, as options of commands."""

from __future__ import annotations

from typing import Any

import click

from destinations.errors import UsageError
from destinations.runtime.identity import checked_name

__all__ = ["NAME"]


class _Name(click.ParamType[str]):
    """Text of one line that names something, without the spaces around it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; refuses one that is empty, as of a variable that is not set."""
        try:
            return checked_name(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


NAME = _Name()
"""The type of an option whose value is a name."""
