"""A small destination in a folder, a transport that answers by a script, and a clock that obeys."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

import destinations
from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import DestinationsError, TransportError, UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.runtime.action import Call, Done
from destinations.runtime.destination import Code, Destination
from destinations.runtime.entry_points import DEFINITIONS, PLUGINS
from destinations.store import SqliteStore, broken_rules
from kana_destination import plugin
from kana_destination.sandbox import Sandbox
from kana_destination.sandbox_process import SandboxProcess

# Tests write thousands of definitions, and the library in C is ten times as fast.
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

API_KEY = "sk_test_0123456789"

DESTINATION: dict[str, Any] = {
    "name": "Sample",
    "slug": "sample",
    "version": "1.2.3",
    "description": "Sample counts things, and saves people.",
    "events": {"requires": ["userId"]},
    "settings": {
        "type": "object",
        "required": ["apiKey"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API Key",
                "description": "The key.",
                "type": "string",
                "format": "password",
                "minLength": 8,
            },
            "endpoint": {
                "title": "Endpoint",
                "description": "The URL.",
                "type": "string",
                "default": "http://127.0.0.1:9/graphql",
            },
            "limit": {"title": "Limit", "description": "A number.", "type": "integer"},
        },
    },
    "authentication": {"scheme": "bearer", "fields": ["apiKey"], "test": "find"},
    "transport": {
        "baseUrl": {"@path": "$.settings.endpoint"},
        "headers": {"Authorization": {"@template": "Bearer {{settings.apiKey}}"}},
        "timeout": {"connect": 1, "read": 2, "total": 3},
        "concurrency": 2,
        "retry": {
            "attempts": 3,
            "backoff": {"base": 1, "cap": 8},
            "maxRetryAfter": 20,
            "deadline": 30,
        },
    },
    "requests": {
        "find": {
            "description": "Looks somebody up.",
            "idempotent": True,
            "graphql": {
                "document": "query Find($id: String!) { person(id: $id) { id name } }",
                "variables": {"id": {"@path": "$.payload.id"}},
            },
            "answers": [{"name": "missing", "when": {"code": "MISSING"}}],
            "example": {"id": "u1", "name": "Ada"},
        },
        "create": {
            "description": "Creates somebody.",
            "idempotent": False,
            "graphql": {
                "document": "mutation ($id: String!) { create(id: $id) { id } }",
                "variables": {"id": {"@path": "$.payload.id"}},
            },
            "example": {"id": "u1"},
        },
        "count": {
            "description": "Count a thing.",
            "idempotent": False,
            "batch": {"size": 4},
            "graphql": {
                "document": "mutation Count($by: Int!) { count(by: $by) { done why } }",
                "variables": {"by": {"@path": "$.payload.by"}},
            },
            "expect": {
                "type": "object",
                "required": ["done"],
                "properties": {"done": {"const": True}},
            },
            "refusals": [
                {
                    "when": {"type": "object", "properties": {"done": {"const": False}}},
                    "message": {"@template": "not counted: {{answer.why}}"},
                }
            ],
        },
        "save": {
            "description": "Save a page.",
            "idempotent": True,
            "rest": {
                "method": "PUT",
                "url": "http://127.0.0.1:9/pages",
                "path": [{"@path": "$.payload.page"}],
                "json": {"by": {"@path": "$.event.userId"}},
            },
        },
    },
    "errorRules": [
        {
            "when": {"message": "^Who are you"},
            "class": "authentication",
            "retryable": False,
            "nothingApplied": True,
        },
        {
            "when": {"code": "BUSY"},
            "class": "unavailable",
            "retryable": True,
            "nothingApplied": True,
        },
        {
            "when": {"code": "BROKEN"},
            "class": "internal",
            "retryable": True,
            "nothingApplied": False,
        },
        {
            "when": {"code": "BAD"},
            "class": "invalid",
            "retryable": False,
            "nothingApplied": True,
        },
    ],
    "presets": [
        {"name": "Counts", "partnerAction": "count", "subscribe": 'type = "track"'},
        {"name": "Pages", "partnerAction": "save", "subscribe": 'type = "page"'},
        {"name": "People", "partnerAction": "sync", "subscribe": 'type = "identify"'},
    ],
}


def _field(kind: str, default: object) -> dict[str, Any]:
    """A field with the words that every field needs."""
    return {"title": "Title", "description": "What it is.", "type": kind, "default": default}


ACTIONS: dict[str, dict[str, Any]] = {
    "count": {
        "slug": "count",
        "title": "Count",
        "description": "Count a thing.",
        "defaultSubscription": 'type = "track"',
        "fields": {
            "type": "object",
            "required": ["by", "thing"],
            "additionalProperties": False,
            "properties": {
                "by": _field("integer", {"@path": "$.properties.by"}),
                "thing": _field("string", {"@path": "$.properties.thing"}),
            },
        },
        "unmapped": {"missing": "thing", "reason": "The event names no thing."},
        "perform": {"request": "count"},
    },
    "save": {
        "slug": "save",
        "title": "Save",
        "description": "Save a page.",
        "fields": {
            "type": "object",
            "properties": {"page": _field("string", {"@path": "$.name"})},
        },
        "perform": {"request": "save"},
    },
    "sync": {
        "slug": "sync",
        "title": "Sync",
        "description": "Create somebody who is not there.",
        "fields": {
            "type": "object",
            "properties": {"id": _field("string", {"@path": "$.userId"})},
        },
        "perform": {"generator": "sync", "requests": ["find", "create"]},
    },
}

Documents = dict[str, dict[str, Any]]
Change = Callable[[Documents], object]


@pytest.fixture
def api_key() -> str:
    """The secret of the small destination's settings."""
    return API_KEY


