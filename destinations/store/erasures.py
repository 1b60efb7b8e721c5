"""Note which users were erased, in a store and next to it, so a restored copy loses them again.

Who was erased is kept twice, in the store and in a file next to it, as digests with a random key.
The key lies with them: with the store, one can test whether a certain id was erased, but not list
the ids. The store notes an erasure with what it changes. So a copy that does not note it was made
before, whatever any clock says, and all that it has of the user goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from destinations.errors import TemporaryError, UsageError
from destinations.pipeline.queue import ERASED
from destinations.store.connection import Connection
from destinations.store.files import make_file, sync
from destinations.store.move_to_9 import old_erasure_id

__all__ = [
    "ERASED",
    "ErasedScope",
    "Erasure",
    "add_erasures",
    "erasures_path",
    "erasures_stored",
    "keyed_digest",
    "make_erasure",
    "pseudonym",
    "read_erasures_file",
    "write_erasures_file",
]

_FORMAT: Final = 2
"""Of the file next to a store. The first form had no head, and no ids, stores and scopes."""

_ID_BYTES: Final = 16
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 16
_MOST: Final = (1 << 63) - 1
_COLUMNS: Final = "id, key, digest, destination, account, store, scopes, at"
_OLD_COLUMNS: Final = "key, digest, destination, account, at"


class ErasedScope(NamedTuple):
    """A scope from which a user was erased, as it was then.

    ``id`` and the account's number ``partner_account`` count within one store; ``account_since`` is
    when the account was first used, in seconds since 1970. Names may be given later.
    """

    id: int
    destination: str
    partner_account: int | None
    account_since: float | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """A user who was erased ``at`` a time, in milliseconds since 1970.

    ``digest`` is that of the user's id with ``key``. Without ``destination`` and ``account``, the
    user was erased from all of them; else from ``scopes`` of the store with the uuid ``store``.
    Those are empty in what an earlier version noted. ``id`` is unique.
    """

    id: bytes
    key: bytes
    digest: bytes
    destination: str
    account: str
    store: str
    scopes: tuple[ErasedScope, ...]
    at: int

    def is_of(self, user: str) -> bool:
        """Return whether it is this user's."""
        return keyed_digest(self.key, user) == self.digest

    @property
    def is_everywhere(self) -> bool:
        """Whether the user was erased from all of the store."""
        return not (self.destination or self.account)


def erasures_path(store: Path) -> Path:
    """Return the file next to a store that says who was erased."""
    return store.with_name(f"{store.name}.erasures")


def make_erasure(
    known: Iterable[Erasure],
    user: str,
    where: tuple[str, str],
    store: str,
    scopes: Iterable[ErasedScope],
    now: float,
) -> Erasure:
    """Return the erasure of a user ``now``, in seconds since 1970, with the key of those before.

    ``where`` is the destination and the account that were named, or empty.
    """
    key = next((one.key for one in known), None) or os.urandom(_KEY_BYTES)
    destination, account = where
    return Erasure(
        os.urandom(_ID_BYTES),
        key,
        keyed_digest(key, user),
        destination,
        account,
        store,
        tuple(scopes),
        round(now * 1000),
    )


def keyed_digest(key: bytes, text: str) -> bytes:
    """Return the digest of an id."""
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=key).digest()


def pseudonym(key: bytes, text: str) -> str:
    """Return what stands in the place of an id of an erased user."""
    return f"{ERASED}{keyed_digest(key, text).hex()}"


# -- in a store ------------------------------------------------------------------------------------


def erasures_stored(connection: Connection) -> Sequence[Erasure]:
    """Return the erasures in a store of this version or an earlier one."""
    if isinstance(connection, sqlite3.Connection):  # a file may be of an earlier version
        columns = {row[1] for row in connection.execute("PRAGMA table_info(erasures)")}
        if not columns:
            return []
        if "id" not in columns:
            old = connection.execute(f"SELECT {_OLD_COLUMNS} FROM erasures")  # noqa: S608 - a constant
            return [_of_old(*row) for row in old.fetchall()]
    rows = connection.execute(f"SELECT {_COLUMNS} FROM erasures")  # noqa: S608 - a constant
    return [_of_row(row) for row in rows.fetchall()]


