"""Keep requests with their answers, and what each was for the deliveries that it carried.

A request is kept once, whatever number of deliveries it carried, and equal texts are kept once by
their digest. Nothing here knows a secret: what is written was masked before.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from destinations.outcome import AttemptKind, Status
from destinations.pipeline.attempts import AttemptPolicy, Content, KeptExchange
from destinations.store.bulk import with_rows
from destinations.store.codes import STATUS_CODES, STATUSES
from destinations.store.connection import Connection, Database
from destinations.store.mentions import Mentions
from destinations.store.rows import array_of

__all__ = [
    "Attempt",
    "StoredAttempts",
    "count_requests",
    "delete_exchanges_of_scope",
    "erase_attempts",
    "texts_of_attempts",
    "users_of_attempts",
    "write_exchanges",
]

_KIND_CODES: Final[dict[AttemptKind, int]] = {"send": 0, "question": 1, "credentials": 2}
_KINDS: Final = {code: kind for kind, code in _KIND_CODES.items()}

_REQUEST_CUT: Final = 1
_ANSWER_CUT: Final = 2

_ROW_BYTES: Final = 160
"""About what a row takes beside its texts, with its places in indexes."""
_ATTEMPT_BYTES: Final = 64
_CONTENT_BYTES: Final = 48

_CHUNK: Final = 500

_ADD_CONTENTS: Final = (
    "INSERT INTO exchange_contents (digest, size, data) VALUES {rows}"
    " ON CONFLICT DO NOTHING RETURNING size"
)
_ADD_EXCHANGES: Final = """
    INSERT INTO exchanges (id, scope, at, took, kind, failed, carried, request, method,
        http_status, error, head, request_body, request_bytes, answer_head, answer_body,
        answer_bytes, cut, users, size) VALUES {rows}
"""
_ADD_ATTEMPTS: Final = (
    "INSERT INTO attempts (delivery, number, exchange, item, status, error_class, rule)"
    " VALUES {rows} ON CONFLICT DO NOTHING"
)
_COUNTED: Final = """
    SELECT delivery, max(number) FROM attempts
    WHERE delivery IN (SELECT value FROM json_each(?)) GROUP BY delivery
"""
_ADD_BYTES: Final = "INSERT INTO exchange_bytes (bytes) VALUES (?)"
_PARTS: Final = ("head", "request_body", "answer_body")
"""The columns of an exchange that name a content by its digest."""

_UNUSED: Final = "".join(
    f" AND NOT EXISTS (SELECT 1 FROM exchanges WHERE exchanges.{part} = exchange_contents.digest)"  # noqa: S608 - constants
    for part in _PARTS
)
_COLUMNS: Final = """
    attempts.number, at, took, kind, request, method, http_status, error, carried,
    head.data, request_body.data, request_bytes, answer_head, answer_body.data, answer_bytes, cut,
    attempts.item, attempts.error_class, attempts.rule, attempts.status, erased,
    exchanges.request_body IS NULL
"""
_OF_DELIVERY: Final = f"""
    SELECT {_COLUMNS} FROM attempts JOIN exchanges ON exchanges.id = attempts.exchange
    LEFT JOIN exchange_contents AS head ON head.digest = exchanges.head
    LEFT JOIN exchange_contents AS request_body ON request_body.digest = exchanges.request_body
    LEFT JOIN exchange_contents AS answer_body ON answer_body.digest = exchanges.answer_body
    WHERE attempts.delivery = ? ORDER BY attempts.number
"""  # noqa: S608 - constants
_GONE: Final = """
    SELECT DISTINCT delivery FROM attempts WHERE delivery IN (SELECT value FROM json_each(?))
    AND NOT EXISTS (SELECT 1 FROM open WHERE open.id = delivery)
    AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = delivery)
    AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.id = delivery)
