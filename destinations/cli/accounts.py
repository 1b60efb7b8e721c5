"""Which account at the partner a command is for, where that has to be asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from destinations.errors import UsageError
from destinations.runtime.identity import AccountIdentity
from destinations.store import Accounts

__all__ = ["account_options", "choose_account"]

F = TypeVar("F", bound=Callable[..., Any])


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
        metavar="NAME",
        help="A name for the account at the partner; or account: NAME in the settings.",
    ),
    click.option(
        "--same-account/--new-account",
        "same",
        default=None,
        help="Whether a key that is new at a known endpoint is of the account known there.",
    ),
)


def choose_account(accounts: Accounts, identity: AccountIdentity, *, same: bool | None) -> int:
    """Return the id of the account, which is noted if it is new.

    A new key at a known endpoint may be another customer's or a new one of the same: ``same`` says
    which; if it does not, the user is asked. Raises `UsageError` if nobody can be.
    """
    found = accounts.find(identity)
    if found is not None:
        accounts.use(found.id, identity)
        return found.id
    known = accounts.at(identity)
    if not known or same is False or (same is None and identity.name is not None):
        return accounts.add(identity)
    names = ", ".join(one.name or "without a name" for one in known)
    if len(known) > 1:
        msg = (
            f"the credentials are new at {identity.endpoint}, where {len(known)} accounts are "
            f"known ({names}): say which it is with --account NAME, or use --new-account"
        )
        raise UsageError(msg)
    if identity.name is not None and known[0].name is not None:
        msg = (
            f"the account that is known at {identity.endpoint} is {known[0].name!r}, not "
            f"{identity.name!r}: use that name, or --new-account"
        )
        raise UsageError(msg)
    question = (
        f"The credentials are new at {identity.endpoint}, where an account is known ({names}). "
        "Are they of the same account?"
    )
    if same is None:
        same = _asked(question, identity)
    if not same:
        return accounts.add(identity)
    accounts.use(known[0].id, identity)
    return known[0].id


def _asked(question: str, identity: AccountIdentity) -> bool:
    if not sys.stdin.isatty():
        msg = (
            f"the credentials are new at {identity.endpoint}, where an account is known: use "
            "--same-account if it is the same with a new key, or --new-account if it is another "
            "one; account: NAME in the settings says so for good"
        )
        raise UsageError(msg)
    return click.confirm(question, err=True)