@functools.lru_cache(maxsize=512)
def _as_yaml(document: str) -> str:
    """Write JSON as YAML, without aliases for what occurs twice; most documents are the same."""
    return yaml.dump(json.loads(document), Dumper=DUMPER, sort_keys=False)


@pytest.fixture
def write_definition(tmp_path: Path) -> Callable[..., Path]:
    """Writes the small destination, changed by a function of its documents by name, to a folder."""

    def write(change: Change | None = None) -> Path:
        documents: Documents = json.loads(json.dumps({"destination": DESTINATION, **ACTIONS}))
        if change is not None:
            change(documents)
        folder = tmp_path / "sample"
        folder.mkdir(exist_ok=True)
        for name, document in documents.items():
            text = _as_yaml(json.dumps(document))
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    return write


def _sync(payload: dict[str, Any]) -> Any:
    """Creates somebody who is not there; a payload may name a way to fail."""
    found = yield Call("find", payload)
    if found.name != "missing":
        return Done(f"found {found.data['name']}")
    if payload["id"] == "faulty":
        raise ZeroDivisionError(f"with {API_KEY}")
    yield Call("create", payload)
    if payload["id"] == "faulty later":
        raise ZeroDivisionError("too late")
    if payload["id"] == "checked":
        yield Call("find", payload)
    return Done("created")


@pytest.fixture
def load(write_definition: Callable[..., Path]) -> Callable[..., DestinationDefinition]:
    """The definition of the small destination, changed as for ``write_definition``."""

    def make(change: Change | None = None) -> DestinationDefinition:
        return load_definition(write_definition(change))

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store, in which every rule must hold when the test is over."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as opened:
        yield opened
    with SqliteStore(path, read_only=True) as again:
        assert broken_rules(again.database) == []


@pytest.fixture
def bind(load: Callable[..., DestinationDefinition]) -> Callable[..., Destination]:
    """The small destination bound to settings, changed as for ``write_definition``."""

    def make(
        change: Change | None = None, *, mappers: Mapping[str, Any] | None = None, **settings: Any
    ) -> Destination:
        definition = load(change)
        document = Document("settings.yaml", {"apiKey": API_KEY, **settings}, {})
        code = Code(generators={"sync": _sync}, mappers=mappers or {})
        return Destination(definition, check_settings(definition, document), code)

    return make


@pytest.fixture
def bind_connected(bind: Callable[..., Destination]) -> Callable[..., Destination]:
    """The small destination with subscriptions of the action ``count``, by name and FQL."""

    def make(
        change: Change | None = None, *, allow_overlap: bool = False, **subscriptions: str
    ) -> Destination:
        base = bind(change)
        data = {
            "subscriptions": [
                {"name": name, "partnerAction": "count", "subscribe": fql}
                for name, fql in subscriptions.items()
            ],
            "allowOverlap": allow_overlap,
        }
        connection = Connection.of(Document("connection.yaml", data, {}), data)
        definition = connect(base.definition, connection)
        return Destination(definition, base.settings, Code(generators={"sync": _sync}))

    return make