"""
_IN_SCOPES: Final = "scope IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that carried a delivery, with its answer; secrets in it are masked.

    ``number`` counts the kept attempts of the delivery. ``at`` is when it began, in seconds since
    1970, UTC, and ``seconds`` how long it took. ``kind`` says what it was made for, ``request`` is
    its name in the definition, and ``deliveries`` how many deliveries it carried. Header names of
    answers are in lower case. A body is None if there was none; ``request_bytes`` and
    ``answer_bytes`` are the lengths of whole bodies, and ``is_request_cut`` and ``is_answer_cut``
    say that only their beginning is kept. ``status`` is None without an answer, and ``error`` says
    why there is none. ``error_class`` is that of the failure, None for a success; ``rule`` is what
    decided, such as ``errorRules[2]`` of the definition. ``outcome`` is what the delivery came to,
    None where another request followed. ``is_erased`` says that URL, headers and bodies were
    deleted, as they had data of a user who was erased. ``item`` is where the delivery stands in a
    batch. ``secret_names`` are the settings for which each ``***`` of URL, headers and body stands,
    in order, empty for one that is no mask; None if that is not known. One ends with ``/url``,
    ``/base64`` or ``/encoded`` where its value is encoded, see `Masker.named`. ``step`` is the name
    of the step that made the request, of an action that has steps; empty if there is none, or if it
    is erased.
    """

    number: int
    at: float
    seconds: float
    kind: AttemptKind
    request: str
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    request_bytes: int
    status: int | None
    answer_headers: Mapping[str, str]
    answer_body: bytes | None
    answer_bytes: int
    error: str
    error_class: str | None
    rule: str
    outcome: Status | None
    deliveries: int = 1
    is_request_cut: bool = False
    is_answer_cut: bool = False
    is_erased: bool = False
    item: int = 0
    secret_names: tuple[str, ...] | None = None
    step: str = ""


# -- writing ---------------------------------------------------------------------------------------


def write_exchanges(
    connection: Connection, exchanges: Iterable[tuple[int, Sequence[int], KeptExchange]]
) -> int:
    """Write exchanges, each with its scope and the ids of its batch; returns how many bytes.

    Nothing is written of one whose deliveries have no row.
    """
    kept = [one for one in exchanges if any(one[1][attempt.place] for attempt in one[2].attempts)]
    if not kept:
        return 0
    contents = {
        content.digest: content
        for _, _, one in kept
        for content in (one.head, one.request_body, one.answer_body)
        if content is not None
    }
    # In one order, as others may write the same ones now.
    rows = [
        (one.digest, len(one.data) + _CONTENT_BYTES, one.data)
        for _, one in sorted(contents.items())
    ]
    size = sum(each for (each,) in with_rows(connection, _ADD_CONTENTS, rows))
    numbers = _take_ids(connection, len(kept))
    of_exchanges = [
        _row(number, scope, one) for number, (scope, _, one) in zip(numbers, kept, strict=True)
    ]
    with_rows(connection, _ADD_EXCHANGES, of_exchanges)
    with_rows(connection, _ADD_ATTEMPTS, _attempts(connection, numbers, kept))
    size += sum(int(row[-1]) for row in of_exchanges)
    connection.execute(_ADD_BYTES, (size,))
    return int(size)


def _take_ids(connection: Connection, count: int) -> Sequence[int]:
    if isinstance(connection, sqlite3.Connection):
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM exchanges").fetchone()
        return range(last + 1, last + 1 + count)
    rows = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('exchanges', 'id')) FROM generate_series(1, ?)",
        (count,),
    ).fetchall()
    return sorted(number for (number,) in rows)


def _row(number: int, scope: int, one: KeptExchange) -> tuple[Any, ...]:
    users = zlib.compress(json.dumps(list(one.users)).encode())
    cut = one.is_request_cut * _REQUEST_CUT | one.is_answer_cut * _ANSWER_CUT
    size = _ROW_BYTES + len(users) + len(one.answer_head) + len(one.error)
    return (
        *(number, scope, round(one.at * 1000), round(one.seconds * 1000), _KIND_CODES[one.kind]),
        *(int(one.failed), one.carried, one.request, one.method, one.status, one.error),
        *(one.head.digest, _digest(one.request_body), one.request_bytes),
        *(one.answer_head, _digest(one.answer_body), one.answer_bytes, cut, users),
        size + _ATTEMPT_BYTES * len(one.attempts),
    )


def _digest(content: Content | None) -> bytes | None:
    return None if content is None else content.digest


def _attempts(
    connection: Connection,
    numbers: Sequence[int],
    kept: Sequence[tuple[int, Sequence[int], KeptExchange]],
) -> list[tuple[Any, ...]]:
    """Return the rows of attempts; those of a delivery are numbered in the order of requests."""
    deliveries = {ids[each.place] for _, ids, one in kept for each in one.attempts}
    counts: dict[int, int] = dict(connection.execute(_COUNTED, (array_of(deliveries),)).fetchall())
    rows: list[tuple[Any, ...]] = []
    for number, (_, ids, one) in zip(numbers, kept, strict=True):
        for each in one.attempts:
            delivery = ids[each.place]
            if delivery:
                counts[delivery] = counts.get(delivery, 0) + 1
                status = None if each.outcome is None else STATUS_CODES[each.outcome]
                head = (delivery, counts[delivery], number, each.item, status)
                rows.append((*head, each.error_class, each.rule))
    return rows


