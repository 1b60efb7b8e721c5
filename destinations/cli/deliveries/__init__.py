"""The sub-commands of ``destinations deliveries``."""

from destinations.cli.deliveries.drop_command import drop_command
from destinations.cli.deliveries.export_command import export_command
from destinations.cli.deliveries.list_command import list_command
from destinations.cli.deliveries.replay_command import replay_command
from destinations.cli.deliveries.resolve_command import resolve_command
from destinations.cli.deliveries.show_command import show_command

__all__ = ["COMMANDS"]

COMMANDS = (
    list_command,
    show_command,
    replay_command,
    drop_command,
    resolve_command,
    export_command,
)
