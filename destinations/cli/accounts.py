"""The options that say which account a command is for, and the question if none does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from destinations import operations
from destinations.cli.names import NAME
from destinations.operations import AccountQuestion, AccountWords, account_without_credentials
from destinations.runtime.account_identity import AccountIdentity
from destinations.secrets import shown_url
from destinations.store import Accounts, KnownAccount

__all__ = [
    "account_options",
    "choose_account",
    "preview_account",
    "preview_without_credentials",
]

F = TypeVar("F", bound=Callable[..., Any])

_WORDS: Final = AccountWords("--account NAME", "--same-account", "--new-account")


def account_options(command: F) -> F:
    """Add --account, --same-account and --new-account to a command that opens an account.

    The command gets them as ``account`` and ``same``.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--account",
        type=NAME,
        metavar="NAME",
        help=(
            "Name the account at the partner; unnamed-NUMBER stands for one without a name. The "
            "settings may say account: NAME instead."
        ),
    ),
    click.option(
        "--same-account/--new-account",
        "same",
        default=None,
        help=(
            "Say whether a new key at a known endpoint belongs to the account that is known there."
        ),
    ),
)


def choose_account(accounts: Accounts, identity: AccountIdentity, *, same: bool | None) -> int:
    """Return the id of the account; see `destinations.operations.choose_account`.

    The user is asked where it is unclear. Raises `UsageError` without a terminal to ask on.
    """
    return operations.choose_account(accounts, identity, same=same, words=_WORDS, ask=_asked)


def preview_account(
    accounts: Accounts, identity: AccountIdentity, *, same: bool | None
) -> KnownAccount | None:
    """Return the account that `choose_account` returns, None for a new one; nothing is noted.

    Where that would ask, it only reports the question, and takes the account for a new one.
    """
    return operations.preview_account(accounts, identity, same=same, tell=_tell)


def preview_without_credentials(
    accounts: Accounts, identity: AccountIdentity
) -> KnownAccount | None:
    """Return the account that is meant where the credentials are not there; None for a new one.

    Where several can be meant, it says so, and takes it for a new one.
    """
    known = account_without_credentials(accounts, identity)
    if len(known) < 2:
        return known[0] if known else None
    click.echo(
        f"Without the credentials, this shows the result for a new account: {len(known)} are known "
        f"at {shown_url(identity.endpoint)}; name one with --account NAME.",
        err=True,
    )
    return None


def _tell(question: AccountQuestion) -> None:
    click.echo(
        "Without --dry-run, the run first asks whether it is the same account: "
        f"{question.why} ({question.names}). This shows the result for a new account; use "
        "--same-account to see the result for the known one.",
        err=True,
    )


def _asked(question: AccountQuestion) -> bool:
    if not sys.stdin.isatty():
        raise question.unanswered(_WORDS)
    text = f"{question.why[0].upper()}{question.why[1:]} ({question.names}). "
    return click.confirm(f"{text}Is it the same account?", err=True)
