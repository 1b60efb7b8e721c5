from __future__ import annotations

import json
import sqlite3

import pytest

from destinations.outcome import Outcome, Result
from destinations.postgres.database import PostgresDatabase
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteDatabase
from destinations.store import interning as module
from destinations.store.connection import Database
from destinations.store.interning import Names

KEY = SubscriptionKey("Counts", "count")


@pytest.mark.parametrize("text", ["a", "ü \0 '", '["x", 1]', "x" * 100_000, "😀"])
def test_a_text_has_one_number(database: Database, text: str) -> None:
    """Whoever asks, and however often; and the number leads back to it."""
    names = Names(database)
    with database.transaction() as connection:
        number = names.text(connection, text)
        assert names.text(connection, text) == number > 0
    names.keep()
    again = Names(database)
    assert (names.text_of(number), again.text_of(number)) == (text, text)
    with database.transaction() as connection:
        assert again.text(connection, text) == number
    assert database.one("SELECT count(*) FROM texts") == (1,)


def test_no_text(database: Database) -> None:
    """Nothing is noted for it, and 0 stands for it; a number that is not there is none either."""
    names = Names(database)
    with database.transaction() as connection:
        assert names.text(connection, "") == 0
    assert (names.text_of(0), names.text_of(99)) == ("", "")
    assert database.one("SELECT count(*) FROM texts") == (0,)


def test_a_subscription_has_one_number(database: Database) -> None:
    """It is known by its name and its action; 0 stands for none."""
    names = Names(database)
    others = [SubscriptionKey("Counts", "other"), SubscriptionKey("Other", "count")]
    with database.transaction() as connection:
        numbers = [names.subscription(connection, key) for key in (KEY, *others, KEY, None)]
    assert len(set(numbers[:3])) == 3
    assert (numbers[3], numbers[4]) == (numbers[0], 0)
    assert [Names(database).key(one) for one in numbers[:3]] == [KEY, *others]
    assert names.key(99) == SubscriptionKey("", "")


def test_reasons(database: Database) -> None:
    """Code, status, stage and reason of a result come back as they were."""
    names = Names(database)
    result = Result(Outcome.REJECTED, "why ü", "BAD_REQUEST", 400)
    with database.transaction() as connection:
        number = names.note(connection, result, "send")
        nothing = names.note(connection, Result(Outcome.DELIVERED), "send")
    assert names.note_of(number) == ("BAD_REQUEST", 400, "send", "why ü")
    assert names.note_of(nothing) == (None, None, "send", "")
    assert names.note_of(0) == (None, None, "", "")
    assert json.loads(names.text_of(number))[3] == "why ü"


def test_what_was_given_in_a_transaction_that_failed(sqlite_database: SqliteDatabase) -> None:
    """Its numbers are forgotten, as they may stand for something else by now."""
    names = Names(sqlite_database)

    def fail() -> None:
        with sqlite_database.transaction() as connection:
            assert names.text(connection, "lost") == 1
            assert names.subscription(connection, KEY) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    names.forget()
    other = Names(sqlite_database)
    with sqlite_database.transaction() as connection:
        assert other.text(connection, "another") == 1
        assert other.subscription(connection, SubscriptionKey("A", "a")) == 1
    with sqlite_database.transaction() as connection:
        assert names.text(connection, "lost") == 2
        assert names.subscription(connection, KEY) == 2
    assert (names.text_of(1), names.key(1)) == ("another", SubscriptionKey("A", "a"))


def test_what_was_given_stays(postgres_database: PostgresDatabase) -> None:
    """Where several processes give numbers, these stay, whatever becomes of the transaction."""
    names, other = Names(postgres_database), Names(postgres_database)

    def fail() -> None:
        with postgres_database.transaction() as connection:
            names.text(connection, "kept")
            names.subscription(connection, KEY)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with postgres_database.transaction() as connection:
        assert other.text(connection, "kept") == names.text(connection, "kept") == 1
        assert other.subscription(connection, KEY) == names.subscription(connection, KEY) == 1
    assert postgres_database.one("SELECT count(*) FROM texts") == (1,)


def test_what_is_remembered_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts there are, only some are held, and all are found."""
    monkeypatch.setattr(module, "_MOST", 10)
    names = Names(database)
    numbers = []
    for start in range(0, 100, 10):
        with database.transaction() as connection:
            numbers += [names.text(connection, f"t{n}") for n in range(start, start + 10)]
        names.keep()
        assert len(names._texts) <= 20
    for number, found in enumerate(numbers):
        assert names.text_of(found) == f"t{number}"
        names.keep()
        assert len(names._text_of) <= 11


def test_a_text_that_cannot_be_written(database: Database) -> None:
    """Half a surrogate pair is no text for SQLite: the error is raised, and nothing is noted."""
    names = Names(database)
    with pytest.raises((UnicodeEncodeError, sqlite3.Error)), database.transaction() as connection:
        names.text(connection, "\ud83d")
    assert database.one("SELECT count(*) FROM texts") == (0,)