@dataclass
class FakeClock:
    """Time that moves only when somebody waits; ``stop_at`` is when a stop comes in between."""

    now: float = 0.0
    stop_at: float | None = None
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """The time so far."""
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Moves on at once."""
        self.waits.append(seconds)
        self.now += seconds
        if self.stop_at is not None and self.now >= self.stop_at:
            stop.set()
        return stop.is_set()


@pytest.fixture
def clock() -> FakeClock:
    """A clock at 0."""
    return FakeClock()


Reply = HttpResponse | TransportError | Callable[[HttpRequest], "Reply"]


class ScriptedTransport:
    """Gives the replies of a script in order, the last one for ever; keeps the requests."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self.replies = list(replies)
        self.requests: list[HttpRequest] = []
        self._lock = threading.Lock()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.Transport`."""
        with self._lock:
            self.requests.append(request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        while not isinstance(reply, HttpResponse | TransportError):
            reply = reply(request)
        if isinstance(reply, TransportError):
            raise reply
        return reply

    def close(self) -> None:
        """Nothing is open."""

    @property
    def variables(self) -> list[dict[str, Any]]:
        """The GraphQL variables of each request."""
        return [json.loads(request.body or b"{}")["variables"] for request in self.requests]


@pytest.fixture
def scripted() -> type[ScriptedTransport]:
    """A transport made from its replies."""
    return ScriptedTransport


class Replies:
    """What a partner may answer."""

    lost = TransportError("no answer: timed out", sent=True, timeout=True)
    refused = TransportError("no connection: refused", sent=False)

    @staticmethod
    def http(status: int, body: object = None, **headers: str) -> HttpResponse:
        """An answer of any status; ``retry_after="3"`` is a header."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return HttpResponse(status, names, data)

    @classmethod
    def data(cls, *values: object) -> HttpResponse:
        """A GraphQL answer without errors: the values under the aliases of a batch."""
        return cls.http(200, {"data": {f"e{index}": value for index, value in enumerate(values)}})

    @classmethod
    def errors(cls, *errors: Mapping[str, Any] | str, data: object = ...) -> HttpResponse:
        """A GraphQL answer with errors: each a whole error, or a code without a path."""
        whole = [
            {"message": "no", "extensions": {"code": error}} if isinstance(error, str) else error
            for error in errors
        ]
        return cls.http(200, {"errors": whole} | ({} if data is ... else {"data": data}))

    @classmethod
    def success(cls, request: HttpRequest) -> HttpResponse:
        """Every event of a ``count`` request was counted."""
        aliases = [key for key in json.loads(request.body or b"{}")["variables"] if "by_" in key]
        return cls.data(*[{"done": True}] * len(aliases))


class Contacts:
    """A partner that finds contacts by email, creates and changes them, over REST.

    ``created`` has the email of each creation, ``changed`` the id and body of each change,
    ``asked`` what each request was. ``hook`` is called with what a request is (``find``,
    ``create``, ``change`` or ``delete``) before it is carried out (False) and after (True): what it
    returns is the answer.
    """

    def __init__(self) -> None:
        self.people: dict[str, str] = {}
        self.created: list[str] = []
        self.changed: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.asked: list[str] = []
        self.hook: Callable[[str, bool], Reply | None] = lambda _what, _done: None

    def __call__(self, request: HttpRequest) -> Reply:
        """Answer a request."""
        status, body = self.answer(request.method, request.url, request.body or b"null")
        return (
            body if isinstance(body, HttpResponse | TransportError) else Replies.http(status, body)
        )

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the body of an answer, or what the hook gave."""
        path, sent = url.partition("/v1")[2], json.loads(body)
        names = {
            ("POST", "/search"): "find",
            ("POST", "/contacts"): "create",
            ("PATCH", ""): "change",
        }
        names |= {("DELETE", ""): "delete"}
        what = names.get((method, path)) or names[method, ""]
        self.asked.append(what)
        for done in (False, True):
            reply = self.hook(what, done)
            if reply is not None:
                return 0, reply
            if not done:
                answer = getattr(self, f"_{what}")(path.rpartition("/")[2], sent)
        return answer  # type: ignore[no-any-return]

    def _find(self, _name: str, sent: Any) -> tuple[int, Any]:
        found = self.people.get(sent["email"])
        return 200, {"results": [] if found is None else [{"id": found}]}

    def _create(self, _name: str, sent: Any) -> tuple[int, Any]:
        self.created.append(sent["email"])
        self.people[sent["email"]] = f"c{len(self.created)}"
        return 201, {"id": self.people[sent["email"]]}

    def _change(self, name: str, sent: Any) -> tuple[int, Any]:
        self.changed.append((name, sent))
        return 200, {"id": name}

    def _delete(self, name: str, _sent: Any) -> tuple[int, Any]:
        self.deleted.append(name)
        return (204, None)


@pytest.fixture
def contacts() -> Contacts:
    """A partner without contacts."""
    return Contacts()


class ServedContacts:
    """Contacts over HTTP, and a process that they may kill."""

    def __init__(self, contacts: Contacts) -> None:
        self.contacts = contacts
        self.process: subprocess.Popen[bytes] | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer = contacts.answer(self.command, self.path, body or b"null")
                if isinstance(answer, HttpResponse):
                    status, answer = answer.status, None
                data = b"" if status == 204 else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who was killed reads no answer."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def kill_at(self, step: str, *, done: bool) -> None:
        """Kill the process once, before or after it has carried out this step."""

        def hook(what: str, after: bool) -> HttpResponse | None:
            process = self.process
            if (what, after) == (step, done) and process is not None:
                # Before the process ends: then a test may have set another one.
                self.contacts.hook = lambda _what, _after: None
                os.kill(process.pid, signal.SIGKILL)
                process.wait(60)
                return HttpResponse(500, {}, b"")  # instead of doing it; nobody reads it
            return None

        self.contacts.hook = hook

    def connected(self, documents: Documents) -> None:
        """Let the requests of a definition go here, and quickly again."""
        destination = documents["destination"]
        del destination["authentication"]  # which another server would test
        destination["transport"]["retry"]["backoff"] = {"base": 0.01, "cap": 0.1}
        for request in destination["requests"].values():
            if request.get("rest", {}).get("url") == CONTACTS:
                request["rest"]["url"] = self.url

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def served_contacts(contacts: Contacts) -> Iterator[ServedContacts]:
    """The contacts on a port of this machine."""
    one = ServedContacts(contacts)
    yield one
    one.close()


CONTACTS = "http://127.0.0.1:9/v1"


def _found(least: int, most: int | None = None) -> dict[str, Any]:
    """The schema of a search that found so many."""
    many = {"type": "array", "minItems": least} | ({} if most is None else {"maxItems": most})
    return {"type": "object", "required": ["results"], "properties": {"results": many}}


def _email() -> dict[str, str]:
    return {"@path": "$.payload.email"}


def _rest(method: str, path: list[object], body: object) -> dict[str, Any]:
    return {"method": method, "url": CONTACTS, "path": path, "json": body}


@pytest.fixture
def with_steps() -> Change:
    """Lets the action ``sync`` find a contact, create it, or else change it, as data."""

    def change(documents: Documents) -> None:
        name = {"name": {"@path": "$.payload.name"}}
        documents["destination"]["requests"] |= {
            "search": {
                "description": "Finds contacts.",
                "idempotent": True,
                "readOnly": True,
                "rest": _rest("POST", ["search"], {"email": _email()}),
                "expect": _found(0),
                "example": {"results": [{"id": "c7"}]},
            },
            "add": {
                "description": "Creates a contact.",
                "idempotent": False,
                "rest": _rest("POST", ["contacts"], {"email": _email(), **name}),
                "example": {"id": "c7"},
            },
            "alter": {
                "description": "Changes a contact.",
                "idempotent": True,
                "rest": _rest(
                    "PATCH", ["contacts", {"@path": "$.answers.find.results[0].id"}], name
                ),
                "example": {"id": "c7"},
            },
        }
        documents["sync"]["fields"]["additionalProperties"] = False
        documents["sync"]["fields"]["properties"] |= {
            "email": _field("string", {"@path": "$.traits.email"}),
            "name": _field("string", {"@path": "$.traits.name"}),
        }
        documents["sync"]["perform"] = {
            "steps": [
                {"name": "find", "request": "search"},
                {"name": "create", "request": "add", "when": {"find": _found(0, 0)}},
                {"name": "change", "request": "alter", "when": {"find": _found(1)}},
            ]
        }

    return change


@pytest.fixture
def with_deletion(with_steps: Change) -> Change:
    """The same, and users can be deleted there."""

    def change(documents: Documents) -> None:
        with_steps(documents)
        documents["destination"]["requests"]["remove"] = {
            "description": "Deletes a contact.",
            "idempotent": True,
            "rest": {
                "method": "DELETE",
                "url": CONTACTS,
                "path": ["contacts", {"@path": "$.payload.userId"}],
            },
            "answers": [{"name": "missing", "when": {"status": 404}}],
        }
        documents["destination"]["onDelete"] = {"request": "remove"}

    return change


@pytest.fixture
def replies() -> type[Replies]:
    """Answers for scripts."""
    return Replies


@pytest.fixture
def as_somebody_else(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Makes a test of root go on as a user who may read its files, and the installed package."""
    package = Path(destinations.__file__)
    ways = {tmp_path, *tmp_path.parents, *package.parents, *Path(sys.prefix).parents}
    folders = [one for one in ways if one.stat().st_mode & 0o055 != 0o055]
    modes = {one: one.stat().st_mode for one in folders}
    is_root = os.geteuid() == 0

    def become() -> None:
        if is_root:
            for one in folders:
                one.chmod(modes[one] | 0o055)
            os.setresuid(65_534, 65_534, 0)

    yield become
    if is_root:
        os.setresuid(0, 0, 0)
    for one, mode in modes.items():
        one.chmod(mode)


HttpAnswer = tuple[int, Mapping[str, str], bytes]


@dataclass
class HttpPartner:
    """Answers each request with what a function of its body returns."""

    answer: Callable[[bytes], HttpAnswer]
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen on a free port of this machine."""
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                partner.bodies.append(body)
                status, headers, answer = partner.answer(body)
                self.send_response(status)
                for name, value in {"content-length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(answer)

            do_PUT = do_POST  # noqa: N815 - its name there

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[bytes], HttpAnswer]], HttpPartner]]:
    """Starts partners of a function."""
    made: list[HttpPartner] = []

    def start(answer: Callable[[bytes], HttpAnswer]) -> HttpPartner:
        made.append(HttpPartner(answer))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_definition: Callable[..., Path]
) -> Iterator[Callable[..., Path]]:
    """Installs a package, beside what is installed; returns the folder of its module.

    It has the definitions of these slugs, and plugins: by slug, the source of ``plugin.py``, which
    has the class ``Acme``.
    """
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(
        name: str,
        *slugs: str,
        plugins: Mapping[str, str] | None = None,
        init: str = "",
    ) -> Path:
        folder = tmp_path / name.replace("-", "_")
        folder.mkdir()
        (folder / "__init__.py").write_text(init, encoding="utf-8")
        points = f"[{DEFINITIONS}]\nown = {folder.name}\n[{PLUGINS}]\n"
        for slug in slugs:
            write_definition(lambda each, slug=slug: each["destination"].update(slug=slug)).rename(
                folder / slug
            )
        for number, (slug, source) in enumerate((plugins or {}).items()):
            module = f"plugin{number}"
            (folder / f"{module}.py").write_text(source, encoding="utf-8")
            points += f"{slug} = {folder.name}.{module}:Acme\n"
        info = tmp_path / f"{folder.name}-1.5.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        return folder

    yield make
    for module in set(sys.modules) - before:
        if module.startswith(("acme", "other")):
            del sys.modules[module]


class SandboxThread(SandboxProcess):
    """Kana's sandbox in a thread of this process, with all that its own process offers."""

    def __init__(self, *, seed: Path | None, port: int, db: Path | None, api: Any) -> None:
        try:
            self._sandbox = Sandbox(seed, port=port, db=db, api=api).start()
        except DestinationsError as error:
            raise UsageError(f"the sandbox cannot start: {error}") from None
        self.url, self._api_key = self._sandbox.url, self._sandbox.api_key
        self._runs = True

    def is_running(self) -> bool:
        return self._runs

    def close(self) -> None:
        self._runs = False
        self._sandbox.stop()


@pytest.fixture
def sandbox_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``--sandbox`` of commands in this process start a thread, in place of a process.

    A process takes twice as long to start as most runs take. The tests of what it does as a
    process, such as those of signals, do without this.
    """
    monkeypatch.setattr(plugin, "SandboxProcess", SandboxThread)
