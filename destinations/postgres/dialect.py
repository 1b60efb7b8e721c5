"""Run the statements of the store, which are written as for SQLite, on PostgreSQL.

Those use what both have in common; see `destinations.postgres.schema` for the functions that
PostgreSQL gets. What is left is here: how a statement names its values, words that PostgreSQL
reserves, many rows at once, and how Python's values are passed.
"""

from __future__ import annotations

import functools
import itertools
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import adapt, pq
from psycopg.types import numeric, string

from destinations.pipeline.lease import escaped, unescaped
from destinations.store.digests import PLAIN, PlainId

__all__ = [
    "NULL_VALUE",
    "VALUE_WRITERS",
    "PostgresConnection",
    "prepare_connection",
    "translated",
]

_TOKEN: Final = re.compile(
    r"\bx'(?P<bytes>[0-9a-fA-F]*)'|(?P<blob>\bBLOB\b)|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|\?(?P<number>\d*)|\b(?P<user>user)\b"
)
_BYTE_LENGTH: Final = re.compile(r"\blength\(CAST\((\w+) AS BLOB\)\)")
# In SQLite it says in which order tables are read; PostgreSQL finds that out.
_ORDERED_JOIN: Final = re.compile(r"\bCROSS (JOIN \w+(?: AS \w+)?\s+ON\b)")
# A key may be longer than an index takes: it is known there by its digest.
_KEY: Final = re.compile(r"ON CONFLICT \(scope, key\)")
# A join with the rows of a function, planned before the tables have rows, may read all of them; an
# array is looked up in the index.
_SOME_IDS: Final = re.compile(r"\bIN \(SELECT value FROM json_each\((\$\d+)\)\)")
_ARRAY_OF_IDS: Final = r"= ANY (translate(\1::text, '[]', '{}')::bigint[])"
_ROWS: Final = re.compile(r"VALUES\s*\{rows\}")
_COLUMNS: Final = re.compile(
    r"(?:INTO|WITH)\s+(\w+)\s*\(([^()]*)\)\s*(?:AS\s*\(\s*)?VALUES \{rows\}"
)
_TEXT: Final = frozenset(
    {"user", "message_id", "key", "payload_text", "code", "stage", "reason", "evidence", "balance",
     "restored", "period", "due", "deliveries", "action", "settings", "path", "peer", "name",
     "request", "method", "error", "error_class", "rule", "used"}
)  # fmt: skip
_BYTES: Final = frozenset(
    {"adder", "balance_key", "digest", "raw", "payload", "head", "request_body", "answer_head",
     "answer_body", "users", "data"}
)  # fmt: skip
_FLOATS: Final = frozenset({"ends_at", "asked_at", "noticed_at", "until"})
_PACKED: Final[Mapping[str, frozenset[str]]] = {
    "ledger": frozenset({"user", "message_id"}),
    "kept": frozenset({"user", "message_id"}),
    "usage": frozenset({"user"}),
}
"""By table, the columns that have ids as `destinations.store.digests.packed_id` gives them."""


@functools.lru_cache(maxsize=2048)
def translated(statement: str) -> str:
    """Return a statement for PostgreSQL: with ``$1`` for ``?`` and for ``?1``."""
    numbers = itertools.count(1)

    def change(found: re.Match[str]) -> str:
        if found["user"]:
            return '"user"'
        if found["blob"]:
            return "bytea"
        if found["bytes"] is not None:
            return f"'\\x{found['bytes']}'::bytea"
        if found["number"] is None:
            return found[0]
        return f"${found['number'] or next(numbers)}"

    text = _BYTE_LENGTH.sub(r"octet_length(\1)", _ORDERED_JOIN.sub(r"\1", statement))
    text = _KEY.sub("ON CONFLICT (scope, md5(key))", text)
    return _SOME_IDS.sub(_ARRAY_OF_IDS, _TOKEN.sub(change, text))


