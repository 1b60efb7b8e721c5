"""What all tests share: a home of their own, files, and the command line in this process."""

from __future__ import annotations

import contextlib
import functools
import gc
import gzip
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.pathlib import import_path
from hypothesis import settings

from destinations import reference
from destinations.cli import main
from destinations.definition import loader
from destinations.kit.partner_page import rendering
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.queue import (
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Stage,
    Transition,
)
from destinations.reference import hints
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.amounts import Usage
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import (
    OpenStore,
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    Tenant,
    TenantSecrets,
    make_store,
)
from destinations.store import database as database_module
from destinations.store.migrations import MIGRATIONS
from kana_destination import sandbox_process
from tests import case_tables, forked
from tests.example_counts import examples
from tests.memory import folder_in_memory
from tests.postgres_server import give_back_stores
from tests.rendered import CompiledOnce, InThisProcess
from tests.stores import left_out

_HOMES = itertools.count()

_TESTS = Path(__file__).parent

if (in_memory := folder_in_memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(in_memory))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers for each processor: tests of servers wait for half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled modules apart from the tree where the environment forbids to keep them there.

    Each of the hundreds of processes that tests start would compile all that it imports.
    """
    # What delivers from PostgreSQL in this process must not end it, however busy the machine is. A
    # process that a test starts has the usual handler again.
    signal.signal(signal.SIGALRM, lambda *_: None)
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# No test is timed: a busy machine is no fault. More examples have tests in ``tox -e fuzz``.
settings.register_profile("untimed", max_examples=examples(40), deadline=None)
settings.load_profile("untimed")


class SoundDefinitions:
    """Loads definitions as ``load`` does, those of the same contents once, wherever they are.

    Each test has its definitions in a folder of its own, and to load one takes as long as most
    tests. Only what is said of a definition names its place, so one of which nothing is said is the
    same everywhere; see ``test_loader.py``.
    """

    most = 128

    def __init__(self, load: Callable[..., Any]) -> None:
        self.load = load
        self._known: OrderedDict[object, Any] = OrderedDict()

    def __call__(self, name: str, path: str, files: tuple[Any, ...]) -> Any:
        key = (name, tuple((file.name, file.content) for file in files))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        issues, definition = loaded = self.load(name, path, files)
        if not issues and not definition.warnings:
            self._known[key] = loaded
            if len(self._known) > self.most:
                self._known.popitem(last=False)
        return loaded


# Commands that tests start in this process start the sandbox in one of its own.
vars(sandbox_process)["subprocess"] = forked

vars(loader)["_load_files"] = SoundDefinitions(loader._load_files)

# The pages of the package, for the helpful line below a message: they stay as they are.
vars(hints)["read_topics"] = vars(reference)["read_topics"] = functools.cache(reference.read_topics)

vars(rendering).update(subprocess=InThisProcess, ImmutableSandboxedEnvironment=CompiledOnce)

_OF_STORES = vars(database_module)
_make_file, _bring_forward = _OF_STORES["make_file"], _OF_STORES["_bring_forward"]


def _new_store() -> bytes:
    """Return a new store, as the steps of all versions make it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite3"
        make_store(path)
        return path.read_bytes()


_NEW_STORE = _new_store()


def _make_whole_file(path: Path) -> None:
    """Make a file that is a new store already, unless a test has steps of its own.

    The steps take ten times as long, and thousands of tests have a new store.
    """
    _make_file(path)
    if _OF_STORES["MIGRATIONS"] is MIGRATIONS:
        with path.open("r+b", buffering=0) as file:
            written = 0
            with contextlib.suppress(OSError):
                written = file.write(_NEW_STORE)
            if written < len(_NEW_STORE):  # a test leaves no room
                file.truncate(0)


def _bring_forward_unless_new(connection: sqlite3.Connection, version: int) -> None:
    """Do the steps that are missing, which of a new store are none."""
    (stored,) = connection.execute("PRAGMA user_version").fetchone()
    if stored != len(_OF_STORES["MIGRATIONS"]):
        _bring_forward(connection, version)


