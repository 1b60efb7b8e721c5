"""Sealed secrets: only the right key opens them, only in their row, and no file shows them."""

from __future__ import annotations

import base64
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import UsageError
from destinations.operations import back_up
from destinations.secrets import MASK, Secret, reveal
from destinations.store import (
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    broken_rules,
    make_sealing_key,
    sealing_key_fault,
)
from destinations.store.connection import Connection, Database
from tests.forked import run_forked
from tests.stores import AnyStore, OpenStore, sqlite_only

RAW_OLD, RAW_NEW, RAW_OTHER = (bytes([number]) * 32 for number in (0xF8, 0xFF, 3))
OLD, NEW, OTHER = (
    SealingKey.parse(base64.b64encode(raw).decode()) for raw in (RAW_OLD, RAW_NEW, RAW_OTHER)
)

SECRET = "prv_live_0123456789abcdef"


@pytest.fixture
def old(database: Database) -> SealedValues:
    """The secrets of a store, sealed with the old key."""
    return SealedValues(database, Sealer(OLD))


@pytest.fixture
def rotated(database: Database) -> SealedValues:
    """The same secrets, with a new key that seals and the old one that opens."""
    return SealedValues(database, Sealer(NEW, [OLD]))


def _values(database: Database) -> dict[str, str]:
    return dict(database.all("SELECT name, value FROM sealed"))


# -- keys ------------------------------------------------------------------------------------------

STANDARD = base64.b64encode(RAW_NEW).decode()
URL_SAFE = base64.urlsafe_b64encode(RAW_NEW).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        URL_SAFE,
        STANDARD.rstrip("="),
        URL_SAFE.rstrip("="),
        f"  {STANDARD}\n",
        f"\t{URL_SAFE}\r\n",
        Secret(STANDARD),
    ],
)
def test_forms_of_a_key(text: str) -> None:
    """Base64 in both alphabets, with or without its padding, whatever white space is around it."""
    assert STANDARD != URL_SAFE
    assert SealingKey.parse(text) == NEW
    assert sealing_key_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a-secret-of-mine",
        "a secret of mine",
        STANDARD[:-4],
        STANDARD + "AAAA",
        f"{STANDARD}\n{STANDARD}",
        f"{STANDARD[:20]} {STANDARD[20:]}",
        f"{STANDARD[:20]}={STANDARD[20:]}",
        RAW_OLD.hex(),
        STANDARD[:42] + "9=",
        "ä" * 43,
        "\udc00" * 43,
        base64.b64encode(b"x" * 31).decode(),
        base64.b64encode(b"x" * 33).decode(),
    ],
)
def test_what_is_not_a_key(text: str) -> None:
    """The error says what is expected, and never shows a part of what was given."""
    with pytest.raises(UsageError) as caught:
        SealingKey.parse(text)
    shown = str(caught.value)
    assert shown == (
        "invalid sealing key: expected 32 bytes as Base64, which are 44 characters; "
        "destinations store new-key makes a key"
    )
    assert sealing_key_fault(text) == f"is not a sealing key: {shown.partition(': ')[2]}"


def test_the_id_of_a_key() -> None:
    """It is public and the same everywhere: 8 digits of the digest; nothing else is printed."""
    assert NEW.id == sha256(RAW_NEW).hexdigest()[:8]
    assert len({OLD.id, NEW.id, OTHER.id}) == 3
    assert repr(NEW) == str(NEW) == f"SealingKey(id='{NEW.id}')"


def test_a_new_key() -> None:
    """It can be parsed, is printed masked, and is another one each time."""
    one, two = make_sealing_key(), make_sealing_key()
    assert (len(one), str(one)) == (44, MASK)
    assert SealingKey.parse(one) != SealingKey.parse(two)


