"""The argument and the option by which commands find one tenant."""

from __future__ import annotations

from typing import Final

import click

from destinations.cli.names import NAME

__all__ = ["BY_DESTINATION", "TENANT"]

TENANT: Final = click.argument("tenant", metavar="TENANT", type=NAME)
BY_DESTINATION: Final = click.option(
    "--destination", metavar="NAME", help="Look only for tenants of this destination."
)