# -- deleting --------------------------------------------------------------------------------------


def _delete(connection: Connection, ids: Collection[int]) -> None:
    """Delete exchanges with their attempts, and the contents that no other one has."""
    if not ids:
        return
    numbers = array_of(ids)
    connection.execute(
        "DELETE FROM attempts WHERE exchange IN (SELECT value FROM json_each(?))", (numbers,)
    )
    rows = connection.execute(
        "DELETE FROM exchanges WHERE id IN (SELECT value FROM json_each(?))"
        " RETURNING size, head, request_body, answer_body",
        (numbers,),
    ).fetchall()
    _deleted(connection, sum(row[0] for row in rows), (one for row in rows for one in row[1:]))


def _deleted(connection: Connection, size: int, digests: Iterable[bytes | None]) -> None:
    """Delete contents that nothing has any more, and count what is gone."""
    for digest in {bytes(one) for one in digests if one is not None}:
        row = connection.execute(
            f"DELETE FROM exchange_contents WHERE digest = ?{_UNUSED} RETURNING size",  # noqa: S608 - constants
            (digest,),
        ).fetchone()
        size += row[0] if row is not None else 0
    if size:
        connection.execute(_ADD_BYTES, (-size,))


def _delete_unused(connection: Connection, ids: Collection[int]) -> None:
    """Delete those of some exchanges of which no delivery has an attempt any more."""
    rows = connection.execute(
        "SELECT id FROM exchanges WHERE id IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM attempts WHERE exchange = exchanges.id)",
        (array_of(ids),),
    ).fetchall()
    _delete(connection, [number for (number,) in rows])


def _delete_of_deliveries(connection: Connection, deliveries: Iterable[int]) -> None:
    """Delete the attempts of deliveries, and what only they have."""
    rows = connection.execute(
        "DELETE FROM attempts WHERE delivery IN (SELECT value FROM json_each(?))"
        " RETURNING exchange",
        (array_of(deliveries),),
    ).fetchall()
    gone = [number for (number,) in rows]
    for number in gone:
        connection.execute(
            f"UPDATE exchanges SET size = size - {_ATTEMPT_BYTES} WHERE id = ?",  # noqa: S608 - a number
            (number,),
        )
    if gone:
        connection.execute(_ADD_BYTES, (-_ATTEMPT_BYTES * len(gone),))
        _delete_unused(connection, set(gone))


def delete_exchanges_of_scope(connection: Connection, scope: int) -> None:
    """Delete all that is kept of the exchanges of a scope."""
    rows = connection.execute("SELECT id FROM exchanges WHERE scope = ?", (scope,)).fetchall()
    for start in range(0, len(rows), _CHUNK):
        _delete(connection, [number for (number,) in rows[start : start + _CHUNK]])


# -- a user ----------------------------------------------------------------------------------------


def users_of_attempts(connection: Connection, scopes: str) -> Iterator[Sequence[str]]:
    """Yield whose deliveries exchanges of scopes carried, and the texts that may name others.

    ``scopes`` is a JSON array.
    """
    for (users,) in connection.execute(
        f"SELECT users FROM exchanges WHERE {_IN_SCOPES}",  # noqa: S608 - constants
        (scopes,),
    ):
        yield _users(users)


def texts_of_attempts(connection: Connection, scopes: str) -> Iterator[bytes]:
    """Yield the texts of exchanges of scopes, a JSON array: heads, bodies and headers."""
    for _, text in _contents_in(connection, scopes):
        yield text
    query = f"SELECT answer_head, error FROM exchanges WHERE {_IN_SCOPES}"  # noqa: S608 - constants
    for head, error in connection.execute(query, (scopes,)):
        yield _text(head)
        yield error.encode()


