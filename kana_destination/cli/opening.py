"""Open an account at Kana with settings and store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from destinations import HttpTransport, IntegrationError, Sender, UsageError
from destinations.cli.accounts import choose_account
from destinations.cli.opening import open_definition, open_destination, open_store
from destinations.runtime.destination import Destination
from destinations.runtime.identity import AccountIdentity, identity_of
from destinations.runtime.store import ManualChanges
from destinations.secrets import shown_url
from destinations.store import SqliteStore

__all__ = ["SLUG", "KanaAccount", "open_account"]

SLUG = "kana"


@dataclass(frozen=True, slots=True)
class KanaAccount:
    """An account at Kana, with its sender and its part of the store."""

    destination: Destination
    transport: HttpTransport
    sender: Sender
    store: SqliteStore
    identity: AccountIdentity
    id: int

    @property
    def manual_changes(self) -> ManualChanges:
        """The changes that an operator has to make."""
        return self.store.manual_changes([self.id])


@contextlib.contextmanager
def open_account(
    settings: Path | None, store: Path | None, account: str | None, *, same: bool | None
) -> Iterator[KanaAccount]:
    """Open the account that a settings file names, and its part of the store.

    ``account`` and ``same`` are those of `destinations.cli.accounts.account_options`. If a request
    fails within, raises `UsageError` that names the endpoint.
    """
    definition, plugin = open_definition(SLUG)
    with (
        open_store(store) as opened,
        contextlib.closing(HttpTransport(definition.transport.timeouts)) as transport,
    ):
        bound = open_destination(definition, plugin, settings, store=opened)
        destination = bound.destination
        identity = identity_of(destination, account or bound.account)
        known = choose_account(opened.accounts(), identity, same=same)
        answers = opened.answers(identity.partner)
        sender = Sender(destination, transport, answers=answers)
        try:
            yield KanaAccount(destination, transport, sender, opened, identity, known)
        except IntegrationError as error:
            raise UsageError(f"{shown_url(destination.endpoint)}: {error.message}") from None
