"""A console over real HTTP on a store of either kind, with a clock that tests turn on."""

from __future__ import annotations

import http.client
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import argon2
import pytest

from destinations.console import users
from destinations.console.app import make_app
from destinations.console.gate import Gate, GateOptions
from destinations.console.guard import HEADERS
from destinations.console.keys import ApiKeys
from destinations.console.login_link import LoginLink
from destinations.console.operators import Role
from destinations.console.stores import Stores
from destinations.console.users import User, Users, hash_password, write_user
from destinations.console.verbs import Verbs
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress, open_at
from destinations.postgres.store import PostgresStore
from destinations.secrets import Secret
from destinations.server import ApiKeyConfig, HttpServer, ServeConfig, read_config
from destinations.store import SqliteStore, broken_rules
from tests.postgres_server import new_store_address
from tests.serving import store_spec

READ_KEY: Final = "read-key-of-the-tests"
OPERATE_KEY: Final = "operate-key-of-the-tests"
PASSWORD: Final = "correct horse battery"
SECRET: Final = "s3cret-of-the-partner"

GOOD: dict[str, Any] = {
    "type": "track",
    "event": "E",
    "userId": "u1",
    "properties": {"by": 2, "thing": "t"},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests on the kinds of store that their module names (`KINDS`), or on both."""
    if "path" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "KINDS", ("sqlite", "postgres"))
        metafunc.parametrize("path", kinds, indirect=True)


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreAddress]:
    """Where the store is, at first an empty one; afterwards every rule must hold in it."""
    found: StoreAddress
    if request.param == "sqlite":
        found = tmp_path / "store.sqlite3"
        SqliteStore(found).close()
    else:
        found = new_store_address()
    yield found
    with open_at(found, read_only=True) as store:
        assert broken_rules(store.database) == []


@pytest.fixture
def put(path: StoreAddress, add_delivery: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery into the store, of a good event unless told otherwise; returns its id."""

    def make(raw: Any = GOOD, **columns: Any) -> int:
        with open_at(path) as store:
            found = add_delivery(store, raw, **{"subscription": "Counts", **columns})
            if isinstance(store, PostgresStore):  # where each process takes several at a time
                with store.database.transaction() as connection:
                    connection.execute("SELECT setval('event_ids', ?)", (found // 1_000,))
            return found

    return make


@pytest.fixture
def dead(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that was given up."""

    def make(**columns: Any) -> int:
        given = {
            "status": Outcome.DEAD,
            "code": "SERVICE_UNAVAILABLE",
            "http_status": 503,
            "reason": "the partner is down",
            "attempts": 3,
        }
        return put(**{**given, **columns})

    return make


@pytest.fixture
def held(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that an operator has to decide on."""

    def make(**columns: Any) -> int:
        given = {
            "status": State.HELD,
            "attempts": 1,
            "increment": Increment("u1 calls", 5),
            "evidence": {"expected": 12_000, "found": 9, "proposed": "applied"},
        }
        return put(**{**given, **columns})

    return make


class TestClock:
    """A clock that goes on only when it is told to; the calendar starts in 1970."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 10_000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def time(self) -> float:
        """Return the time."""
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let the time pass."""
        self.now += seconds
        return stop.is_set()


@dataclass
class Answer:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    cookies: Sequence[str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, which is JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


@dataclass
class Client:
    """A browser or a program: it keeps cookies, and follows nothing by itself."""

    port: int
    key: str | None = None
    cookies: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = dict(headers or {})
        if self.key is not None:
            given.setdefault("Authorization", f"Bearer {self.key}")
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        cookies = response.headers.get_all("set-cookie") or []
        for line in cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel.value:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, cookies, data)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path."""
        return self.send("GET", path, headers=headers)

    def api(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Use the API: with a body, by POST."""
        if body is None:
            return self.get(f"/api/v1{path}", **headers)
        sent = {"Content-Type": "application/json", **headers}
        return self.send("POST", f"/api/v1{path}", body=json.dumps(body).encode(), headers=sent)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        """Send a form."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, body=urlencode(form).encode(), headers=sent)

    def sign_in(self, name: str, password: str = PASSWORD, next_path: str = "/") -> Answer:
        """Fill in the form by which operators sign in."""
        page = self.get("/login")
        token = re.search(r'name="csrf" value="([^"]*)"', page.text)
        assert token is not None, page.text
        return self.post(
            "/login",
            {"name": name, "password": password, "csrf": token[1], "next": next_path},
        )


@dataclass
class RunningConsole:
    """A console that listens."""

    port: int
    gate: Gate
    verbs: Verbs
    clock: TestClock
    slept: list[float]

    @property
    def stranger(self) -> Client:
        """Someone who has nothing."""
        return Client(self.port)

    @property
    def reader(self) -> Client:
        """A program that may look."""
        return Client(self.port, READ_KEY)

    @property
    def operator(self) -> Client:
        """A program that may act."""
        return Client(self.port, OPERATE_KEY)


HASHER: Final = users._HASHER


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Make hashes that take no time: the real ones take a second of all processors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_HASHER", argon2.PasswordHasher(1, 8, 1))
        yield


@pytest.fixture(scope="session")
def hashed(_cheap_hashes: None) -> str:
    """The hash of the password, which takes a while to make."""
    return hash_password(PASSWORD)


@pytest.fixture
def users_file(tmp_path: Path, hashed: str) -> Path:
    """A file of operators: one of each role."""
    path = tmp_path / "users.yaml"
    roles: dict[str, Role] = {"ada": "operate", "ben": "read"}
    for name, role in roles.items():
        write_user(path, User(name, role, hashed))
    return path


@pytest.fixture
def folder(write_definition: Callable[..., Path]) -> Path:
    """The small destination without the action that needs a plugin."""

    def change(documents: dict[str, dict[str, Any]]) -> None:
        del documents["sync"]
        documents["destination"]["presets"].pop()

    return write_definition(change)


@pytest.fixture
def config(path: StoreAddress, folder: Path, tmp_path: Path) -> ServeConfig:
    """The configuration of a server with that destination."""
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o600)
    file = tmp_path / "serve.yaml"
    file.write_text(
        f"""
store: {store_spec(path)}
console: {{listen: '127.0.0.1:0'}}
destinations:
- name: sample
  destination: {folder}
  settings: {{apiKey: {{file: {key}}}}}
"""
    )
    return read_config(file, {}, to_show=True)


@pytest.fixture
def run_console(
    path: StoreAddress, config: ServeConfig, users_file: Path
) -> Iterator[Callable[..., RunningConsole]]:
    """Starts consoles; by default with users and keys on the loopback address."""
    servers: list[tuple[HttpServer, Stores]] = []

    def run(
        *,
        with_users: bool = True,
        link: LoginLink | None = None,
        behind_proxy: bool = False,
        hosts: frozenset[str] | None = None,
    ) -> RunningConsole:
        clock, slept, apps = TestClock(), list[float](), list[Any]()

        async def call(scope: Any, receive: Any, send: Any) -> None:
            await apps[0](scope, receive, send)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        server = HttpServer(call, "127.0.0.1", 0, headers=HEADERS)
        stores = Stores(path)
        gate = Gate(
            GateOptions(server.port, is_secure=behind_proxy, behind_proxy=behind_proxy),
            clock=clock,
            keys=ApiKeys(
                [
                    ApiKeyConfig("reporting", "read", Secret(READ_KEY)),
                    ApiKeyConfig("deploy", "operate", Secret(OPERATE_KEY)),
                ]
            ),
            users=Users(users_file) if with_users else None,
            link=link,
            sleep=sleep,
        )
        verbs = Verbs(stores, config, clock=clock)
        apps.append(make_app(verbs, gate, hosts=hosts, is_local=not behind_proxy))
        server.start()
        servers.append((server, stores))
        return RunningConsole(server.port, gate, verbs, clock, slept)

    yield run
    for server, stores in servers:
        server.close()
        stores.close()


@pytest.fixture
def console(run_console: Callable[..., RunningConsole]) -> RunningConsole:
    """A console with users and keys."""
    return run_console()


@pytest.fixture
def statuses(path: StoreAddress) -> Callable[[], dict[int, str]]:
    """The statuses of all deliveries, by id."""

    def look() -> dict[int, str]:
        with open_at(path, read_only=True) as store:
            return {one.id: one.status.value for one in store.ledger().find(Selection())}

    return look


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
