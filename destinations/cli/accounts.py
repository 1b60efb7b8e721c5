"""Find the account at the partner that a command is for, and ask if that is unclear."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from destinations.cli.names import NAME
from destinations.errors import UsageError
from destinations.operations import shown_time
from destinations.runtime.identity import AccountIdentity
from destinations.secrets import shown_url
from destinations.store import Accounts, KnownAccount

__all__ = ["account_options", "choose_account", "foresee_account"]

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
    """Return the id of the account, which is noted if it is new.

    A new key at a known endpoint may be another customer's or a new one of the same, and a known
    key at a new endpoint may belong to the same account or to a copy of it: ``same`` says which; if
    it does not, the user is asked. Raises `UsageError` if nobody can be.
    """
    found = accounts.find(identity)
    if found is not None:
        accounts.use(found.id, identity)
        return found.id
    here, elsewhere = _candidates(accounts, identity, same=same)
    known = [*here, *elsewhere]
    if not known:
        return accounts.add(identity)
    question = _question(identity, here, elsewhere)
    if len(known) > 1:
        names = "; ".join(map(_described, known))
        msg = (
            f"{question}: there are {len(known)} accounts ({names}); say which it is with "
            "--account NAME, or use --new-account"
        )
        raise UsageError(msg)
    (one,) = known
    if identity.name is not None and one.name is not None:
        msg = (
            f"the account that is known at {shown_url(identity.endpoint)} is {one.name!r}, not "
            f"{identity.name!r}: use that name, or --new-account"
        )
        raise UsageError(msg)
    if same is None:
        same = _asked(question, one, is_moved=not here)
    if not same:
        return accounts.add(identity)
    if here:
        accounts.use(one.id, identity)
    else:
        accounts.move(one.id, identity)
    return one.id


def foresee_account(
    accounts: Accounts, identity: AccountIdentity, *, same: bool | None
) -> KnownAccount | None:
    """Return the account that `choose_account` returns, None for a new one; nothing is noted.

    Where that would ask, it only reports the question, and takes the account for a new one.
    """
    found = accounts.find(identity)
    if found is not None:
        return found
    here, elsewhere = _candidates(accounts, identity, same=same)
    known = [*here, *elsewhere]
    if same and len(known) == 1:
        return known[0]
    if known:
        names = "; ".join(map(_described, known))
        click.echo(
            "Without --dry-run, the run first asks whether it is the same account: "
            f"{_question(identity, here, elsewhere)} ({names}). This shows the result for a new "
            "account; use --same-account to see the result for the known one.",
            err=True,
        )
    return None


def _candidates(
    accounts: Accounts, identity: AccountIdentity, *, same: bool | None
) -> tuple[Sequence[KnownAccount], Sequence[KnownAccount]]:
    """Return the accounts that this one may be: at its endpoint, and elsewhere."""
    # Nothing can be mixed with what has nothing: a key or an endpoint that was a typing error.
    here = [one for one in accounts.at(identity) if accounts.has_something(one.id)]
    elsewhere = [one for one in accounts.elsewhere(identity) if accounts.has_something(one.id)]
    if identity.name is not None:  # an account with another name is another one
        elsewhere = [one for one in elsewhere if one.name is None]
    is_said = same is None and identity.name is not None and not elsewhere
    return ((), ()) if same is False or is_said else (here, elsewhere)


def _question(
    identity: AccountIdentity, here: Sequence[KnownAccount], elsewhere: Sequence[KnownAccount]
) -> str:
    """Return the decision to make, as the beginning of a sentence."""
    own = shown_url(identity.endpoint)
    if here:
        return f"the credentials are new at {own}, where an account is known"
    places = ", ".join(sorted({shown_url(one.endpoint) for one in elsewhere}))
    return f"the credentials are known at {places}, and {own} is new"


def _described(account: KnownAccount) -> str:
    return f"{account.label}, first used {shown_time(account.since)}"


def _asked(question: str, known: KnownAccount, *, is_moved: bool) -> bool:
    if not sys.stdin.isatty():
        what = "at another address" if is_moved else "with a new key"
        msg = (
            f"{question}: use --same-account if it is the same account {what}, or --new-account if "
            "it is another one; account: NAME in the settings says so for good"
        )
        raise UsageError(msg)
    text = f"{question[0].upper()}{question[1:]} ({_described(known)}). Is it the same account?"
    return click.confirm(text, err=True)