def _contents_in(connection: Connection, scopes: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the contents of exchanges of scopes, each with its digest."""
    named = " UNION ".join(
        f"SELECT {part} FROM exchanges WHERE {_IN_SCOPES.replace('?', '?1')}"  # noqa: S608 - constants
        for part in _PARTS
    )
    for digest, data in connection.execute(
        f"SELECT digest, data FROM exchange_contents WHERE digest IN ({named})",  # noqa: S608 - constants
        (scopes,),
    ):
        yield bytes(digest), _text(data)


def erase_attempts(
    connection: Connection, user: str, scopes: str, deliveries: Collection[int]
) -> int:
    """Delete in scopes what exchanges have of a user; returns how many requests that concerns.

    ``deliveries`` are the user's. A request that carried deliveries of others as well stays for
    these, without its URL, headers and bodies: anything of the user may be in them. ``scopes`` is a
    JSON array.
    """
    found = _concerning(connection, user, scopes)
    for number, users in found:
        _blank(connection, number, users)
    _delete_of_deliveries(connection, deliveries)
    # Whose deliveries are gone from the ledger cannot be told from those of others.
    rows = connection.execute(
        "SELECT DISTINCT delivery FROM attempts WHERE exchange IN (SELECT value FROM json_each(?))",
        (array_of(number for number, _ in found),),
    ).fetchall()
    _delete_of_deliveries(connection, _gone(connection, [one for (one,) in rows]))
    return len(found)


def count_requests(database: Database, user: str, scopes: Sequence[int]) -> int:
    """Return how many kept requests in scopes have something of a user."""
    ids = json.dumps(list(scopes))
    return database.at_once(lambda connection: len(_concerning(connection, user, ids)))


def _concerning(
    connection: Connection, user: str, scopes: str
) -> Sequence[tuple[int, Sequence[str]]]:
    """Return the exchanges that have something of a user, each with whose else they are."""
    mentions = Mentions(user)
    named = {digest for digest, text in _contents_in(connection, scopes) if mentions.is_in(text)}
    found: list[tuple[int, list[str]]] = []
    for number, users, head, error, *digests in connection.execute(
        f"SELECT id, users, answer_head, error, {', '.join(_PARTS)}"  # noqa: S608 - constants
        f" FROM exchanges WHERE {_IN_SCOPES} ORDER BY id",
        (scopes,),
    ).fetchall():
        carried = _users(users)
        if (
            user in carried
            or any(one is not None and bytes(one) in named for one in digests)
            or any(mentions.is_in(text) for text in (_text(head), error, *carried))
        ):
            left = [one for one in carried if one != user and not mentions.is_in(one)]
            found.append((number, left))
    return found


def _blank(connection: Connection, number: int, users: Sequence[str]) -> None:
    """Take out of an exchange all that may say something of a user; ``users`` are the others."""
    query = "SELECT size, users, answer_head, error, head, request_body, answer_body"
    before = connection.execute(f"{query} FROM exchanges WHERE id = ?", (number,)).fetchone()
    size, former, head, error, *digests = before
    left = zlib.compress(json.dumps(list(users)).encode())
    less = len(former) + len(head) + len(error) - len(left)
    connection.execute(
        "UPDATE exchanges SET erased = 1, users = ?, answer_head = ?, error = '', head = NULL,"
        " request_body = NULL, answer_body = NULL, size = ? WHERE id = ?",
        (left, b"", size - less, number),
    )
    _deleted(connection, less, digests)


def _gone(connection: Connection, deliveries: Collection[int]) -> Sequence[int]:
    """Return those deliveries that are in no table any more."""
    if not deliveries:
        return ()
    return [one for (one,) in connection.execute(_GONE, (array_of(deliveries),))]


def _users(data: bytes) -> list[str]:
    found: list[str] = json.loads(_text(data))
    return found


def _text(data: bytes | None) -> bytes:
    return zlib.decompress(data) if data else b""


# -- reading ---------------------------------------------------------------------------------------


class StoredAttempts:
    """The attempts that a store keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, delivery_id: int) -> Sequence[Attempt]:
        """Return the kept attempts of a delivery, in the order in which they were made.

        Raises `UsageError` if the store cannot be read.
        """
        return [_attempt(row) for row in self._database.all(_OF_DELIVERY, (delivery_id,))]

    @property
    def bytes(self) -> int:
        """About what all of them take."""
        row = self._database.one("SELECT coalesce(sum(bytes), 0) FROM exchange_bytes")
        return 0 if row is None else int(row[0])

    def prune(
        self, now: float, policy: AttemptPolicy | None, more: Callable[[], bool] = lambda: True
    ) -> int:
        """Delete what is too old, or too much; all of it without a policy. Returns how many.

        A little at a time; before each part, ``more`` is asked whether there is time for it. What
        is counted are requests; ``now`` is in seconds since 1970.
        """
        ends = {"failed": now + 1, "delivered": now + 1}
        if policy is not None:
            ends = {"failed": now - policy.failed, "delivered": now - policy.delivered}
        deleted = 0
        for failed, end in ((0, ends["delivered"]), (1, ends["failed"])):
            query = "SELECT id FROM exchanges WHERE failed = ? AND at < ? ORDER BY at LIMIT ?"
            deleted += self._delete_found(query, (failed, round(end * 1000), _CHUNK), more)
        if policy is None:  # also what a clock that was wrong put in the future
            deleted += self._delete_found("SELECT id FROM exchanges LIMIT ?", (_CHUNK,), more)
        self._delete_strays(more)
        if policy is not None:
            while more() and self.cut(policy.max_bytes):
                pass
        self._add_up()
        return deleted

    def cut(self, most: int) -> bool:
        """Delete some of the oldest if all take more than ``most`` bytes; whether it did.

        A little more than that goes, so that it is not to be done again at once. Raises as
        `Database.transaction`.
        """
        if self.bytes <= most:
            return False
        most -= most // 32
        rows = self._database.all("SELECT id FROM exchanges ORDER BY id LIMIT ?", (_CHUNK,))
        with self._database.transaction() as connection:
            (over,) = connection.execute("SELECT sum(bytes) FROM exchange_bytes").fetchone()
            for at in range(0, len(rows), _CHUNK // 10):
                if over <= most:
                    break
                _delete(connection, [number for (number,) in rows[at : at + _CHUNK // 10]])
                (over,) = connection.execute("SELECT sum(bytes) FROM exchange_bytes").fetchone()
        return bool(rows)

    def _delete_found(self, query: str, values: Sequence[object], more: Callable[[], bool]) -> int:
        """Delete the exchanges that a query finds, until it finds none."""
        deleted = 0
        while more():
            ids = [number for (number,) in self._database.all(query, values)]
            if not ids:
                break
            with self._database.transaction() as connection:
                _delete(connection, ids)
            deleted += len(ids)
        return deleted

    def _delete_strays(self, more: Callable[[], bool]) -> None:
        """Delete the attempts of deliveries that were deleted."""
        last = 0
        while more():
            rows = self._database.all(
                "SELECT DISTINCT delivery FROM attempts WHERE delivery > ?"
                " ORDER BY delivery LIMIT ?",
                (last, _CHUNK),
            )
            if not rows:
                break
            last = rows[-1][0]
            ids = [one for (one,) in rows]
            gone = self._database.at_once(partial(_gone, deliveries=ids))
            if gone:
                with self._database.transaction() as connection:
                    _delete_of_deliveries(connection, _gone(connection, gone))

    def _add_up(self) -> None:
        """Put one number in place of those that were noted."""
        row = self._database.one("SELECT count(*) FROM exchange_bytes")
        if row is not None and row[0] > 1:
            with self._database.transaction() as connection:
                (total,) = connection.execute("SELECT sum(bytes) FROM exchange_bytes").fetchone()
                connection.execute("DELETE FROM exchange_bytes")
                connection.execute(_ADD_BYTES, (total,))


def _attempt(row: Sequence[Any]) -> Attempt:
    (
        number, at, took, kind, request, method, status, error, carried, head, request_body,
        request_bytes, answer_head, answer_body, answer_bytes, cut, item, error_class, rule,
        outcome, erased, has_no_body,
    ) = row  # fmt: skip
    url, headers, names, *steps = json.loads(_text(head)) if head else ("", {}, None)
    return Attempt(
        number=number,
        at=at / 1000,
        seconds=took / 1000,
        kind=_KINDS[kind],
        request=request,
        method=method,
        url=url,
        request_headers=headers,
        request_body=None if has_no_body else _text(request_body),
        request_bytes=request_bytes,
        status=status,
        answer_headers=json.loads(_text(answer_head)) if answer_head else {},
        answer_body=None if answer_body is None else _text(answer_body),
        answer_bytes=answer_bytes,
        error=error,
        error_class=error_class,
        rule=rule,
        outcome=None if outcome is None else STATUSES[outcome],
        deliveries=carried,
        is_request_cut=bool(cut & _REQUEST_CUT),
        is_answer_cut=bool(cut & _ANSWER_CUT),
        is_erased=bool(erased),
        item=item,
        secret_names=None if names is None else tuple(names),
        step=_step(steps, item),
    )


def _step(steps: Sequence[str | list[str]], item: int) -> str:
    """Return the step of an item, of what a head says last: its name, or those of all items."""
    if not steps:
        return ""
    (given,) = steps
    if isinstance(given, str):
        return given
    return given[item] if item < len(given) else ""
