"""Questions before something that cannot be undone."""

from __future__ import annotations

import click

from destinations.errors import UsageError

__all__ = ["UnansweredError", "confirmed", "yes_option"]

yes_option = click.option("--yes", is_flag=True, help="Skip the prompt.")


class UnansweredError(UsageError):
    """Nobody was there to answer a question, so nothing was done."""


def confirmed(question: str) -> bool:
    """Return whether the user says yes; raises `UnansweredError` if nobody can be asked."""
    try:
        if click.confirm(question, err=True):
            return True
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # ends the line of the question
            msg = "no answer on stdin; nothing changed. Use --yes to skip the prompt"
            raise UnansweredError(msg) from None
        raise
    click.echo("Nothing changed.", err=True)
    return False