def _of_row(row: tuple[Any, ...]) -> Erasure:
    identity, key, digest, destination, account, store, scopes, at = row
    places = tuple(ErasedScope(*one) for one in json.loads(scopes))
    return Erasure(identity, key, digest, destination, account, store, places, at)


def add_erasures(connection: Connection, erasures: Iterable[Erasure]) -> None:
    """Note in a store that users were erased from it; in the transaction that does it."""
    connection.executemany(
        f"INSERT INTO erasures ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
        " ON CONFLICT DO NOTHING",
        [
            (
                *(one.id, one.key, one.digest, one.destination, one.account, one.store),
                *(json.dumps(one.scopes), one.at),
            )
            for one in erasures
        ],
    )


# -- the file next to it ---------------------------------------------------------------------------


def read_erasures_file(store: Path) -> Sequence[Erasure]:
    """Return the erasures in the file next to a store; none without a file.

    Raises `UsageError` if it cannot be read: a user would come back without a word.
    """
    path = erasures_path(store)
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        why = error.strerror or str(error)
    except UsageError as error:
        why = str(error)
    # What JSON may hold is more than what numbers and nesting may be here.
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        why = "it is damaged; put it back as it was"
    raise UsageError(f"cannot read {path}, which says which users were erased: {why}")


def write_erasures_file(store: Path, erasures: Collection[Erasure]) -> None:
    """Write the file next to a store, durably: all of it, or it stays as it was.

    Raises `TemporaryError` if it cannot be written.
    """
    path = erasures_path(store)
    new = path.with_name(f".{path.name}.new")
    lines = [json.dumps(_written(one)) for one in sorted(erasures, key=lambda one: one.at)]
    body = "".join(f"{line}\n" for line in lines).encode()
    head = {"format": _FORMAT, "erasures": len(lines), "digest": _checksum(body)}
    try:
        new.unlink(missing_ok=True)  # of a process that was killed at this point
        make_file(new)
        new.write_bytes(json.dumps(head).encode() + b"\n" + body)
        sync(new)
        new.replace(path)
        sync(path.parent)
    except OSError as error:
        raise TemporaryError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def _checksum(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()


def _written(erasure: Erasure) -> Mapping[str, Any]:
    return {
        "id": erasure.id.hex(),
        "key": erasure.key.hex(),
        "digest": erasure.digest.hex(),
        "destination": erasure.destination,
        "account": erasure.account,
        "store": erasure.store,
        "scopes": erasure.scopes,
        "at": erasure.at,
    }


def _parsed(data: bytes) -> Sequence[Erasure]:
    """Return the erasures in a file.

    Raises `UsageError` for another format, and all that damage may end in, ValueError above all.
    """
    first, _, body = data.partition(b"\n")
    head = json.loads(first)
    if "format" not in head:
        return [_read_old(json.loads(line)) for line in data.splitlines()]
    if head["format"] != _FORMAT:
        raise UsageError("it was written by another version of this package")
    found = [_read(json.loads(line)) for line in body.splitlines()]
    if head != {"format": _FORMAT, "erasures": len(found), "digest": _checksum(body)}:
        raise ValueError(head)
    return found


def _read(line: Mapping[str, Any]) -> Erasure:
    old = _read_old(line)
    scopes = tuple(ErasedScope(*one) for one in line["scopes"])
    identity = bytes.fromhex(line["id"])
    return Erasure(
        *(identity, old.key, old.digest, old.destination, old.account),
        *(_text(line["store"]), scopes, old.at),
    )


def _read_old(line: Mapping[str, Any]) -> Erasure:
    key, digest, at = bytes.fromhex(line["key"]), bytes.fromhex(line["digest"]), line["at"]
    if len(key) != _KEY_BYTES or len(digest) != _DIGEST_BYTES:
        raise ValueError(line)
    if type(at) is not int or not 0 <= at <= _MOST:
        raise ValueError(at)
    return _of_old(key, digest, _text(line["destination"]), _text(line["account"]), at)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _of_old(key: bytes, digest: bytes, destination: str, account: str, at: int) -> Erasure:
    identity = old_erasure_id(digest, destination, account, at)
    return Erasure(identity, key, digest, destination, account, "", (), at)
