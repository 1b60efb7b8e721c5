"""Each command does the same with a file and with a database; only the place is another one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import Periods, note_server
from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress, open_at
from destinations.postgres.store import PostgresStore
from destinations.store import RefusedEvent, SqliteStore, Tenant, broken_rules
from tests.postgres_server import new_store_address
from tests.serving import delivering, store_spec

Command = Callable[..., Any]

GOOD = {"type": "track", "event": "Report Exported", "userId": "ann", "properties": {"by": 2}}

# What is shown of a store that is another one: its place, engine and size, and its random ids.
VARIES = (
    (re.compile(r"[\d.,]+ MiB, (SQLite|PostgreSQL) [\d.]+"), "SIZE, ENGINE"),
    (re.compile(r'"engine": "(SQLite|PostgreSQL) [\d.]+"'), '"engine": "ENGINE"'),
    (re.compile(r'"size": \d+'), '"size": SIZE'),
    (re.compile(r'"workers": (null|\[\])'), '"workers": NOBODY'),
    (re.compile(r'"(oldest|next_retry)": [\d.]+'), r'"\1": AGE'),
    (re.compile(r"oldest waits for .*"), "oldest waits for AGE"),
    (re.compile(r"paused (since|at) \S+"), r"paused \1 NOW"),
    (re.compile(r'"paused_at": [\d.]+'), '"paused_at": NOW'),
    (re.compile(r"[\d,]+ bytes before, [\d,]+ now"), "SIZE before, SIZE now"),
    (re.compile(r'"settled_at": 1[\d.]+'), '"settled_at": NOW'),
    (re.compile(r"  +|--+"), " "),  # the width of columns follows the place
)
OF_A_FILE = "backups and other copies made before. If a backup is restored here, the user is erased"
OF_A_DATABASE = (
    "backups and other copies made before. If the database is put back to an earlier time, "
)
AGAIN = "destinations store restore --in-place erases the user again where this command ran"


@dataclass
class Kind:
    """A store of one kind, and how what is printed of it is compared with the other one."""

    address: StoreAddress
    tenants: list[Tenant]

    def shown(self, text: str) -> str:
        """Return what a command printed, without what differs."""
        places = [str(self.address)]
        if isinstance(self.address, Path):
            places.insert(0, str(self.address.resolve()))
        for place in places:
            text = text.replace(place, "STORE")
        for number, one in enumerate(self.tenants):
            text = text.replace(one.id, f"TENANT{number}")
        for pattern, words in VARIES:
            text = pattern.sub(words, text)
        return text


def _fill(
    address: StoreAddress, add_delivery: Callable[..., int], add_tenant: Callable[..., Tenant]
) -> list[Tenant]:
    """Put deliveries of all kinds into a store, and what else it has; returns its tenants."""
    with open_at(address) as store:

        def add(raw: Any = None, **columns: Any) -> None:
            found = add_delivery(store, raw or GOOD, **{"user": "ann", **columns})
            if isinstance(store, PostgresStore):  # where each process takes several at a time
                with store.database.transaction() as connection:
                    connection.execute("SELECT setval('event_ids', ?)", (found // 1_000,))

        dead = {"code": "SERVICE_UNAVAILABLE", "http_status": 503, "reason": "away", "attempts": 3}
        add(message_id="a")
        add(message_id="b", status=Outcome.DEAD, **dead)
        add(message_id="c", status=Outcome.DELIVERED)
        add(
            message_id="d",
            status=State.HELD,
            attempts=1,
            increment=Increment("ann calls", 5),
            evidence={"expected": 12, "found": 9},
            user="bob",
        )
        add(message_id="e", status=State.UNKNOWN, attempts=1, user="bob", next_at=5_000.0)
        add(message_id="f", status=Outcome.DEAD, destination="kana", slug="kana", **dead)
        unmapped = {"status": Outcome.UNMAPPED, "stage": "plan", "reason": "no rule"}
        add(message_id="g", destination="kana", slug="kana", served=False, **unmapped)
        # A process that was killed has left it.
        add(message_id="h", sending=True, user="eve")
        scope = store.accounts().of_slug("sample")[0].id
        event = RefusedEvent(
            *(scope, 1_700_000_000.0, 400, "BAD_REQUEST", "is not JSON"),
            path="/v1/sample",
            raw=b"[",
            length=1,
            peer="192.0.2.1",
        )
        store.refused().add([event], 100, 1_000_000)
        note_server(store, ["sample"], Periods())
        return [add_tenant(store, f"key-{name}") for name in "ab"]


@pytest.fixture
def kinds(
    tmp_path: Path, add_delivery: Callable[..., int], add_tenant: Callable[..., Tenant]
) -> Iterator[list[Kind]]:
    """The same in a file and in a database; afterwards every rule must hold in both."""
    file = tmp_path / "store.sqlite3"
    SqliteStore(file).close()
    found = [
        Kind(address, _fill(address, add_delivery, add_tenant))
        for address in (file, new_store_address())
    ]
    yield found
    for kind in found:
        with open_at(kind.address, read_only=True) as store:
            assert broken_rules(store.database) == []


def _same(command: Command, kinds: list[Kind], line: str) -> list[Any]:
    """Run a command with both stores; what it prints must be the same, and so its exit code."""
    done = []
    for kind in kinds:
        words = [one.replace("TENANT", kind.tenants[0].id) for one in shlex.split(line)]
        done.append(command(*words, "--store", kind.address))
    of_file, of_database = (
        [f"exit code {one.code}", *re.split(r"\n|, (?=\")", kind.shown(one.out + one.err))]
        for kind, one in zip(kinds, done, strict=True)
    )
    assert of_file == of_database, line
    return done


READS = [
    "status",
    "status --json",
    "status --tenant TENANT",
    "deliveries list",
    "deliveries list --all",
    "deliveries list --all --json",
    "deliveries list --state unknown",
    "deliveries list --drifts",
    "deliveries show 1000",
    "deliveries show 2000",
    "deliveries show 4000 --json",
    "deliveries show 99000",
    "deliveries export",
    "deliveries replay 2000 --dry-run",
    "refused list",
    "refused list --json",
    "tenants list",
    "tenants list --json",
    "tenants show TENANT",
    "kana status --json",
    "kana unmapped",
    "kana rules list",
    "forget ann --everywhere --dry-run --config nothing.yaml",
    "forget bob --everywhere --dry-run",
    "plan --config nothing.yaml",
    "store check",
]


def test_what_is_shown(command: Command, kinds: list[Kind]) -> None:
    """What reads says the same of both, and changes neither."""
    before = _same(command, kinds, "deliveries list --all --json")[0].out
    for line in READS:
        _same(command, kinds, line)
        assert _same(command, kinds, "deliveries list --all --json")[0].out == before, line


CHANGES = [
    ("deliveries drop 2000 --reason done --yes", 0),
    ("deliveries drop 1000 --reason done --yes", 0),
    ("deliveries drop 8000 --reason done --yes", None),
    ("deliveries resolve 4000 --applied --yes", 0),
    ("deliveries resolve 4000 --not-applied --yes", 0),
    ("deliveries resolve 5000 --applied --yes", 0),
    ("deliveries resolve 2000 --applied --yes", 2),
    ("deliveries replay 6000", 0),
    ("deliveries replay 3000", 2),
    ("pause sample", 0),
    ("pause nobody", 2),
    ("resume sample", 0),
    ("tenants pause TENANT", 0),
    ("tenants name TENANT 'Example Ltd'", 0),
    ("tenants forget TENANT --yes", 0),
    ("refused drop 1 --yes", None),
    ("kana rules add --name exports --event 'Report Exported' --feature exports", None),
    ("store compact --keep-days 0 --dedupe-days 0", 0),
]


@pytest.mark.parametrize(("line", "code"), CHANGES)
def test_what_is_changed(command: Command, kinds: list[Kind], line: str, code: int | None) -> None:
    """What changes something leaves the same in both."""
    first, _ = _same(command, kinds, line)
    assert code in {None, first.code}, first
    _same(command, kinds, "deliveries list --all --json")
    _same(command, kinds, "status --json")
    _same(command, kinds, "tenants list --json")


def test_erasure(command: Command, kinds: list[Kind]) -> None:
    """A user is erased from both; each says what becomes of copies."""
    line = "forget ann --everywhere --yes"
    file, database = (command(*line.split(), "--store", kind.address) for kind in kinds)
    assert (file.code, database.code) == (0, 0)
    shown = kinds[1].shown(database.out).splitlines()
    assert kinds[0].shown(file.out).splitlines()[:-1] == shown[:-1]
    assert OF_A_FILE in file.out
    assert OF_A_DATABASE + AGAIN in database.out
    _same(command, kinds, "status --json")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("store backup copy.sqlite3", "pg_basebackup with archived WAL"),
        ("store adopt --yes", "it is where its address says"),
    ],
)
def test_what_a_database_has_tools_for(
    command: Command, kinds: list[Kind], line: str, named: str
) -> None:
    """It is refused, and what does it is named."""
    done = command(*line.split(), "--store", kinds[1].address)
    assert (done.code, done.out) == (2, "")
    assert named in done.err


def test_a_copy_is_not_restored_to_a_database(
    command: Command, kinds: list[Kind], tmp_path: Path
) -> None:
    """Neither by its address nor by a configuration."""
    address = kinds[1].address
    config = tmp_path / "serve.yaml"
    config.write_text(
        f"store: {store_spec(address)}\ndestinations: [{{name: kana, destination: kana}}]\n"
    )
    for target in (("--to", address), ("--config", config)):
        done = command("store", "restore", kinds[0].address, *target, "--yes")
        assert (done.code, "PostgreSQL's own tools" in done.err) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        "deliveries drop 2000 --reason done --yes",
        "deliveries resolve 4000 --applied --yes",
        "deliveries replay 6000",
        "pause sample",
        "store compact --keep-days 0",
        "store check",
    ],
)
def test_beside_a_process_that_delivers(command: Command, kinds: list[Kind], line: str) -> None:
    """The same as without one: none has to be stopped."""
    with delivering(kinds[1].address):
        done = command(*line.split(), "--store", kinds[1].address)
    assert done.code == 0, done.err
