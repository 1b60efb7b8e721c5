"""The command ``destinations``: one module for each sub-command, loaded when it is called."""

from destinations.cli.group import main

__all__ = ["main"]
