"""Find the account at the partner to deliver to, and ask if that is unclear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from destinations.errors import UsageError
from destinations.operations.times import shown_time
from destinations.runtime.account_identity import AccountIdentity, normalised
from destinations.secrets import shown_url
from destinations.store import Accounts, KnownAccount

__all__ = [
    "AccountQuestion",
    "AccountWords",
    "account_without_credentials",
    "choose_account",
    "preview_account",
]


@dataclass(frozen=True, slots=True)
class AccountWords:
    """Words of messages for the answers to the question which account it is.

    ``name`` is what names the account, ``same`` what says that it is the known one, ``new`` that it
    is another one.
    """

    name: str
    same: str
    new: str


@dataclass(frozen=True, slots=True)
class AccountQuestion:
    """The question whether credentials are those of a known account.

    ``why`` is the beginning of a sentence. The account ``is_moved`` if it was known at another
    address.
    """

    why: str
    known: Sequence[KnownAccount]
    is_moved: bool

    @property
    def names(self) -> str:
        """The known accounts, in words."""
        return "; ".join(f"{one.label}, first used {shown_time(one.since)}" for one in self.known)

    def unanswered(self, words: AccountWords) -> UsageError:
        """Return the error that says how to answer it."""
        what = "at another address" if self.is_moved else "with a new key"
        return UsageError(
            f"{self.why}: use {words.same} if it is the same account {what}, or {words.new} if it "
            "is another one; account: NAME in the settings says so for good"
        )


def choose_account(
    accounts: Accounts,
    identity: AccountIdentity,
    *,
    same: bool | None,
    words: AccountWords,
    ask: Callable[[AccountQuestion], bool] | None = None,
) -> int:
    """Return the id of the account, which is noted if it is new.

    A new key at a known endpoint may be another customer's or a new one of the same, and a known
    key at a new endpoint may belong to the same account or to a copy of it: ``same`` says which; if
    it does not, ``ask`` does. Raises `UsageError` if neither says so.
    """
    found = accounts.find(identity)
    if found is not None:
        accounts.use(found.id, identity)
        return found.id
    question = _question(accounts, identity, same=same)
    if question is None:
        return accounts.add(identity)
    if len(question.known) > 1:
        msg = (
            f"{question.why}: there are {len(question.known)} accounts ({question.names}); say "
            f"which it is with {words.name}, or use {words.new}"
        )
        raise UsageError(msg)
    (one,) = question.known
    if identity.name is not None and one.name is not None:
        msg = (
            f"the account that is known at {shown_url(identity.endpoint)} is {one.name!r}, not "
            f"{identity.name!r}: use that name, or {words.new}"
        )
        raise UsageError(msg)
    if same is None:
        if ask is None:
            raise question.unanswered(words)
        same = ask(question)
    if not same:
        return accounts.add(identity)
    if question.is_moved:
        accounts.move(one.id, identity)
    else:
        accounts.use(one.id, identity)
    return one.id


def preview_account(
    accounts: Accounts,
    identity: AccountIdentity,
    *,
    same: bool | None,
    tell: Callable[[AccountQuestion], None],
) -> KnownAccount | None:
    """Return the account that `choose_account` returns, None for a new one; nothing is noted.

    Where that would ask, ``tell`` is called, and the account is taken for a new one.
    """
    found = accounts.find(identity)
    if found is not None:
        return found
    question = _question(accounts, identity, same=same)
    if question is None:
        return None
    if same and len(question.known) == 1:
        return question.known[0]
    tell(question)
    return None


def account_without_credentials(
    accounts: Accounts, identity: AccountIdentity
) -> Sequence[KnownAccount]:
    """Return the accounts that can be meant where the credentials are not there.

    That is the one of the name, if one is given, else those known at the endpoint.
    """
    if identity.name is not None:
        named = accounts.find(identity)
        return () if named is None else (named,)
    return [
        one
        for one in accounts.of_slug(identity.slug)
        if normalised(one.endpoint) == identity.endpoint and accounts.has_something(one.id)
    ]


def _question(
    accounts: Accounts, identity: AccountIdentity, *, same: bool | None
) -> AccountQuestion | None:
    """Return the decision to make; None where no known account can be meant."""
    if same is False:
        return None
    # Nothing can be mixed with what has nothing: a key or an endpoint that was a typing error.
    here = [one for one in accounts.at(identity) if accounts.has_something(one.id)]
    elsewhere = [one for one in accounts.elsewhere(identity) if accounts.has_something(one.id)]
    if identity.name is not None:  # an account with another name is another one
        elsewhere = [one for one in elsewhere if one.name is None]
        if same is None and not elsewhere:
            return None
    if not here and not elsewhere:
        return None
    own = shown_url(identity.endpoint)
    if here:
        why = f"the credentials are new at {own}, where an account is known"
    else:
        places = ", ".join(sorted({shown_url(one.endpoint) for one in elsewhere}))
        why = f"the credentials are known at {places}, and {own} is new"
    return AccountQuestion(why, [*here, *elsewhere], is_moved=not here)
