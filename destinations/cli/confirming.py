"""Questions before something that cannot be undone."""

from __future__ import annotations

import click

from destinations.errors import UsageError

__all__ = ["confirmed", "yes_option"]

yes_option = click.option("--yes", is_flag=True, help="Skip the prompt.")


def confirmed(question: str) -> bool:
    """Return whether the user says yes; raises `UsageError` if there is no terminal to ask on."""
    try:
        if click.confirm(question, err=True):
            return True
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # ends the line of the question
            msg = "no answer on stdin; nothing changed. Use --yes to skip the prompt"
            raise UsageError(msg) from None
        raise
    click.echo("Nothing changed.", err=True)
    return False
