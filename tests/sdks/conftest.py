"""SDKs that send to `destinations serve`, and what stands around it: a proxy, and two partners.

The programs are the snippets of `docs/sdks.md`, as they stand there.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import ipaddress
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from destinations.store import RefusedSelection, SqliteStore
from tests.forked import ForkedPopen

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "sdks.md"
PATIENCE: Final = 60.0
SOON: Final = 0.01
WRITE_KEY: Final = "write-key-0123456789-0123456789"
DESTINATIONS: Final = ("one", "two")

# Of a request and an answer, these belong to one connection.
_OF_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})


def wait_until(is_so: Callable[[], Any], what: str) -> None:
    """Returns when it is so; fails when it is not in time."""
    give_up, pause = time.monotonic() + PATIENCE, threading.Event()
    while not is_so():
        assert time.monotonic() < give_up, what
        pause.wait(SOON)


class Listener:
    """An HTTP server on this machine, whose requests go to ``answer``."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.changed = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        def handle(handler: BaseHTTPRequestHandler) -> None:
            length = int(handler.headers["content-length"] or 0)
            listener.answer(handler, handler.rfile.read(length))

        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            setattr(Handler, f"do_{method}", handle)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def answer(self, to: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer a request."""
        raise NotImplementedError

    def reply(
        self, to: BaseHTTPRequestHandler, body: bytes, kind: str = "application/json"
    ) -> None:
        """Answer 200 with a body."""
        to.send_response(200)
        to.send_header("content-type", kind)
        to.send_header("content-length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def wait_for(self, is_so: Callable[[], Any], what: str = "a request") -> None:
        """Return when it is so, which is looked at after each request."""
        with self.changed:
            assert self.changed.wait_for(is_so, PATIENCE), f"{what} did not come"

    def close(self) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Partner(Listener):
    """Receives the events of both destinations, each on its path."""

    def __init__(self) -> None:
        super().__init__()
        self.received: dict[str, list[Mapping[str, Any]]] = {name: [] for name in DESTINATIONS}
        self.held: set[str] = set()

    def answer(self, to: BaseHTTPRequestHandler, body: bytes) -> None:
        """Note an event, once it is not held any more."""
        event = json.loads(body)
        with self.changed:
            self.received[to.path.removeprefix("/")].append(event)
            self.changed.notify_all()
            self.changed.wait_for(lambda: event["messageId"] not in self.held, PATIENCE)
        self.reply(to, b"{}")

    def release(self) -> None:
        """Answer what is held."""
        with self.changed:
            self.held.clear()
            self.changed.notify_all()

    def of(self, name: str, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return what came to a destination of these events."""
        with self.changed:
            return [one for one in self.received[name] if one["messageId"] in set(ids)]

    def wait_for_events(self, ids: Sequence[str]) -> None:
        """Return when each of these events has come to both destinations."""

        def all_came() -> bool:
            return all(
                set(ids) <= {one["messageId"] for one in received}
                for received in self.received.values()
            )

        self.wait_for(all_came, f"{ids} at both destinations")


@dataclass(frozen=True)
class Sent:
    """A request of an SDK, the server's status (0 without one), and whether the SDK missed it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int
    is_lost: bool

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its events, as the SDK sent them."""
        events = self.body.get("batch", [self.body]) if isinstance(self.body, dict) else []
        return [*events]


class Proxy(Listener):
    """Passes requests on to a server, and notes them.

    Where nothing listens, it closes the connection, as if it were the server itself; one that
    takes TLS answers 502, as such proxies do. With ``in_place_of_an_answer``, the sender of the
    next POST gets no answer, and this is done instead.
    """

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        self.sent: list[Sent] = []
        self.in_place_of_an_answer: Callable[[], None] | None = None
        self._holds = False
        self._upstream = port
        super().__init__(certificate)

    def answer(self, to: BaseHTTPRequestHandler, body: bytes) -> None:
        """Pass a request on, once it is not held any more."""
        with self.changed:
            self.changed.wait_for(lambda: not self._holds, PATIENCE)
        response = self._pass_on(to, body)
        instead = None
        if to.command == "POST":
            instead, self.in_place_of_an_answer = self.in_place_of_an_answer, None
        if instead is not None:
            instead()
        with self.changed:
            status = 0 if response is None else response[0].status
            self.sent.append(_sent(to, body, status, is_lost=instead is not None))
            self.changed.notify_all()
        if response is None and self.scheme == "https":
            to.send_error(502)
        elif response is None or instead is not None:
            to.close_connection = True
        else:
            _reply_as(to, *response)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Let requests wait, for a sender that would soon give up."""
        self._holds = True
        yield
        with self.changed:
            self._holds = False
            self.changed.notify_all()

    def _pass_on(
        self, to: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=PATIENCE)
        with contextlib.closing(connection):
            try:
                connection.putrequest(
                    to.command, to.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in to.headers.items():
                    if name.lower() not in _OF_CONNECTION:
                        connection.putheader(name, value)
                connection.putheader("X-Forwarded-For", "203.0.113.7")
                connection.putheader("X-Forwarded-Proto", self.scheme)
                connection.endheaders(body)
                answer = connection.getresponse()
                return answer, answer.read()
            except (OSError, http.client.HTTPException):
                return None

    @property
    def posts(self) -> list[Sent]:
        """The requests that brought events."""
        with self.changed:
            return [one for one in self.sent if one.method == "POST"]

    @property
    def events(self) -> dict[str, dict[str, Any]]:
        """The events that were sent, by their messageId: each once, however often it was sent."""
        return {event["messageId"]: event for one in self.posts for event in one.events}


def _reply_as(to: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, body: bytes) -> None:
    to.send_response_only(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in _OF_CONNECTION:
            to.send_header(name, value)
    to.end_headers()
    to.wfile.write(body)


def _sent(to: BaseHTTPRequestHandler, body: bytes, status: int, *, is_lost: bool) -> Sent:
    headers = {name.lower(): value for name, value in to.headers.items()}
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    content = json.loads(body) if body else None
    return Sent(to.command, to.path, headers, content, status, is_lost)


class Serving:
    """`destinations serve` as a process, always on one port, with a source and two destinations."""

    def __init__(self, folder: Path, partner: Partner, **source: Any) -> None:
        self._partner = partner
        self._path = folder / "serve.json"
        self._config: dict[str, Any] = {
            "store": {"path": "store.sqlite3"},
            "listen": {"port": 0, "trustedProxies": ["127.0.0.1/32"]},
            "log": {"form": "json"},
            "sources": [{"name": "app", "keys": ["${WRITE_KEY}"], **source}],
            "destinations": [
                {
                    "name": name,
                    "destination": "webhook",
                    "account": name,
                    "settings": {"url": f"{partner.url}/{name}"},
                    "from": ["app"],
                }
                for name in DESTINATIONS
            ],
        }
        self._process: subprocess.Popen[str] | None = None
        self._is_stopping = False
        self.port = 0

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._process is not None

    def start(self) -> None:
        """Return when it receives events, on the port that it had before."""
        self._config["listen"]["port"] = self.port
        self._path.write_text(json.dumps(self._config), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "destinations", "serve", "--config"]
        self._process = ForkedPopen(
            [*command, str(self._path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "WRITE_KEY": WRITE_KEY},
        )
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if "sources started" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)", lines[-1] if lines else "")
        assert found, lines
        self.port = int(found[1])
        # What it says later must not fill the pipe.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def begin_to_stop(self) -> None:
        """Return when it takes no more events; what it delivers it goes on with."""
        assert self._process is not None
        self._is_stopping = True
        self._process.terminate()
        ready = f"http://127.0.0.1:{self.port}/readyz"
        wait_until(lambda: "draining" in requests.get(ready, timeout=30).text, "it goes on")

    def stop(self) -> None:
        """End it, as an operator would."""
        assert self._process is not None
        if not self._is_stopping:  # a second signal would end it at once
            self._process.terminate()
        self._is_stopping = False
        code = self._process.wait(PATIENCE)
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        assert code == 0

    def close(self) -> None:
        """End it, if it was not."""
        if self._process is not None:
            self.stop()

    def assert_delivered_once(self, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Assert that each event has come to both destinations once; returns what came to one."""
        self._partner.wait_for_events(ids)
        wait_until(lambda: self._waiting() == 0, "deliveries still wait")
        for name in DESTINATIONS:
            counted = Counter(one["messageId"] for one in self._partner.of(name, ids))
            assert counted == Counter(ids), name
        return self._partner.of(DESTINATIONS[0], ids)

    def _waiting(self) -> float:
        """The deliveries without an outcome."""
        metrics = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30).text
        found = re.findall(r"(?m)^destinations_queue_deliveries\{.*\} (\S+)$", metrics)
        assert len(found) == len(DESTINATIONS)
        return sum(map(float, found))

    def wait_for_refused(self, message_id: str) -> Mapping[str, Any]:
        """Return what is kept of a refused event."""
        found: list[Mapping[str, Any]] = []

        def is_kept() -> bool:
            found.extend(one for one in self._refused() if message_id == one["event"]["messageId"])
            return bool(found)

        wait_until(is_kept, "the refused event is not kept")
        return found[0]

    def _refused(self) -> list[Mapping[str, Any]]:
        with SqliteStore(self._path.parent / "store.sqlite3", read_only=True) as store:
            found = store.refused().find(RefusedSelection())
        return [
            {"code": one.event.code, "source": one.destination, "event": json.loads(one.event.raw)}
            for one in found
        ]


