"""Check the names that operators give in options."""

from __future__ import annotations

from typing import Any

import click

from destinations.errors import UsageError
from destinations.runtime.account_identity import checked_name

__all__ = ["NAME"]


class _Name(click.ParamType[str]):
    """A name: text of one line, without the spaces around it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; refuses an empty one, as from an unset variable."""
        try:
            return checked_name(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


NAME = _Name()
"""The type of an option whose value is a name."""
