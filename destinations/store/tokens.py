"""Note whose access tokens are, so that those of a customer go with the customer.

A token is kept under a digest of its credentials, by which nobody finds its owners: those with the
same credentials share it. So they are noted beside it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from destinations.store.connection import Connection, Database
from destinations.store.tenant_rows import KEEP_NOTE

__all__ = [
    "LEFT_TOKENS",
    "TOKEN_OWNERS",
    "add_token_owners",
    "erase_tokens",
    "rename_token_owner",
    "token_owners",
]

TOKEN_OWNERS: Final = "token owners:"  # noqa: S105 - no password
"""The beginning of the notes about the owners of tokens, before the name of the sealed token.

Each is a JSON array of the full names of customers' scopes; an empty one stands for the settings of
a configuration or a run.
"""

_ONE: Final = "SELECT value FROM server WHERE name = ?"
_EACH: Final = (
    f"SELECT name, value FROM server WHERE substr(name, 1, {len(TOKEN_OWNERS)}) = '{TOKEN_OWNERS}'"  # noqa: S608 - a constant
)
LEFT_TOKENS: Final = f"""
    SELECT server.name FROM server CROSS JOIN json_each(server.value) AS owner
    WHERE substr(server.name, 1, {len(TOKEN_OWNERS)}) = '{TOKEN_OWNERS}' AND owner.atom <> ''
    AND NOT EXISTS (SELECT 1 FROM scopes WHERE scopes.tenant <> ''
        AND scopes.destination || '/' || scopes.tenant = owner.atom)
"""  # noqa: S608 - constants
"""Finds the notes of tokens whose owner is gone."""


def token_owners(database: Database, name: str) -> Collection[str]:
    """Return who is noted to own the token of a name."""
    row = database.one(_ONE, (TOKEN_OWNERS + name,))
    return frozenset(() if row is None else json.loads(row[0]))


def add_token_owners(connection: Connection, name: str, owners: Iterable[str]) -> None:
    """Note further owners of the token of a name, in the transaction that keeps it."""
    note = TOKEN_OWNERS + name
    row = connection.execute(_ONE, (note,)).fetchone()
    known = set() if row is None else set(json.loads(row[0]))
    if not known.issuperset(owners):
        connection.execute(KEEP_NOTE, (note, _array(known.union(owners))))


def erase_tokens(connection: Connection, owner: str) -> None:
    """Remove the tokens of a customer that nobody else uses."""
    for note, owners in _of_owner(connection, owner):
        left = [one for one in owners if one != owner]
        if left:
            connection.execute(KEEP_NOTE, (note, _array(left)))
            continue
        connection.execute("DELETE FROM server WHERE name = ?", (note,))
        name = note.removeprefix(TOKEN_OWNERS)
        connection.execute("DELETE FROM sealed WHERE name = ?", (name,))


def rename_token_owner(connection: Connection, owner: str, now: str) -> None:
    """Let the tokens of a customer be those of another one, as both are the same."""
    for note, owners in _of_owner(connection, owner):
        others = {one for one in owners if one != owner}
        connection.execute(KEEP_NOTE, (note, _array({*others, now})))


def _of_owner(connection: Connection, owner: str) -> Sequence[tuple[str, Collection[str]]]:
    found = [(name, json.loads(value)) for name, value in connection.execute(_EACH).fetchall()]
    return [one for one in found if owner in one[1]]


def _array(owners: Iterable[str]) -> str:
    return json.dumps(sorted(owners))
