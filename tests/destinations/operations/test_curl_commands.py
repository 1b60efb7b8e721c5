"""The command of --curl, run by a shell with curl, sends what the transport sent."""

from __future__ import annotations

import gzip
import http.server
import json
import shutil
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest

from destinations.definition import Timeouts
from destinations.definition.settings import Settings
from destinations.errors import UsageError
from destinations.http.answer import HttpRequest
from destinations.http.transport import HttpTransport
from destinations.operations import curl_command
from destinations.pipeline.keeping import _head, _request_body
from destinations.store import Attempt

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="it needs bash and curl"
)


class _Came(NamedTuple):
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class _Server(http.server.HTTPServer):
    came: list[_Came]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        length = self.headers["Content-Length"]
        assert length is not None or self.command in {"GET", "HEAD"}
        body = self.rfile.read(int(length or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.came.append(_Came(self.command, self.path, headers, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def __getattr__(self, name: str) -> Any:
        """Answer each method alike."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    """A server on this machine that keeps what comes."""
    with _Server(("127.0.0.1", 0), _Handler) as found:
        found.came = []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def _attempt(request: HttpRequest, settings: Settings) -> Attempt:
    """Return what is kept of a request."""
    body, is_cut, of_body = _request_body(request, len(request.body or b""), settings)
    url, headers, names = json.loads(_head(request, settings, of_body))
    return Attempt(
        *(1, 1.0, 0.1, "send", "r", request.method, url, headers, body, len(request.body or b"")),
        *(200, {}, None, 0, "", None, "r", None),
        is_request_cut=is_cut,
        secret_names=None if names is None else tuple(names),
    )


def _compare(server: _Server, request: HttpRequest, settings: Settings, home: Path) -> str:
    """Send a request, then run its command; return the command if both sent the same."""
    request = replace(request, url=f"http://127.0.0.1:{server.server_port}{request.url}")
    server.came.clear()
    with closing(HttpTransport(Timeouts(5, 5, 10))) as transport:
        transport.send(request)
    command = curl_command(_attempt(request, settings))
    user, password = (settings.get(name, "") for name in ("user", "password"))
    done = subprocess.run(
        ["bash", "-c", command],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "API_KEY": "".join(settings.get("apiKey", "")),
            "BASIC_CREDENTIALS": "".join([*user, ":", *password]),
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    sent, again = server.came
    assert (again.method, again.target) == (sent.method, sent.target)
    if request.gzip:
        assert gzip.decompress(again.body) == gzip.decompress(sent.body) == request.body
    else:
        assert again.body == sent.body
    own = {name.lower() for name in request.headers} | {"content-type", "authorization"}
    for name in own:
        assert again.headers.get(name) == sent.headers.get(name), name
    for secret in (settings.get("apiKey"), password):
        assert not secret or "".join(secret) not in command
    return command


def _request(**given: Any) -> HttpRequest:
    fields = {"method": "POST", "url": "/x", "headers": {"Content-Type": "text/plain"}}
    return HttpRequest(**{"body": b"x", **fields, **given})


NOTHING = Settings({}, ())

BODIES = {
    "quotes": b'it\'s "quoted" $HOME $(id) `id` \\ !! \\n',
    "a file's name": b"@/etc/passwd",
    "lines": b'{"a":1}\n{"b":"\xc3\xa9"}\r\n\t',
    "line ends": b"a\n\n\n",
    "zeros and invalid text": bytes(range(256)),
    "percent": b"100% %s %d\n",
    "an option": b"--data x",
    "stars": b"a *** b",
    "empty": b"",
    "other scripts": "日本 🎉 \u202e \u2028".encode(),
    "compressed already": gzip.compress(b"x" * 100, mtime=0),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(server: _Server, tmp_path: Path, body: bytes, *, compressed: bool) -> None:
    """Each byte arrives, also of a body that is compressed on its way."""
    headers = {"Content-Type": "application/x-ndjson"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
    _compare(server, _request(body=body, headers=headers, gzip=compressed), NOTHING, tmp_path)


HEADERS: Mapping[str, Mapping[str, str]] = {
    "quotes": {"X-A": 'it\'s "q" $HOME `id` \\ %41', "Content-Type": 'a/b; c="d\'e"'},
    "an empty value": {"X-A": "", "X-B": "b", "Content-Type": "text/plain"},
    "Latin-1": {"X-A": "caf\xe9 100%", "Content-Type": "text/plain"},
    "no type": {"X-A": "a"},
    "an option": {"X-A": "-H -d", "Content-Type": "text/plain"},
    "stars": {"X-A": "***", "Content-Type": "text/plain"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers(server: _Server, tmp_path: Path, headers: Mapping[str, str]) -> None:
    """Each arrives as it was, and curl adds no type."""
    _compare(server, _request(headers=headers), NOTHING, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "/a%20b/c",
        "/x?a=1&b=%26+%2B",
        "/x?a[]=1&b={c}",
        "/it's/$HOME/`id`?q='\"",
        "/é?q=日本",
        "/a b?c d",
        "/a/../b/./c",
        "/x?q=***",
        "/x?",
    ],
)
def test_urls(server: _Server, tmp_path: Path, url: str) -> None:
    """They are not read as patterns, and escaped as the transport does it."""
    _compare(server, _request(url=url), NOTHING, tmp_path)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b"", b"x"])
def test_methods(server: _Server, tmp_path: Path, method: str, body: bytes | None) -> None:
    """A request without a body says so if the transport does."""
    _compare(server, _request(method=method, body=body), NOTHING, tmp_path)


KEYS = [
    "plain-key-of-letters",
    "sk_live/0123 456789+abcdef",
    "a&b=c#d?e%20f:g@h'\"$HOME`id`\\",
    "clé-日本-~._-",
    "ends with spaces  ",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", ["query", "path", "form", "header", "bearer", "basic", "text"])
def test_secrets(server: _Server, tmp_path: Path, place: str, key: str) -> None:
    """The variable holds the secret as it is: the command encodes it for its place."""
    settings = Settings({"apiKey": key}, ("apiKey",))
    if place == "basic":
        settings = Settings({"user": "u-é", "password": key}, ("password",))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ascii_key = "".join(character for character in key if character.isascii()).strip()
    if place in {"header", "bearer", "text"}:
        settings = Settings({"apiKey": ascii_key}, ("apiKey",))
    basic = b64encode(f"u-é:{key}".encode()).decode()
    request = {
        "query": _request(url=f"/x?api_key={quote_plus(key)}&v=2", body=None, method="GET"),
        "path": _request(url=f"/bot{quote(key, safe='')}/send"),
        "form": _request(body=f"a=1&key={quote_plus(key)}&b=\n".encode(), headers=form),
        "header": _request(headers={"X-Key": f"Key {ascii_key}", "Content-Type": "a/b"}),
        "bearer": _request(headers={"Authorization": f"Bearer {ascii_key}"}),
        "basic": _request(headers={"Authorization": f"Basic {basic}"}),
        "text": _request(body=f"key is {ascii_key}\n".encode()),
    }[place]
    command = _compare(server, request, settings, tmp_path)
    assert "BASIC_CREDENTIALS" in command if place == "basic" else "$API_KEY" in command


def test_another_key(server: _Server, tmp_path: Path) -> None:
    """A key that took the place of the one that was sent is encoded for its place, too."""
    settings = Settings({"apiKey": "plain-key-of-letters"}, ("apiKey",))
    url = f"http://127.0.0.1:{server.server_port}/x?key=plain-key-of-letters"
    command = curl_command(_attempt(_request(url=url), settings))
    server.came.clear()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "API_KEY": "a b&c=d\n%é"}
    subprocess.run(["bash", "-c", command], env=environment, check=True, timeout=60)
    assert server.came[0].target == f"/x?key={quote_plus('a b&c=d' + chr(10) + '%é')}"


@pytest.mark.parametrize(
    ("given", "what"),
    [({"url": "/x" + "y" * 9_000}, "URL"), ({"headers": {"X-A": "a" * 9_000}}, "header X-A")],
)
def test_what_is_cut(given: dict[str, Any], what: str) -> None:
    """A request of which only the beginning is kept is not made."""
    with pytest.raises(UsageError, match=f"only the beginning of its {what} is kept"):
        curl_command(_attempt(_request(**given), NOTHING))
