"""`destinations store restore`, `adopt` and `backup` that are killed on the way.

What is in the place of the store afterwards charges nothing again by itself: it is the store that
was there, a whole one that was restored, or it is refused and says how to go on.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.operations import back_up
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.store import SqliteStore, broken_rules, copied_at, identity_path

IS_LONG = "CHAOS_SEEDS" in os.environ
EVERY = 1 if IS_LONG else 32
"""Of the steps of a command, each so many-th is one that the process is killed at."""

MOST_CRASHES = 4
BACKUP = "backup.sqlite3"
STORE = "store.sqlite3"
_ENDS = ("lock", "identity", "serving", "backed-up")
RESTORE = ("restore", BACKUP, "--to", STORE, "--yes")
IN_PLACE = ("restore", STORE, "--to", STORE, "--yes")
ADOPT = ("adopt", "--store", STORE, "--yes")

Add = Callable[..., int]


def _fill(store: SqliteStore, add: Add, names: str) -> None:
    for name in names:
        for status in (State.READY, State.HELD, Outcome.DELIVERED, Outcome.DEAD):
            add(store, {"type": "track"}, status=status, message_id=f"{name}-{status}")


def _messages(store: SqliteStore) -> set[str]:
    assert broken_rules(store.database) == []
    return {one.message_id for one in store.ledger().find(Selection())}


class Place:
    """A folder with a store, as a killed server left it, and a backup of before."""

    def __init__(self, folder: Path, workers: Any, add: Add) -> None:
        self.folder = folder / "place"
        self.folder.mkdir()
        self._workers = workers
        self._original = folder / "original"
        self._looked = folder / "looked"
        self._out = folder / "out"
        made = folder / "made"
        made.mkdir()
        with SqliteStore(made / STORE) as store:
            _fill(store, add, "a")
            back_up(store.path, self.folder / BACKUP)
        with SqliteStore(made / STORE) as store:
            _fill(store, add, "b")
            shutil.copyfile(store.path, self.folder / "later")
            shutil.copyfile(f"{store.path}-wal", self.folder / "later-wal")
            shutil.copyfile(identity_path(store.path), identity_path(self.store))
            self.later = _messages(store)
        for end in ("", "-wal"):
            (self.folder / f"later{end}").replace(f"{self.store}{end}")
        with SqliteStore(self.folder / BACKUP, read_only=True) as store:
            self.earlier = _messages(store)
        assert self.earlier < self.later

    @property
    def store(self) -> Path:
        """Where the store is, or has to be."""
        return self.folder / STORE

    @property
    def log(self) -> Path:
        """The log beside it."""
        return self.folder / f"{STORE}-wal"

    def keep(self) -> None:
        """Notes how it is, for `reset`."""
        shutil.copytree(self.folder, self._original)

    def reset(self) -> None:
        """Makes it as it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._original, self.folder)

    def run(self, *command: str, **crash: Any) -> int:
        """Runs ``destinations store`` in a process that is killed on the way; its exit code."""
        own = {BACKUP, STORE}
        line = [str(self.folder / one) if one in own else one for one in command]
        task = {
            "command": ["store", *line],
            "out": str(self._out),
            "reconcileAfter": 0,
            "steps": str(self.folder),
            "crash": crash,
        }
        return int(self._workers.run(task))

    def steps(self, *command: str) -> Iterator[int]:
        """Kills at each so many-th step, and at the last ones; yields after each."""

        def run(nth: int) -> int:
            self.reset()
            return self.run(*command, point="step", nth=nth)

        yield from self._workers.kill_at_steps(run, EVERY)

    def found(self) -> str:
        """What the next server finds; nothing is changed here."""
        shutil.rmtree(self._looked, ignore_errors=True)
        shutil.copytree(self.folder, self._looked)
        path = self._looked / STORE
        if not path.exists() and not (self._looked / self.log.name).exists():
            return "missing"
        try:
            with SqliteStore(path) as store:
                messages = _messages(store)
                unmarked = "SELECT count(*) FROM {} WHERE restored IS NULL"
                marked = not any(
                    store.database.one(unmarked.format(table)) != (0,) for table in ("open", "kept")
                )
                gap = store.database.one("SELECT gap_held FROM identity")
        except UsageError as error:
            said = str(error)
            return "refused" if "destinations store restore" in said else said
        if marked and gap == (1,):
            assert messages in (self.earlier, self.later)
            return "restored" if messages == self.earlier else "restored in place"
        assert gap == (None,)
        assert messages == self.later, "neither what was there nor what was restored"
        return "old"

    @property
    def left(self) -> set[str]:
        """The files that should not be there once nothing runs."""
        own = {STORE, BACKUP, *(f"{STORE}.{end}" for end in _ENDS)}
        return {one.name for one in self.folder.iterdir()} - own