_OF_STORES["make_file"] = _make_whole_file
_OF_STORES["_bring_forward"] = _bring_forward_unless_new


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect tests without looking for garbage: that takes a third of the time and finds none.

    The tests themselves stay, so that whoever looks for garbage later need not look at them.
    """
    gc.disable()
    try:
        _import_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        # A test leaves little that refers to itself; to look for it less often is a twelfth faster.
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def _import_share(config: pytest.Config) -> None:
    """Import a worker's share of the test modules before all others, so that it compiles no more.

    To compile all of them takes twice as long as to collect their tests. As all workers begin at
    once, each would do so; now each finds what the others have compiled.
    """
    worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        return
    number = int(worker["workerid"].removeprefix("gw"))
    files = [path for each in config.args for path in (config.rootpath / each).rglob("test_*.py")]
    for path in sorted(files)[number :: worker["workercount"]]:
        try:
            import_path(
                path, mode="importlib", root=config.rootpath, consider_namespace_packages=False
            )
        except (Exception, pytest.skip.Exception):  # noqa: BLE001 - whatever a module raises
            # Whoever collects it meets the same, and says so.
            for name, module in list(sys.modules.items()):
                if getattr(module, "__file__", None) == str(path):
                    del sys.modules[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `few_in_postgres`, `each_value` and `of_shapes` say; begin with the whole.

    Those build packages, and play drills and tutorials. They take longest, and the last tests are
    shared between all workers: each of these would build a package of its own, or wait for the one
    that plays a drill. Those with SDKs, which mostly wait, come next.
    """
    is_named = any("[" in argument for argument in config.args)
    # The second decides about what the first has left: else a value could be lost between them.
    for rule in () if is_named else (left_out, case_tables.left_out):
        if leave := rule(items):
            config.hook.pytest_deselected(items=leave)
            gone = set(leave)
            items[:] = [item for item in items if item not in gone]
    first = {_TESTS: 0, _TESTS / "tutorials": 0, _TESTS / "sdks": 1}
    turns: dict[pytest.Item | pytest.Collector | None, int] = {}
    for item in items:
        if item.parent not in turns:
            turns[item.parent] = first.get(item.path.parent, 2)
    items.sort(key=lambda item: turns[item.parent])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Let the next tests have the stores in PostgreSQL of a test that has ended."""
    try:
        return (yield)
    finally:
        give_back_stores()


@pytest.fixture(autouse=True)
def finished(request: pytest.FixtureRequest) -> Iterator[list[Path]]:
    """Folders that are removed when all fixtures of a test that passed have ended.

    They may be in memory. pytest itself removes ``tmp_path`` before what does not ask for it ends,
    such as a server.
    """
    failed = request.session.testsfailed
    folders: list[Path] = []
    yield folders
    if request.session.testsfailed == failed:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tmp_path(tmp_path: Path, finished: list[Path]) -> Path:
    """A folder of this test, which is removed after it."""
    finished.append(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def home(
    finished: list[Path],  # noqa: ARG001 - ends last
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An empty home for this test and the processes that it starts; made when it is used."""
    path = tmp_path_factory.getbasetemp() / f"home{next(_HOMES)}"
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("XDG_DATA_HOME", str(path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
    return path


@pytest.fixture
def limit_files() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Lets no file grow beyond so many bytes while the block runs, as if the disk were full."""
    resource = pytest.importorskip("resource", reason="has no limits for files")

    @contextlib.contextmanager
    def limit(size: int) -> Iterator[None]:
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)

    return limit


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs ``destinations`` with these arguments."""

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes a file: text as it is, bytes as they are, a list as NDJSON, anything else as JSON."""

    def make(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, list) and name.endswith("ndjson"):
            path.write_text("\n".join(map(json.dumps, content)) + "\n", encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return make


_STORES = Path(__file__).parent / "fixtures" / "stores"


@pytest.fixture
def old_store(tmp_path: Path) -> Callable[..., Path]:
    """Unpacks a store that an earlier version has made, ``run-v3`` or ``serve-v3``.

    Its account is at ``endpoint`` then, if that is given.
    """

    def unpack(name: str, endpoint: str | None = None) -> Path:
        path = tmp_path / "store.sqlite3"
        path.with_name(f"{path.name}.identity").unlink(missing_ok=True)  # as at its first start
        path.write_bytes(gzip.decompress((_STORES / f"{name}.sqlite3.gz").read_bytes()))
        path.chmod(0o600)
        if endpoint is not None:
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                for table in ("kept_events", "capabilities", "manual_changes", "amounts"):
                    connection.execute(
                        f"UPDATE {table} SET account = replace(account, ?, ?)",  # noqa: S608
                        ("http://127.0.0.1:36567/graphql", endpoint),
                    )
        return path

    return unpack


class _At:
    """A clock that stands at a time."""

    def __init__(self, at: float) -> None:
        self._at = at

    def time(self) -> float:
        return self._at

    def monotonic(self) -> float:
        return self._at

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        return stop.wait(seconds)


@pytest.fixture
def add_tenant() -> Callable[..., Tenant]:
    """Adds a tenant with a key of its own to a store, by default of ``sample``."""

    def add(
        store: SqliteStore,
        key: str,
        destination: str = "sample",
        *,
        is_proven: bool = True,
        now: float = 1_000.0,
    ) -> Tenant:
        sealed = SealedValues(store.database, Sealer(SealingKey.parse("A" * 43 + "=")))
        secrets = TenantSecrets(store.database, sealed)
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", key)
        settings = {"apiKey": key}
        return secrets.add(
            *(destination, secrets.id_of(key), key, identity, settings),
            now=now,
            is_proven=is_proven,
        )

    return add


@pytest.fixture
def add_delivery() -> Callable[..., int]:
    """Puts a delivery and its event into a store, as a process that delivers would; returns its id.

    By default it is ready, of a server's destination ``sample``, its subscription ``Count``, and
    the user ``u1``. ``slug`` is that of the definition, if the server calls it otherwise.
    ``event_of`` is the id of a delivery whose event it shares. ``status`` is what it comes to, at
    ``settled_at``; ``sending`` makes its request be under way. ``scope`` is that of a tenant, and
    ``usage`` what it counts for.
    """
    numbers = itertools.count(1)

    def add(
        store: OpenStore,
        raw: Any = None,
        *,
        destination: str = "sample",
        slug: str | None = None,
        account: str | None = None,
        served: bool = True,
        user: str = "u1",
        subscription: str | None = "Count",
        action: str = "count",
        message_id: str | None = None,
        status: Status = State.READY,
        reason: str = "",
        code: str | None = None,
        http_status: int | None = None,
        stage: Stage = "send",
        attempts: int = 0,
        effect: Effect | None = None,
        increment: Increment | None = None,
        payload: bytes = b"{}",
        plan: str = "plan",
        evidence: Mapping[str, Any] | None = None,
        accepted_at: float = 1_000.0,
        settled_at: float = 2_000.0,
        next_at: float = 0.0,
        event_of: int | None = None,
        sending: bool = False,
        scope: Scope | None = None,
        usage: Usage | None = None,
    ) -> int:
        number = next(numbers)
        identity = AccountIdentity(slug or destination, "http://127.0.0.1/", "", "key", account)
        accounts = store.accounts()
        if scope is not None:
            pass
        elif served:
            scope = accounts.served(destination, identity)
        else:
            known = accounts.find(identity)
            scope = accounts.run(destination, accounts.add(identity) if known is None else known.id)
        kind = raw["type"] if raw else "track"
        data = json.dumps({"type": "track"} if raw is None else raw).encode()
        event = QueuedEvent(message_id or f"m{number}", kind, user, accepted_at, data, number)
        key = None if subscription is None else SubscriptionKey(subscription, action)
        delivery = QueuedDelivery(event, key, 0, payload, plan, increment, usage=usage)
        if event_of is not None:
            ledger = store.ledger()
            entry = ledger.get(event_of)
            event.id = entry.event_id
            delivery.nth = len(ledger.of_event(entry))
        queue = store.queue(_At(settled_at))
        queue.commit(Round(waiting=[(scope, delivery)]))
        batch = ClaimedBatch(scope, [delivery], at=settled_at)
        if sending or status is not State.READY:
            queue.commit(Round(batches=[batch]))
            delivery.state = State.SENDING
        if sending:
            return delivery.id
        if status is not State.READY or reason:
            usual: dict[Status, Effect] = {Outcome.DELIVERED: Effect.APPLIED}
            if status in {State.UNKNOWN, State.HELD}:
                usual[status] = Effect.MAYBE
            transition = Transition(
                delivery,
                Result(status, reason, code, http_status, attempts=attempts),
                stage,
                attempts,
                next_at=next_at,
                effect=effect or usual.get(status, Effect.NONE),
                evidence=evidence or {},
            )
            queue.commit(Round(transitions=[(scope, transition)], returned=[batch]))
        return delivery.id

    return add
