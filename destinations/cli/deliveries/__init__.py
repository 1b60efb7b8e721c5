"""The sub-commands of ``destinations deliveries``."""

from destinations.cli.deliveries.deciding import drop_command, resolve_command
from destinations.cli.deliveries.listing import list_command
from destinations.cli.deliveries.replaying import replay_command
from destinations.cli.deliveries.showing import show_command

__all__ = ["COMMANDS"]

COMMANDS = (list_command, show_command, replay_command, drop_command, resolve_command)