@pytest.fixture
def place(tmp_path: Path, workers: Any, add_delivery: Add) -> Place:
    """A folder with a store and a backup of before."""
    return Place(tmp_path, workers, add_delivery)


def _nothing(place: Place) -> None:
    for path in (place.store, place.log, identity_path(place.store)):
        path.unlink()


def _is_empty(place: Place) -> None:
    place.log.unlink()
    os.truncate(place.store, 0)


def _copy(place: Place) -> None:
    """A plain copy is put in the place, with its own log."""
    identity = identity_path(place.store)
    said = identity.read_text()
    identity.write_text(f"{'0' * 32}{said[32:]}")


PLACES: Mapping[str, tuple[Callable[[Place], object], tuple[str, ...], set[str]]] = {
    "a store": (lambda _: None, RESTORE, {"old", "refused", "restored"}),
    "nothing": (_nothing, RESTORE, {"missing", "refused", "restored"}),
    "a lost store": (lambda place: place.store.unlink(), RESTORE, {"refused", "restored"}),
    "an empty file": (_is_empty, RESTORE, {"refused", "restored"}),
    "a copy": (_copy, RESTORE, {"refused", "restored"}),
    "the copy itself": (_copy, IN_PLACE, {"refused", "restored in place"}),
    "the store itself": (lambda _: None, IN_PLACE, {"old", "refused", "restored in place"}),
}


@pytest.mark.parametrize("name", PLACES if IS_LONG else ["a store", "nothing", "the store itself"])
def test_restore_is_killed(place: Place, name: str) -> None:
    """At whatever step: nothing in the place charges again by itself, and the same command ends it.

    Nothing of what was begun is left then.
    """
    change, command, may_be = PLACES[name]
    change(place)
    place.keep()
    before = place.found()
    seen = set()
    for nth in place.steps(*command):
        seen.add(place.found())
        assert seen <= may_be, nth
        assert place.run(*command) == 0
        assert place.found() == ("restored" if command == RESTORE else "restored in place")
        assert place.left == set()
    print(f"{name}: was {before}, killed at up to step {nth}, then {sorted(seen)}")
    assert before in seen
    assert seen >= {before, "refused", place.found()}


def test_restore_is_killed_again_and_again(seed: int, place: Place) -> None:
    """However often, and after whatever time; in the end it is restored."""
    chance = random.Random(f"restore {seed}")
    name = chance.choice(list(PLACES))
    change, command, may_be = PLACES[name]
    change(place)
    notes = []
    for _ in range(chance.randint(1, MOST_CRASHES)):
        crash: dict[str, Any] = {"point": "start", "seconds": chance.uniform(0.0001, 0.05)}
        if chance.random() < 0.6:
            crash = {"point": "step", "nth": chance.randint(1, 200)}
        end = place.run(*command, **crash)
        notes.append((crash, end, place.found()))
        assert end in {0, -signal.SIGKILL}
        assert notes[-1][-1] in may_be
    print(f"seed {seed}: over {name}: {notes}")
    assert place.run(*command) == 0
    assert place.found() == ("restored" if command == RESTORE else "restored in place")
    assert place.left == set()


@pytest.mark.parametrize("beside", ["of another store", *["nothing"] * IS_LONG])
def test_adopt_is_killed(place: Place, beside: str) -> None:
    """It is refused as before, or it is adopted: the number of its starts never tells otherwise."""
    identity = identity_path(place.store)
    if beside == "nothing":
        identity.unlink()
    else:
        _copy(place)
    place.keep()
    seen = set()
    for nth in place.steps(*ADOPT):
        seen.add(place.found())
        assert seen <= {"refused", "old"}, nth
        assert place.run(*ADOPT) == 0
        assert place.found() == "old"
        assert place.left == set()
    assert seen == {"refused", "old"}


def test_backup_is_killed(place: Place, add_delivery: Add) -> None:
    """The backup is the earlier one or the new one, each whole; the store is as it was."""
    place.log.unlink()
    shutil.rmtree(place.folder)
    place.folder.mkdir()
    with SqliteStore(place.store) as store:
        _fill(store, add_delivery, "a")
        back_up(store.path, place.folder / BACKUP)
        _fill(store, add_delivery, "b")
    backup = place.folder / BACKUP
    made_at = copied_at(backup)
    command = ("backup", BACKUP, "--store", STORE)
    place.keep()
    before = [path.read_bytes() for path in (place.store, identity_path(place.store))]
    seen = set()
    for nth in place.steps(*command):
        with SqliteStore(backup, read_only=True) as copy:
            found = _messages(copy)
        seen.add(copied_at(backup) == made_at)
        assert found == (place.earlier if copied_at(backup) == made_at else place.later), nth
        assert [p.read_bytes() for p in (place.store, identity_path(place.store))] == before
        assert place.run(*command) == 0
        assert place.left == set()
    assert seen == {True, False}
