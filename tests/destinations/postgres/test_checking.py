"""``serve --check`` finds what ``serve`` would refuse of a database, and says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from destinations.operations import move_store, noting_seen
from destinations.postgres import PostgresAddress, open_at
from tests.postgres_server import copy_of, new_store_address, shared_server
from tests.serving import store_spec

Run = Callable[..., Any]


@pytest.fixture
def address() -> PostgresAddress:
    """An empty store."""
    return new_store_address()


@pytest.fixture
def serve(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call ``destinations serve`` for a store."""
    monkeypatch.setenv("KEY", "prv_test_key")

    def call(address: PostgresAddress, *options: str) -> Any:
        path = tmp_path / "serve.yaml"
        path.write_text(
            f"store: {store_spec(address)}\n"
            "destinations: [{name: kana, destination: kana, settings: {apiKey: {env: KEY}}}]\n"
        )
        return command("serve", "--config", path, *options)

    return call


def _refused(serve: Run, address: PostgresAddress, why: str) -> None:
    for options in ((), ("--check",)):
        done = serve(address, *options)
        assert (done.code, why in done.err) == (2, True), done.err


def test_what_is_right(serve: Run, address: PostgresAddress) -> None:
    """It can be used; what is missing for events to outlive the machine is a warning."""
    done = serve(address, "--check")
    assert (done.code, "can be used: kana" in done.out) == (0, True), done.err
    assert "synchronous_standby_names is empty" in done.err


def test_a_database_that_was_put_back(serve: Run, address: PostgresAddress) -> None:
    """It is behind what was noted on this machine."""
    copy = copy_of(address)
    with open_at(address) as store, noting_seen(store):
        store.note({"something": 1})
    _refused(serve, copy, "was put back to an earlier point in time")


def test_a_store_that_was_moved(serve: Run, address: PostgresAddress, tmp_path: Path) -> None:
    """What is in it by now is somewhere else."""
    move_store(address, tmp_path / "moved.sqlite3")
    _refused(serve, address, "was moved to")


@pytest.fixture
def user() -> Iterator[str]:
    """A role of its own."""
    name = f"r{uuid4().hex[:12]}"
    with psycopg.connect(shared_server().url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        yield name
        connection.execute(f"DROP ROLE {name}".encode())


def test_tables_of_another_user(serve: Run, address: PostgresAddress, user: str) -> None:
    """To read and write them is not enough: a server adds parts to tables."""
    with psycopg.connect(address.url, autocommit=True) as connection:
        for what in (
            "USAGE, CREATE ON SCHEMA destinations",
            "ALL ON ALL TABLES IN SCHEMA destinations",
            "ALL ON ALL SEQUENCES IN SCHEMA destinations",
        ):
            connection.execute(f"GRANT {what} TO {user}".encode())
    other = PostgresAddress.parse(address.url.replace("postgres@", f"{user}@"))
    done = serve(other, "--check")
    assert done.code == 2
    assert "does not own the table" in done.err
    assert "grant postgres to this one" in done.err
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute(f"GRANT postgres TO {user}".encode())
        assert serve(other, "--check").code == 0
        connection.execute(f"DROP OWNED BY {user}".encode())
