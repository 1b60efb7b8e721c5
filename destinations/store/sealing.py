"""Seal the secrets that the store keeps, such as the settings of a customer.

A sealed value is one text: ``v1:KEY:BASE64``, with the id of its key, and the nonce and ciphertext
of AES-256-GCM. The identity of its row is authenticated with it, so that a value that was copied to
another row does not open there. Keys come from the configuration, and are never in the store: a
backup without them says nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from destinations.errors import UsageError
from destinations.extras import libraries_of
from destinations.secrets import Secret, reveal
from destinations.store.connection import Connection, Database

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["SealedValues", "Sealer", "SealingKey", "make_sealing_key", "sealing_key_fault"]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1"
_HEAD: Final = re.compile(r"v.:([0-9a-f]{8}):")
_FORM: Final = re.compile(r"v(?P<version>[0-9]+):(?P<key>[0-9a-f]{8}):(?P<text>[A-Za-z0-9+/]+=*)")
_NEEDED_BY: Final = "sealing (in the configuration of a server)"
_EXPECTED: Final = (
    "expected 32 bytes as Base64, which are 44 characters; destinations store new-key makes a key"
)
_TO_BASE64: Final = str.maketrans("-_", "+/")


def make_sealing_key() -> Secret:
    """Return a new key: 32 random bytes as Base64."""
    return Secret(base64.b64encode(os.urandom(_KEY_BYTES)).decode("ascii"))


def sealing_key_fault(text: str) -> str | None:
    """Return what is wrong with the text of a key, without showing it; None if it can be used."""
    return None if _key_bytes(text) is not None else f"is not a sealing key: {_EXPECTED}"


def _key_bytes(text: str) -> bytes | None:
    value = reveal(text).strip().translate(_TO_BASE64).rstrip("=")
    found = _from_base64(value + "=" * (-len(value) % 4))
    return found if found is not None and len(found) == _KEY_BYTES else None


def _from_base64(text: str) -> bytes | None:
    """Return the bytes of a text in Base64; None for any other text, and for a second spelling."""
    with contextlib.suppress(ValueError):  # the root of binascii.Error
        found = base64.b64decode(text, validate=True)
        return found if base64.b64encode(found).decode("ascii") == text else None
    return None


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key of 32 bytes; ``id`` is public: the start of its SHA-256, 8 digits in hex."""

    id: str
    material: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key in a text: Base64 in either alphabet, with or without white space around.

        Raises `UsageError` for any other text, which is not shown.
        """
        material = _key_bytes(text)
        if material is None:
            raise UsageError(f"invalid sealing key: {_EXPECTED}")
        return cls(hashlib.sha256(material).hexdigest()[:8], material)


class Sealer:
    """Seals with the current key, and opens what this one or a former one has sealed.

    Several threads may use it. Raises `MissingExtraError` without the extra ``sealing``, and
    `UsageError` for two keys that have the same id.
    """

    def __init__(self, current: SealingKey, former: Sequence[SealingKey] = ()) -> None:
        # Deferred: installed with an extra only.
        with libraries_of("sealing", _NEEDED_BY):
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as said above
            from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - as said above
                AESGCM,
            )

        self._failures = (InvalidTag, ValueError)
        self._current = current.id
        self._ciphers: dict[str, AESGCM] = {}
        known: dict[str, SealingKey] = {}
        for key in (current, *former):
            if known.setdefault(key.id, key) != key:
                raise UsageError(f"two sealing keys have the id {key.id}: replace one of them")
            self._ciphers[key.id] = AESGCM(key.material)

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of the keys that it can open with."""
        return frozenset(self._ciphers)

    @property
    def prefix(self) -> str:
        """The beginning of every value that is sealed with the current key."""
        return f"{_VERSION}:{self._current}:"

    def seal(self, text: str, *, row: str) -> str:
        """Return ``text`` sealed for one row, which ``row`` identifies within the store.

        Sealed twice, it gives two values: the nonce is random.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(
            nonce, _bytes(text), _bytes(self.prefix + row)
        )
        return self.prefix + base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, sealed: str, *, row: str) -> Secret:
        """Return the text that was sealed for this row.

        Raises `UsageError` that names the key that is missing, or says that the value is not what
        was sealed for this row.
        """
        found = _FORM.fullmatch(sealed)
        if found is None:
            raise _changed(row)
        if found["version"] != _VERSION[1:]:
            msg = (
                f"cannot open {row}: a newer version of this package sealed it; update the package"
            )
            raise UsageError(msg)
        cipher = self._ciphers.get(found["key"])
        if cipher is None:
            msg = f"cannot open {row}: it needs the sealing key {found['key']}, which is missing"
            raise UsageError(msg)
        data = _from_base64(found["text"])
        if data is None:
            raise _changed(row)
        nonce, rest = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            text = cipher.decrypt(nonce, rest, _bytes(f"{_VERSION}:{found['key']}:{row}"))
        except self._failures:
            raise _changed(row) from None
        return Secret(text.decode("utf-8", "surrogatepass"))

    def is_current(self, sealed: str) -> bool:
        """Return whether the current key has sealed a value."""
        return sealed.startswith(self.prefix)


def _bytes(text: str) -> bytes:
    # Any text of Python, also half a character.
    return text.encode("utf-8", "surrogatepass")


def _changed(row: str) -> UsageError:
    return UsageError(f"cannot open {row}: its value was changed, or belongs to another row")


class SealedValues:
    """Secrets by their names, sealed in the store's table ``sealed``; several threads may use it.

    Without a ``sealer``, for a server whose configuration has no ``sealing``, only `names`,
    `remove` and `check` work. A method that changes a value does so within the transaction of
    ``connection``, or else in one of its own; reading shows what was committed. Methods raise
    `UsageError` for a key that is missing and a value that was changed, as `Sealer.open` does.
    """

    def __init__(self, database: Database, sealer: Sealer | None) -> None:
        self._database = database
        self._sealer = sealer

    def get(self, name: str) -> Secret | None:
        """Return the secret of this name; None if there is none."""
        row = self._database.one("SELECT value FROM sealed WHERE name = ?", (name,))
        return None if row is None else self._opener().open(row[0], row=_row(name))

    def sealed(self, name: str, text: str) -> str:
        """Return a secret as it is kept under a name, for who writes it with something else."""
        return self._opener().seal(text, row=_row(name))

    def set(self, name: str, text: str, connection: Connection | None = None) -> None:
        """Keep a secret under a name, in place of an earlier one."""
        value = self.sealed(name, text)
        with self._writing(connection) as writing:
            writing.execute(
                "INSERT INTO sealed (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def with_version(self, name: str) -> tuple[Secret | None, str]:
        """Return the secret of this name and its version, for `replace`; an empty one for none."""
        row = self._database.one("SELECT value FROM sealed WHERE name = ?", (name,))
        return (None, "") if row is None else (self._opener().open(row[0], row=_row(name)), row[0])

    def replace(
        self,
        name: str,
        text: str | None,
        version: str,
        beside: Callable[[Connection], None] = lambda _connection: None,
    ) -> str | None:
        """Keep a secret in place of this version of it, or none; return the new version.

        Returns None, and changes nothing, if there is another version by now. Else ``beside``
        writes something with it, if a secret is kept.
        """
        value = "" if text is None else self.sealed(name, text)
        with self._database.transaction() as connection:
            if text is None:
                done = connection.execute(
                    "DELETE FROM sealed WHERE name = ? AND value = ?", (name, version)
                )
            elif version:
                done = connection.execute(
                    "UPDATE sealed SET value = ? WHERE name = ? AND value = ?",
                    (value, name, version),
                )
            else:
                done = connection.execute(
                    "INSERT INTO sealed (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (name, value),
                )
            if done.rowcount and text is not None:
                beside(connection)
            return value if done.rowcount else None

    def remove(self, name: str, connection: Connection | None = None) -> bool:
        """Remove the secret of this name, and return whether there was one."""
        with self._writing(connection) as writing:
            done = writing.execute("DELETE FROM sealed WHERE name = ?", (name,))
        return done.rowcount > 0

    def names(self, prefix: str = "") -> list[str]:
        """Return the names that begin with ``prefix``, sorted; needs no key."""
        rows = self._database.all(
            "SELECT name FROM sealed WHERE name >= ? AND substr(name, 1, ?) = ? ORDER BY name",
            (prefix, len(prefix), prefix),
        )
        return [name for (name,) in rows]

    def check(self) -> None:
        """Raise `UsageError` that names each key that values need and that is missing.

        Nothing is lost by that: the values stay as they are until their keys are back.
        """
        known = frozenset() if self._sealer is None else self._sealer.key_ids
        heads = self._database.all(
            "SELECT substr(value, 1, 12), count(*) FROM sealed GROUP BY 1 ORDER BY 1"
        )
        sealed = [(_HEAD.fullmatch(head), count) for head, count in heads]
        counts = [(head[1], count) for head, count in sealed if head is not None]
        missing = [(key, count) for key, count in counts if key not in known]
        if missing:
            total = sum(count for _, count in missing)
            values = "1 sealed value" if total == 1 else f"{total:,} sealed values"
            needs = "needs" if total == 1 else "need"
            keys = "the key" if len(missing) == 1 else "the keys"
            which = ", ".join(f"{key} ({count:,})" for key, count in missing)
            it = "it" if len(missing) == 1 else "them"
            raise UsageError(
                f"{values} of the store {self._database.shown} {needs} {keys} {which}, which the "
                f"configuration lacks: add {it} to sealing.formerKeys"
            )

    def reseal(self, batch: int = 500) -> int:
        """Seal with the current key whatever a former one has sealed; return how many values.

        Each transaction is of at most ``batch`` rows, from 1. A process that is killed in between
        leaves each row as it was or sealed anew, and another call does the rest. Nothing is changed
        if a key is missing; see `check`.
        """
        self.check()
        sealer = self._opener()
        resealed = 0
        while rows := self._database.all(
            "SELECT name, value FROM sealed WHERE substr(value, 1, ?) <> ? ORDER BY name LIMIT ?",
            (len(sealer.prefix), sealer.prefix, batch),
        ):
            anew = []
            for name, value in rows:
                row = _row(name)
                anew.append((sealer.seal(sealer.open(value, row=row), row=row), name, value))
            with self._database.transaction() as connection:
                # What somebody else has changed since is looked at again in the next turn.
                done = connection.executemany(
                    "UPDATE sealed SET value = ? WHERE name = ? AND value = ?", anew
                )
                resealed += done.rowcount
        return resealed

    def _opener(self) -> Sealer:
        if self._sealer is None:
            raise UsageError("secrets in the store need a sealing key: name it as sealing.key")
        return self._sealer

    @contextlib.contextmanager
    def _writing(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
            return
        with self._database.transaction() as own:
            yield own


def _row(name: str) -> str:
    """Return the identity of a row: no value of another table opens in it."""
    return f"sealed/{name}"