@functools.lru_cache(maxsize=256)
def _of_rows(statement: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with ``VALUES {rows}`` as one of arrays, and the types of its columns."""
    found = _COLUMNS.search(statement)
    assert found is not None, statement  # noqa: S101 - a mistake in a statement
    names = [name.strip() for name in found[2].split(",")]
    packed = _PACKED.get(found[1], frozenset())
    types = tuple("bytea" if name in packed else _type(name) for name in names)
    arrays = ", ".join(f"${number}::{one}[]" for number, one in enumerate(types, start=1))
    of_arrays = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - types
    text = _ROWS.sub(lambda _: of_arrays, statement)
    return translated(text), types


def _type(column: str) -> str:
    if column in _TEXT:
        return "text"
    if column in _BYTES:
        return "bytea"
    return "float8" if column in _FLOATS else "bigint"


class PostgresConnection:
    """A connection of psycopg with the methods of `destinations.store.connection.Connection`."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.RawCursor[Any]:
        """Run one statement; see `Connection.execute`."""
        cursor = psycopg.RawCursor(self.raw)
        return cursor.execute(translated(sql), parameters, prepare=True, binary=True)

    def executemany(
        self, sql: str, parameters: Iterable[Sequence[Any]], /
    ) -> psycopg.RawCursor[Any]:
        """Run one statement for each of many rows of values; see `Connection.executemany`."""
        cursor = psycopg.RawCursor(self.raw)
        cursor.executemany(translated(sql), list(parameters))
        return cursor

    def with_rows(
        self, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> list[tuple[Any, ...]]:
        """Run a statement for many rows; see `destinations.store.bulk.with_rows`."""
        text, types = _of_rows(statement)
        arrays = [
            _ARRAYS[one](column) for one, column in zip(types, zip(*rows, strict=True), strict=True)
        ]
        cursor = psycopg.RawCursor(self.raw)
        cursor.execute(text, arrays, prepare=True, binary=True)
        return [] if cursor.description is None else cursor.fetchall()


# -- Python's values -------------------------------------------------------------------------------


class _Array:
    """The values of one column of many rows."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values


class _Bigints(_Array):
    """Whole numbers, or None."""


class _Floats(_Array):
    """Numbers, or None."""


class _Texts(_Array):
    """Texts, or None."""


class _Bytes(_Array):
    """Bytes, packed ids, or None."""


_ARRAYS: Final[Mapping[str, type[_Array]]] = {
    "bigint": _Bigints,
    "float8": _Floats,
    "text": _Texts,
    "bytea": _Bytes,
}
_HEAD: Final = struct.Struct("!iiIii")


def _encoded_text(text: str) -> bytes:
    """Return a text as PostgreSQL takes it: without the character 0, which it cannot keep."""
    return escaped(text).encode("utf-8")


def _packed_text(text: str) -> bytes:
    """Return an id that is not packed as bytes: a first byte says so."""
    return PLAIN + text.encode("utf-8", "surrogatepass")


def _text_value(value: str) -> bytes:
    data = _encoded_text(value)
    return _LENGTH.pack(len(data)) + data


def _bytes_value(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else _packed_text(value)
    return _LENGTH.pack(len(data)) + data


def _number_writer(form: str) -> Callable[[Any], bytes]:
    return functools.partial(struct.Struct(f"!i{form}").pack, struct.calcsize(f"!{form}"))


_LENGTH: Final = struct.Struct("!i")
NULL_VALUE: Final = _LENGTH.pack(-1)
VALUE_WRITERS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "int2": _number_writer("h"),
    "int4": _number_writer("i"),
    "int8": _number_writer("q"),
    "float8": _number_writer("d"),
    "bool": _number_writer("?"),
    "text": _text_value,
    "bytea": _bytes_value,
}
"""How values of a type are written, after their length, in the binary forms of arrays and COPY."""


class _ArrayDumper(adapt.Dumper):
    """Writes an array in PostgreSQL's binary form: head, then each value after its length."""

    format = pq.Format.BINARY
    item = ""

    def __init_subclass__(cls, *, item: str) -> None:
        super().__init_subclass__()
        cls.item = item
        cls.oid = psycopg.postgres.types[item].array_oid

    def dump(self, obj: _Array) -> bytes:
        values, write = obj.values, VALUE_WRITERS[self.item]
        oid = psycopg.postgres.types[self.item].oid
        head = _HEAD.pack(1, None in values, oid, len(values), 1)
        return head + b"".join([NULL_VALUE if one is None else write(one) for one in values])


class _BigintsDumper(_ArrayDumper, item="int8"):
    pass


class _FloatsDumper(_ArrayDumper, item="float8"):
    pass


class _TextsDumper(_ArrayDumper, item="text"):
    pass


class _BytesDumper(_ArrayDumper, item="bytea"):
    pass


class _IntDumper(adapt.Dumper):
    """Passes all whole numbers as one type, so that a statement is prepared once."""

    format = pq.Format.BINARY
    oid = psycopg.postgres.types["int8"].oid

    def dump(self, obj: int) -> bytes:
        return struct.pack("!q", obj)


class _TextDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = psycopg.postgres.types["text"].oid

    def dump(self, obj: str) -> bytes:
        return _encoded_text(obj)


class _PlainIdDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = psycopg.postgres.types["bytea"].oid

    def dump(self, obj: PlainId) -> bytes:
        return _packed_text(obj)


class _TextLoader(string.TextBinaryLoader):
    def load(self, data: Any) -> str:
        found = super().load(data)
        return unescaped(found) if isinstance(found, str) else found.decode()


class _SumLoader(numeric.NumericBinaryLoader):
    """Returns whole numbers: there are no others."""

    def load(self, data: Any) -> int:  # type: ignore[override]
        return int(super().load(data))


class _TruthLoader(adapt.Loader):
    """Returns 1 and 0, as SQLite does."""

    format = pq.Format.BINARY

    def load(self, data: Any) -> int:
        return int(bytes(data) != b"\0")


def prepare_connection(raw: psycopg.Connection[Any]) -> PostgresConnection:
    """Return a connection that passes Python's values as the store has them."""
    raw.prepared_max = 1_000
    adapters = raw.adapters
    for kind, dumper in (
        (int, _IntDumper),
        (str, _TextDumper),
        (PlainId, _PlainIdDumper),
        (_Bigints, _BigintsDumper),
        (_Floats, _FloatsDumper),
        (_Texts, _TextsDumper),
        (_Bytes, _BytesDumper),
    ):
        adapters.register_dumper(kind, dumper)
    for name, loader in (("text", _TextLoader), ("numeric", _SumLoader), ("bool", _TruthLoader)):
        adapters.register_loader(name, loader)
    return PostgresConnection(raw)
