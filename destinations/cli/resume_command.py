"""``destinations resume``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.operations import paused_actions, resume

__all__ = ["command"]


@click.command(
    "resume", cls=Command, epilog="Example: destinations resume kana --config serve.yaml"
)
@click.argument("name")
@place_options
def command(place: StorePlace, name: str) -> int:
    """Resume the paused actions of the destination NAME.

    An action of a server pauses when the partner refuses its requests whatever the events are, as
    after a change of its API. What waits for it stays until the server is started or reloaded with
    another definition or other settings, or until this command. It is tried again at once, and
    pauses again if nothing has changed.
    """
    with place.read() as opened:
        found = paused_actions(opened, name)
    if not found:
        click.echo(f"No action of {plain(name)} is paused.")
        return 0
    with place.change() as opened:
        found = resume(opened, name)
    for action, reason in found.items():
        click.echo(f"{plain(name)}, {action}: resumed. It was paused because: {plain(reason)}")
    return 0
