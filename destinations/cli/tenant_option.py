"""The option that selects a customer of a partner, who sends with a key of their own."""

from __future__ import annotations

from typing import Final

import click

from destinations.cli.names import NAME

__all__ = ["tenant_option"]

tenant_option: Final = click.option(
    "--tenant",
    type=NAME,
    metavar="T",
    help="Only this tenant: its name, its id, or the beginning of its id.",
)
