"""``destinations tenants``: the customers of a partner who send with keys of their own."""

from __future__ import annotations

import click

from destinations.cli.commands import ModuleGroup

__all__ = ["command"]


@click.group(
    "tenants",
    cls=ModuleGroup,
    package="destinations.cli.tenants",
    names=("list", "show", "name", "connect", "pause", "resume", "forget", "merge"),
    epilog="Example: destinations tenants list --config serve.yaml",
)
def command() -> None:
    """Show the customers that an endpoint is for; name, connect, pause, merge or erase them.

    A tenant is a customer of the partner who sends with a key of their own (receiver.tenants). Its
    id is a digest, which tells nothing of the key. All commands take its id, at least the first 4
    digits of it, or the name that you gave it. No command shows a key.
    """