def test_two_keys_of_one_id() -> None:
    """They are refused, as a value would not say which of them it needs; one key twice is not."""
    twin = SealingKey(OLD.id, RAW_NEW)
    with pytest.raises(UsageError, match=f"two sealing keys have the id {OLD.id}: replace one"):
        Sealer(OLD, [twin])
    assert Sealer(OLD, [OLD, NEW]).key_ids == {OLD.id, NEW.id}


# -- seal and open ---------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(text=ANY_TEXT, row=ANY_TEXT)
def test_what_is_sealed_can_be_opened(text: str, row: str) -> None:
    """Any text of any row comes back as a secret, by its key whether it seals or only opens."""
    sealed = Sealer(OLD).seal(text, row=row)
    for sealer in (Sealer(OLD), Sealer(NEW, [OTHER, OLD])):
        opened = sealer.open(sealed, row=row)
        assert isinstance(opened, Secret)
        assert opened.reveal() == text
    assert sealed.isascii()
    assert sealed.isprintable()


def test_a_value_is_another_one_each_time() -> None:
    """Equal secrets cannot be told by their sealed values; a `Secret` is sealed by its value."""
    sealer = Sealer(OLD)
    values = [sealer.seal(text, row="a") for text in (SECRET, SECRET, Secret(SECRET))]
    assert len(set(values)) == 3
    assert {sealer.open(value, row="a").reveal() for value in values} == {SECRET}


def test_what_is_current() -> None:
    """Only what the current key has sealed is."""
    before, after = Sealer(OLD).seal("x", row="a"), Sealer(NEW).seal("x", row="a")
    rotated = Sealer(NEW, [OLD])
    assert [rotated.is_current(one) for one in (before, after, "", SECRET)] == [
        False,
        True,
        False,
        False,
    ]


SEALED = "v1:7871e4b3:XI36jAALkvgxLwVQvwVPUTc+/ld5cAj4eefUSlEGBePTxKhsmkEPipNIGoChuCpvnVlTMX4="
"""The secret, sealed by an earlier process with the old key for the row customers/1."""

CHANGED = "cannot open customers/1: its value was changed, or belongs to another row"


def _flipped(at: int) -> str:
    """The sealed value with one bit of the sealed bytes changed."""
    head, _, text = SEALED.rpartition(":")
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return f"{head}:{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("value", "row", "message"),
    [
        (SEALED, "customers/2", CHANGED.replace("/1", "/2")),
        (SEALED, "", "cannot open : its value was changed"),
        *((_flipped(at), "customers/1", CHANGED) for at in (0, 11, 12, 20, -17, -1)),
        (SEALED[:-4], "customers/1", CHANGED),
        (SEALED + "AAAA", "customers/1", CHANGED),
        (SEALED + "=", "customers/1", CHANGED),
        (SEALED[:16], "customers/1", CHANGED),
        (SEALED.rpartition(":")[0] + ":", "customers/1", CHANGED),
        (f"v1:{OLD.id}:AAAA", "customers/1", CHANGED),
        (SEALED.replace(OLD.id, NEW.id), "customers/1", CHANGED),
        ("", "customers/1", CHANGED),
        (SECRET, "customers/1", CHANGED),
        (
            SEALED.replace(OLD.id, OTHER.id),
            "customers/1",
            f"cannot open customers/1: it needs the sealing key {OTHER.id}, which is missing",
        ),
        (
            SEALED.replace("v1:", "v2:"),
            "customers/1",
            "cannot open customers/1: a newer version of this package sealed it; update the",
        ),
    ],
)
def test_what_does_not_open(value: str, row: str, message: str) -> None:
    """A value of another row, a changed one, and one of a missing key; none shows the secret."""
    with pytest.raises(UsageError) as caught:
        Sealer(NEW, [OLD]).open(value, row=row)
    assert str(caught.value).startswith(message)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_an_earlier_version_has_sealed() -> None:
    """Its form stays, since it is in stores and their backups."""
    assert Sealer(NEW, [OLD]).open(SEALED, row="customers/1").reveal() == SECRET