_PAGE: Final = """<!doctype html>
<title>A page</title>
<script>
  const say = (words) => navigator.sendBeacon('/said', String(words))
  console.error = (...words) => say(words.join(' '))
  addEventListener('unhandledrejection', (event) => say(event.reason))
</script>
<script src="/umd/index.js"></script>
<script type="importmap">{"imports": {"@segment/analytics-next": "/package.js"}}</script>
<script type="module" src="/program.js"></script>
"""

# What a bundler would make of the package: the snippet imports it by its name.
_PACKAGE: Final = "export const { AnalyticsBrowser } = window.AnalyticsNext\n"


class Site(Listener):
    """A web site with one page, which runs a program; ``said`` is what the program complains of."""

    def __init__(self, packages: Path, certificate: Path | None = None) -> None:
        self._umd = packages / "node_modules" / "@segment" / "analytics-next" / "dist"
        self.program = ""
        self.said: list[str] = []
        super().__init__(certificate)

    def answer(self, to: BaseHTTPRequestHandler, body: bytes) -> None:
        """Send a file of the site, or note what the page says."""
        path = to.path.partition("?")[0]
        if path == "/said":
            with self.changed:
                self.said.append(body.decode())
                self.changed.notify_all()
            self.reply(to, b"", "text/plain")
        elif path.endswith(".js"):
            made = {"/program.js": self.program, "/package.js": _PACKAGE}
            text = made.get(path) or (self._umd / path.removeprefix("/")).read_text("utf-8")
            self.reply(to, text.encode(), "text/javascript")
        else:
            self.reply(to, (_PAGE if path == "/" else "<!doctype html>").encode(), "text/html")


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it wrote."""

    code: int
    output: str


@dataclass(frozen=True)
class Started:
    """A program that runs."""

    process: subprocess.Popen[str]

    def ended(self) -> Done:
        """Return how it ended."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        return Done(self.process.returncode, output)


