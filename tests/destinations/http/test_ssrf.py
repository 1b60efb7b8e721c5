"""What an event names as a host leads to the public internet, or nowhere."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote

import pytest

from destinations.definition import Timeouts
from destinations.errors import ResolveError, TransportError, UnsendableError
from destinations.http import HttpRequest
from destinations.http.ssrf import is_public, public_addresses
from destinations.http.transport import HttpTransport
from destinations.runtime.destination import Destination

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - an address that means this machine
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    # What looks like an address of the public internet.
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110",
    "2002:a83f:8110::1",
    "192.88.99.0",
    "192.88.99.1",
    "192.88.99.255",
    "2002:c058:6301::1",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "5f00::1",
    "5fff::1",
    "100::1",
    "100:0:0:1::1",
    "2001:2::1",
    "2001:10::1",
    "::ffff:0:127.0.0.1",
]
PUBLIC = [
    *("93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:93.184.216.34"),
    *("168.63.129.15", "168.63.129.17", "192.88.98.255", "192.88.100.0"),
    *("3ffe:ffff::1", "2002:5db8:d822::1"),
]


@pytest.mark.parametrize(
    ("address", "public"), [(a, False) for a in PRIVATE] + [(a, True) for a in PUBLIC]
)
def test_addresses(address: str, public: bool) -> None:
    """Loopback, link-local, private, shared, reserved and multicast addresses are not public."""
    assert is_public(address) is public


Names = dict[str, list[list[str]]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names that are looked up here first: the first address list is used up, the last stays."""
    known: Names = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *rest, **options)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port),
            )
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
        *("0", "localhost", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "3232235777"),
    ],
)
def test_forms_of_an_address(host: str) -> None:
    """However an address is written, it is the one that would be connected to that counts."""
    with pytest.raises(UnsendableError, match="not an address of the public internet"):
        public_addresses(host, 80)


@pytest.mark.parametrize(
    ("addresses", "public"),
    [
        (["93.184.216.34"], True),
        (["93.184.216.34", "2606:4700::1111"], True),
        (["93.184.216.34", "10.0.0.1"], False),
        (["::1", "93.184.216.34"], False),
    ],
)
def test_a_name_with_several_addresses(names: Names, addresses: list[str], public: bool) -> None:
    """One address that is not public is enough to refuse a name."""
    names["inside.example.com"] = [addresses]
    if public:
        assert public_addresses("inside.example.com", 80) == addresses
    else:
        with pytest.raises(UnsendableError, match=r"inside\.example\.com"):
            public_addresses("inside.example.com", 80)


class _Inside(http.server.BaseHTTPRequestHandler):
    """A service of this machine."""

    def do_GET(self) -> None:
        """Answers with success, or with the redirect that the path asks for: ``/302/LOCATION``."""
        self.server.visits.append(self.path)  # type: ignore[attr-defined]
        _, _, rest = self.path.partition("/")
        status, _, location = rest.partition("/")
        self.send_response(int(status) if location else 200)
        if location:
            self.send_header("Location", unquote(location))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def inside() -> Iterator[tuple[int, list[str]]]:
    """The port of a service of this machine, and what was asked of it."""
    visits: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Inside)
    server.visits = visits  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port, visits
    server.shutdown()
    server.server_close()
    thread.join()


def _get(url: str, *, of_event: bool) -> HttpRequest:
    return HttpRequest("GET", url, {}, None, of_event)