def test_every_character_of_a_value_counts() -> None:
    """No other character in any place gives a value that opens."""
    sealer = Sealer(OLD, [NEW])
    for at, character in enumerate(SEALED):
        for other in {"A", "B", "0", "1", "a", "/"} - {character}:
            with pytest.raises(UsageError, match="cannot open"):
                sealer.open(f"{SEALED[:at]}{other}{SEALED[at + 1 :]}", row="customers/1")


# -- in a store ------------------------------------------------------------------------------------


def test_secrets_by_their_names(old: SealedValues) -> None:
    """A secret is kept until it is replaced or removed; names are found by their beginning."""
    for name, text in {"b/1": "one", "b/2": "", "a/1": SECRET, "B/1": "x", "b%": "y"}.items():
        old.set(name, text)
    old.set("b/1", "another one")
    assert [reveal(old.get(name) or "") for name in ("b/1", "b/2", "a/1")] == [
        "another one",
        "",
        SECRET,
    ]
    assert old.names() == ["B/1", "a/1", "b%", "b/1", "b/2"]
    assert old.names("b/") == ["b/1", "b/2"]
    assert (old.names("b%"), old.names("b_"), old.names("c")) == (["b%"], [], [])
    assert (old.remove("b/1"), old.remove("b/1")) == (True, False)
    assert old.get("b/1") is None


def test_a_change_belongs_to_the_transaction_that_it_is_made_in(
    database: Database, old: SealedValues
) -> None:
    """It is kept with everything else in the transaction, or not at all."""
    old.set("kept", "before")
    with contextlib.suppress(ZeroDivisionError), database.transaction() as connection:
        old.set("kept", "after", connection)
        old.set("new", "x", connection)
        assert old.remove("kept", connection)
        raise ZeroDivisionError
    assert old.names() == ["kept"]
    assert reveal(old.get("kept") or "") == "before"
    with database.transaction() as connection:
        old.set("new", "x", connection)
        assert old.remove("kept", connection)
    assert old.names() == ["new"]


def test_a_value_that_was_copied_to_another_row(database: Database, old: SealedValues) -> None:
    """Whoever can write to the file cannot give one customer's secret to another."""
    old.set("one", SECRET)
    old.set("two", "x")
    with database.transaction() as connection:
        connection.execute(
            "UPDATE sealed SET value = (SELECT value FROM sealed WHERE name = 'one')"
        )
    assert reveal(old.get("one") or "") == SECRET
    with pytest.raises(UsageError, match="cannot open sealed/two: its value was changed"):
        old.get("two")


@pytest.mark.parametrize("sealer", [None, Sealer(NEW)])
def test_a_key_that_is_missing(
    database: Database, old: SealedValues, sealer: Sealer | None
) -> None:
    """One sentence names the keys; values stay, and can be read once their key is back."""
    old.set("a", SECRET)
    before = _values(database)
    without = SealedValues(database, sealer)
    message = (
        f"1 sealed value of the store {database.shown} needs the key {OLD.id} (1), which the "
        "configuration lacks: add it to sealing.formerKeys"
    )
    for refused in (without.check, without.reseal):
        with pytest.raises(UsageError) as caught:
            refused()
        assert str(caught.value) == message
    with pytest.raises(UsageError, match="sealing key"):
        without.get("a")
    assert without.names() == ["a"]
    assert _values(database) == before
    old.check()
    assert reveal(old.get("a") or "") == SECRET
    assert without.remove("a")
    without.check()


def test_several_keys_that_are_missing(database: Database, old: SealedValues) -> None:
    """Each is named, with the number of its values."""
    for name in ("a", "b"):
        old.set(name, "x")
    SealedValues(database, Sealer(OTHER)).set("c", "x")
    counts = ", ".join(f"{key} ({n})" for key, n in sorted([(OLD.id, 2), (OTHER.id, 1)]))
    with pytest.raises(UsageError) as caught:
        SealedValues(database, Sealer(NEW)).check()
    assert f"3 sealed values of the store {database.shown} need the keys {counts}, which" in str(
        caught.value
    )
    assert str(caught.value).endswith("lacks: add them to sealing.formerKeys")