class Program:
    """A snippet of the page, to be run with a write key and the URL of a server."""

    def __init__(self, text: str, command: Sequence[str], path: Path) -> None:
        self.text = text
        self._command = command
        self._path = path

    def changed(self, old: str, new: str) -> Program:
        """Return it with another text in one place, which is there."""
        assert old in self.text
        return Program(self.text.replace(old, new, 1), self._command, self._path)

    def start(self, url: str, key: str = WRITE_KEY) -> Started:
        """Start it, in its folder."""
        self._path.write_text(self.text, encoding="utf-8")
        host = url.partition("://")[2]
        process = subprocess.Popen(
            [*self._command, str(self._path)],
            cwd=self._path.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "WRITE_KEY": key, "EVENTS_URL": url, "EVENTS_HOST": host},
        )
        return Started(process)

    def run(self, url: str, key: str = WRITE_KEY) -> Done:
        """Return how it ended."""
        return self.start(url, key).ended()


def _snippet_of(name: str) -> str:
    """Return the snippet that the page has after ``<!-- tested: NAME -->``."""
    found = re.search(
        rf"(?ms)^<!-- tested: {re.escape(name)} -->\n```\w+\n(.*?)^```", PAGE.read_text("utf-8")
    )
    assert found, name
    return found[1]


@pytest.fixture(scope="session")
def partner() -> Iterator[Partner]:
    """What both destinations deliver to."""
    made = Partner()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, partner: Partner) -> Iterator[Serving]:
    """A server of all tests, which the first starts that needs it."""
    made = Serving(tmp_path_factory.mktemp("serving"), partner)
    yield made
    made.close()


@pytest.fixture
def serving(shared: Serving) -> Serving:
    """The server of all tests, which runs, whatever an earlier test has done."""
    if not shared.is_running:
        shared.start()
    return shared


@pytest.fixture
def served(tmp_path: Path, partner: Partner) -> Iterator[Callable[..., Serving]]:
    """Starts servers of this test alone; the arguments are keys of their source."""
    made: list[Serving] = []

    def start(**source: Any) -> Serving:
        folder = tmp_path / f"serving-{len(made)}"
        folder.mkdir()
        made.append(Serving(folder, partner, **source))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """Starts proxies before a server; with a certificate they take TLS."""
    made: list[Proxy] = []

    def start(serving: Serving, certificate: Path | None = None) -> Proxy:
        made.append(Proxy(serving.port, certificate))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def site(certificate: Path) -> Iterator[Callable[..., Site]]:
    """Starts web sites; with TLS if they are to be secure."""
    packages = os.environ.get("SDKS_PACKAGES")
    if not packages or shutil.which("chromium") is None:
        pytest.skip("needs Chromium and packages of npm: run `tox -e sdks`")
    made: list[Site] = []

    def start(*, secure: bool = False) -> Site:
        made.append(Site(Path(packages), certificate if secure else None))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Opens pages in Chromium, without a window, until the test ends."""
    started: list[subprocess.Popen[bytes]] = []

    def open_page(url: str) -> None:
        profile = tmp_path / f"profile-{len(started)}"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-dev-shm-usage", "--disable-background-networking"]
        # The certificate of the proxy is its own.
        options += ["--ignore-certificate-errors", f"--user-data-dir={profile}"]
        command = ["chromium", *options, url]
        quiet = subprocess.DEVNULL
        started.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))

    yield open_page
    for process in started:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate for this machine, which signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("certificate") / "proxy.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def snippet_of() -> Callable[[str], str]:
    """Returns a snippet of the page by its name."""
    return _snippet_of


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """Makes a program of the snippet of a name, which this command runs, in a file of that name."""

    def make(name: str, command: Sequence[str], file: str, folder: Path = tmp_path) -> Program:
        return Program(_snippet_of(name), command, folder / file)

    return make
