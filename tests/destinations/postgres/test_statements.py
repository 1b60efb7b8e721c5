"""What the statements of a server cost, however large its tables are."""

from __future__ import annotations

import ast
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from destinations.pipeline.ledger import Selection
from tests.destinations.postgres.cluster import Cluster, Member
from tests.destinations.postgres.test_cluster import event
from tests.postgres_server import new_store_address

ROUNDS = 15
EVENTS = 200
LARGE = ("open", "events", "messages", "ledger_1")


def _read(cluster: Cluster, is_complete: Callable[[dict[str, tuple[int, int]]], bool]) -> int:
    """Return how many rows were read by reading all of a large table.

    The server notes it a moment after a connection is closed.
    """
    with psycopg.connect(cluster.address.url, autocommit=True) as connection:
        give_up = time.monotonic() + 20.0
        while True:
            rows = connection.execute(
                "SELECT relname, n_tup_ins, seq_tup_read FROM pg_stat_user_tables"
                " WHERE relname = ANY(%s)",
                (list(LARGE),),
            ).fetchall()
            found = {name: (written, read) for name, written, read in rows}
            if is_complete(found):
                return sum(read for _, read in found.values())
            assert time.monotonic() < give_up, found
            time.sleep(0.01)


def _look_up(member: Member) -> None:
    """Read a few of what waits, as a server does for those who ask and for what it sends."""
    user = Selection(user="u0")
    ids = [one.id for one in itertools.islice(member.store.ledger().find(user), 5)]
    deliveries = member.queue.source(member.scope).get(ids)
    member.queue.raw_events(deliveries)
    member.queue.history(member.scope, [f"u{number}-1" for number in range(5)])


@pytest.mark.parametrize("members", [1, 2])
def test_no_table_is_read_as_a_whole(cluster: Cluster, members: int) -> None:
    """Statements are planned while the tables are empty, where an index seems to gain nothing."""
    cluster.address = new_store_address(may_be_used=False)  # what was read is counted from now on
    first, *_ = [cluster.join(f"member {number}") for number in range(members)]
    cluster.even()
    first.accept(event("u0", 0))
    _look_up(first)
    cluster.run(1.0, 4)
    total = 1
    for number in range(ROUNDS):
        total += EVENTS
        first.accept(*(event(f"u{one}", number + 1) for one in range(EVENTS)))
        if number % 2:
            cluster.run(0.2, 2)
        _look_up(first)
    for _ in range(40):
        if len(cluster.partner.sent) < total:
            cluster.run(1.0, 20)
    assert len(cluster.partner.sent) == total
    while cluster.members:
        cluster.members[0].leave()
    read = _read(cluster, lambda found: all(written >= total for written, _ in found.values()))
    assert read < total


# -- older servers -----------------------------------------------------------------------------

ROOT = Path(__file__).parents[3] / "destinations"
SQLITE_ALONE = {"move_to_4.py", "migrations.py"}


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "x" for one in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _unnamed(text: str) -> Iterator[str]:
    """Yield what follows on queries in ``FROM`` that have no name."""
    for found in re.finditer(r"\b(?:FROM|JOIN)\s+\((?=SELECT|x\))", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if not depth and not re.match(r"\s+AS [a-z_]+", text[end:]):
            yield text[found.start() : end + 20]


def test_older_servers_understand_them() -> None:
    """Before version 16 of PostgreSQL, a query in ``FROM`` needs a name."""
    assert list(_unnamed("SELECT 1 FROM (SELECT (2)) WHERE true")) != []
    assert list(_unnamed("SELECT 1 FROM (SELECT (2)) AS one")) == []
    paths = [
        path
        for room in ("store", "operations", "postgres")
        for path in sorted((ROOT / room).glob("*.py"))
        if path.name not in SQLITE_ALONE
    ]
    assert len(paths) > 50
    found = [one for path in paths for text in _texts(path) for one in _unnamed(text)]
    assert [one for one in found if not one.startswith(("FROM (x) TO", "FROM (MIN"))] == []