def test_a_store_is_used_without_keys(
    store: AnyStore, open_store: OpenStore, old: SealedValues
) -> None:
    """Its rules are checked and it is read, whatever is sealed in it."""
    old.set("a", SECRET)
    assert broken_rules(store.database) == []
    with open_store(read_only=True) as reader:
        assert broken_rules(reader.database) == []
        assert SealedValues(reader.database, None).names() == ["a"]


# -- files -----------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.iterdir():
        yield path.name, path.read_bytes()


@sqlite_only
def test_no_file_shows_a_secret(tmp_path: Path, store: AnyStore, old: SealedValues) -> None:
    """Neither the file, its log and index, nor a backup has a part of it, or of a key."""
    assert isinstance(store, SqliteStore)
    texts = [f"{SECRET}{number}" for number in range(50)]
    for number, text in enumerate(texts):
        old.set(f"customer {number:02d}", text)
        old.set(f"customer {number:02d}", text)
    SealedValues(store.database, Sealer(NEW, [OLD])).reseal()
    assert back_up(store.path, tmp_path / "copy.sqlite3") > 0
    names = {
        "store.sqlite3",
        "store.sqlite3-wal",
        "store.sqlite3-shm",
        "copy.sqlite3",
    }
    found = dict(_files(tmp_path))
    assert found.keys() >= names
    assert any(b"customer 07" in data for data in found.values())
    traces = [SECRET[at : at + 8].encode() for at in range(len(SECRET) - 7)]
    for raw in (RAW_OLD, RAW_NEW):
        traces += [raw, base64.b64encode(raw)[:16], raw.hex().encode()]
    shown = [(name, trace) for name, data in found.items() for trace in traces if trace in data]
    assert shown == []
    copy = SealedValues(
        SqliteStore(tmp_path / "copy.sqlite3", read_only=True).database, Sealer(NEW)
    )
    assert [reveal(copy.get(name) or "") for name in copy.names()] == texts


# -- another key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 7, 500])
def test_sealing_anew(
    database: Database, old: SealedValues, rotated: SealedValues, batch: int
) -> None:
    """All that the former key has sealed needs only the new one then; the rest stays as it is."""
    for number in range(7):
        old.set(f"n{number}", f"secret {number}")
    rotated.set("n3", "changed")
    before = _values(database)
    assert rotated.reseal(batch) == 6
    after = _values(database)
    assert [name for name in before if before[name] == after[name]] == ["n3"]
    alone = SealedValues(database, Sealer(NEW))
    alone.check()
    assert [reveal(alone.get(f"n{number}") or "") for number in range(7)] == [
        "changed" if number == 3 else f"secret {number}" for number in range(7)
    ]
    assert rotated.reseal(batch) == 0


def test_sealing_anew_takes_short_transactions(
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    old: SealedValues,
    rotated: SealedValues,
) -> None:
    """Each is of a batch, so that a server is not held up; the last does not write for nothing."""
    for number in range(7):
        old.set(f"n{number}", "x")
    left: list[int] = []

    @contextlib.contextmanager
    def counted(self: Database) -> Iterator[Connection]:
        with real(self) as connection:
            yield connection
        left.append(sum(not rotated_value for rotated_value in _is_new(database)))

    real = type(database).transaction
    monkeypatch.setattr(type(database), "transaction", counted)
    assert rotated.reseal(batch=3) == 7
    assert left == [4, 1, 0]


def _is_new(database: Database) -> Sequence[bool]:
    return [Sealer(NEW).is_current(value) for value in _values(database).values()]