@pytest.fixture
def transport() -> Iterator[Callable[..., HttpTransport]]:
    """Makes transports."""
    made: list[HttpTransport] = []

    def make(**options: Any) -> HttpTransport:
        made.append(HttpTransport(Timeouts(2, 2, 2), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_an_event_does_not_lead_inside(
    inside: tuple[int, list[str]], transport: Callable[..., HttpTransport], host: str
) -> None:
    """Nothing is sent, and it never will be; the operator's own host is reached all the same."""
    port, visits = inside
    sender = transport()
    assert sender.send(_get(f"http://{host}:{port}/own", of_event=False)).body == b"ok"
    with pytest.raises(UnsendableError, match="not an address of the public internet"):
        sender.send(_get(f"http://{host}:{port}/event", of_event=True))
    assert visits == ["/own"]


def test_an_operator_may_allow_it(
    inside: tuple[int, list[str]], transport: Callable[..., HttpTransport]
) -> None:
    """Where private addresses are allowed, an event may lead there."""
    port, visits = inside
    url = f"http://127.0.0.1:{port}/event"
    assert transport(allow_private=True).send(_get(url, of_event=True)).body == b"ok"
    assert visits == ["/event"]


def test_a_name_that_changes_its_address(
    inside: tuple[int, list[str]], transport: Callable[..., HttpTransport], names: Names
) -> None:
    """Public when it is looked at and private when it is connected to: nothing is sent."""
    port, visits = inside
    names["moving.example.com"] = [["93.184.216.34"], ["127.0.0.1"]]
    with pytest.raises(UnsendableError, match=r"moving\.example\.com, which is 127\.0\.0\.1"):
        transport().send(_get(f"http://moving.example.com:{port}/", of_event=True))
    assert visits == []


def test_the_address_that_was_checked_is_connected_to(
    inside: tuple[int, list[str]],
    transport: Callable[..., HttpTransport],
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is not looked up again after the check; its other addresses are tried in turn."""
    port, visits = inside
    tried: list[str] = []

    def public(host: str, _: int) -> list[str]:
        tried.append(host)
        return ["127.0.0.2", "127.0.0.1"]  # nothing listens at the first

    monkeypatch.setattr("destinations.http.ssrf.public_addresses", public)
    monkeypatch.setattr("destinations.http.transport.public_addresses", public)
    names["one.example.com"] = [[]]  # looked up, it would have no address
    sent = transport().send(_get(f"http://one.example.com:{port}/x", of_event=True))
    assert (sent.body, visits) == (b"ok", ["/x"])
    assert tried == ["one.example.com"] * 2


@pytest.mark.parametrize(
    ("of_event", "allow_private"), [(True, False), (True, True), (False, False)]
)
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:{port}/secret", "http://localhost:{port}/secret", "/secret"),
        *("//127.0.0.1:{port}/secret", "http://[::1]:{port}/secret", "http://2130706433:{port}/x"),
        *("http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/"),
    ],
)
def test_a_redirect_is_not_followed(  # noqa: PLR0917 - each is a case of its own
    inside: tuple[int, list[str]],
    transport: Callable[..., HttpTransport],
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    location: str,
    status: int,
    of_event: bool,
    allow_private: bool,
) -> None:
    """The answer is the redirect itself; where it leads to is not even looked up.

    Not for a host of the event nor for one of the operator, also where private addresses are
    allowed: what was sent, with its credentials, was meant for the first host alone.
    """
    port, visits = inside
    real, looked_up = socket.getaddrinfo, []

    def look_up(host: str, *rest: Any, **options: Any) -> Any:
        looked_up.append(host)
        return real(host, *rest, **options)

    def public(host: str, port: int) -> list[str]:
        if host == "redirecting.example.com":  # as if that address were a public one
            return ["127.0.0.1"]
        return public_addresses(host, port)

    names["redirecting.example.com"] = [["127.0.0.1"]]
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr("destinations.http.ssrf.public_addresses", public)
    monkeypatch.setattr("destinations.http.transport.public_addresses", public)
    target = location.format(port=port)
    path = f"/{status}/{quote(target, safe='')}"
    url = f"http://redirecting.example.com:{port}{path}"
    answer = transport(allow_private=allow_private).send(_get(url, of_event=of_event))
    assert (answer.status, answer.headers["location"]) == (status, target)
    assert visits == [path]
    assert len(looked_up) == 1  # for the first connection, which is the only one


def test_a_name_that_does_not_exist(
    transport: Callable[..., HttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a connection that could not be made: the event may be sent later."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(TransportError, match="no connection") as raised:
        transport().send(_get("http://nowhere.example.com/", of_event=True))
    assert not raised.value.sent
    assert not isinstance(raised.value, UnsendableError)


@pytest.mark.parametrize(
    ("template", "page", "url"),
    [
        ("{{settings.endpoint}}/pages/{{payload.page}}", "a", "http://127.0.0.1:9/pages/a"),
        (
            "{{settings.endpoint}}/pages/{{payload.page}}",
            "http://evil/",
            "http://127.0.0.1:9/pages/http%3A%2F%2Fevil%2F",
        ),
        ("http://127.0.0.1:9/{{payload.page}}", "@evil", "http://127.0.0.1:9/%40evil"),
        ("{{payload.page}}", "http://127.0.0.1:9/graphql", None),
        ("{{settings.endpoint}}{{payload.page}}", "@127.0.0.1/", None),
        ("{{settings.endpoint}}{{payload.page}}", "", None),
        ("http://127.0.0.1{{payload.page}}", ":22/", None),
        ("http://{{payload.page}}/", "127.0.0.1", None),
        ("http://x.example.com.{{payload.page}}/", "evil.example.com", None),
        ("http://{{{payload.page}}}@127.0.0.1:9/", "user", None),
        ("{{event.name}}", "http://127.0.0.1:9/", None),
    ],
)
def test_no_event_chooses_the_host(
    bind: Callable[..., Destination], template: str, page: str, url: str | None
) -> None:
    """A value in the place of a host, or of a port, makes the event invalid, whatever it is."""

    def change(documents: dict[str, Any]) -> None:
        rest = documents["destination"]["requests"]["save"]["rest"]
        del rest["path"]
        rest["url"] = {"@template": template}

    destination = bind(change, endpoint="http://127.0.0.1:9")
    event = {"userId": "u1", "type": "page", "name": page}
    context = {"event": event, "payload": {"page": page}, "settings": destination.settings}
    request = destination.requests["save"]
    parts = [request.part(context)]
    if url is None:
        with pytest.raises(ResolveError, match="an event must not choose the host"):
            request.prepare(parts, context)
    else:
        made = request.prepare(parts, context)
        assert (made.url, made.host_of_event) == (url, False)
        assert json.loads(made.body or b"") == {"by": "u1"}


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:9\\@8.8.8.8/v1", UnsendableError),
        ("http://8.8.8.8@127.0.0.1:9/v1", UnsendableError),
        ("http://[::1]:9/v1", UnsendableError),
        ("http://no-such-name.invalid/v1", TransportError),
    ],
)
def test_a_proxy_is_asked_for_no_private_host(
    monkeypatch: pytest.MonkeyPatch, transport: Callable[..., HttpTransport], url: str, error: Any
) -> None:
    """Whatever form the URL has, and where only the proxy would know the name: nothing is sent."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    request = HttpRequest("GET", url, {}, None, public_only=True)
    with pytest.raises(error) as found:
        transport().send(request)
    if error is TransportError:
        assert not found.value.sent
        assert "not known here" in found.value.message
