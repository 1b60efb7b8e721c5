"""The argument and options of commands about one customer of a partner."""

from __future__ import annotations

from typing import Final

import click

from destinations.cli.names import NAME

__all__ = ["tenant_argument", "tenant_destination_option", "tenant_option"]

tenant_option: Final = click.option(
    "--tenant",
    type=NAME,
    metavar="T",
    help="Only this tenant: its name, its id, or the beginning of its id.",
)
tenant_argument: Final = click.argument("tenant", metavar="TENANT", type=NAME)
tenant_destination_option: Final = click.option(
    "--destination", metavar="NAME", help="Look only for tenants of this destination."
)