def test_a_change_while_it_is_sealed_anew(
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    old: SealedValues,
    rotated: SealedValues,
) -> None:
    """A value that somebody sets or removes in between is not overwritten with what was there."""
    for name in ("set", "removed", "same"):
        old.set(name, "before")
    real = Sealer.seal
    turns = iter(range(10))

    def slow(self: Sealer, text: str, *, row: str) -> str:
        if next(turns) == 0:
            old.set("set", "after")
            assert old.remove("removed")
        return real(self, text, row=row)

    with monkeypatch.context() as patched:
        patched.setattr(Sealer, "seal", slow)
        assert rotated.reseal() == 2
    assert {name: reveal(rotated.get(name) or "") for name in rotated.names()} == {
        "same": "before",
        "set": "after",
    }
    assert _is_new(database) == [True, True]


def test_a_damaged_value_stops_it(
    database: Database, old: SealedValues, rotated: SealedValues
) -> None:
    """It is named, and as long as it is there the former key is not done with."""
    for name in ("a", "b", "c"):
        old.set(name, "x")
    with database.transaction() as connection:
        connection.execute("UPDATE sealed SET value = value || 'AAAA' WHERE name = 'b'")
    with pytest.raises(UsageError, match="cannot open sealed/b: its value was changed"):
        rotated.reseal(batch=1)
    assert [reveal(rotated.get(name) or "") for name in ("a", "c")] == ["x", "x"]
    assert rotated.remove("b")
    assert rotated.reseal(batch=1) == 1


KILLED = """
import contextlib, os, signal, sys
from pathlib import Path
from destinations.store import SqliteDatabase, SealedValues, Sealer, SealingKey

path, point, number, old, new = sys.argv[1:]
left = int(number)
real = SqliteDatabase.transaction

def at(here):
    global left
    left -= here == point
    if here == point and not left:
        os.kill(os.getpid(), signal.SIGKILL)

@contextlib.contextmanager
def transaction(self):
    at("before")
    with real(self) as connection:
        yield connection
        at("within")
    at("after")

database = SqliteDatabase(Path(path))
SqliteDatabase.transaction = transaction
keys = SealingKey.parse(new), [SealingKey.parse(old)]
SealedValues(database, Sealer(*keys)).reseal(batch=3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(
    ("point", "number", "resealed"),
    [
        ("before", 1, 0),
        ("within", 1, 0),
        ("after", 1, 3),
        ("before", 2, 3),
        ("within", 2, 3),
        ("after", 2, 6),
        ("within", 3, 6),
        ("after", 3, 8),
    ],
)
def test_killed_while_sealing_anew(tmp_path: Path, point: str, number: int, resealed: int) -> None:
    """Every row is then readable, as it was or sealed anew, and a repeat does what is left."""
    path = tmp_path / "killed.sqlite3"
    texts = {f"n{at}": f"secret {at}" for at in range(8)}
    with SqliteStore(path) as store:
        old = SealedValues(store.database, Sealer(OLD))
        for name, text in texts.items():
            old.set(name, text)
    keys = [base64.b64encode(raw).decode() for raw in (RAW_OLD, RAW_NEW)]
    program = tmp_path / "killed.py"
    program.write_text(KILLED, encoding="utf-8")
    done = run_forked(
        [sys.executable, "-P", str(program), str(path), point, str(number), *keys], check=False
    )
    assert done.returncode == -signal.SIGKILL
    with SqliteStore(path) as store:
        assert sum(_is_new(store.database)) == resealed
        rotated = SealedValues(store.database, Sealer(NEW, [OLD]))
        assert {name: reveal(rotated.get(name) or "") for name in rotated.names()} == texts
        assert rotated.reseal(batch=3) == len(texts) - resealed
        alone = SealedValues(store.database, Sealer(NEW))
        assert {name: reveal(alone.get(name) or "") for name in alone.names()} == texts
        assert broken_rules(store.database) == []
