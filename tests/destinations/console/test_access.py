"""Who may use the console, and what every answer of it has."""

from __future__ import annotations

import asyncio
import errno
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from destinations.console import app
from destinations.console.guard import HEADERS, MOST_BODY_BYTES
from destinations.console.login_link import LoginLink
from destinations.console.routing import ConsoleRoute, page
from destinations.console.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions
from destinations.console.users import User, write_user
from tests.destinations.console.conftest import (
    OPERATE_KEY,
    PASSWORD,
    READ_KEY,
    Client,
    RunningConsole,
    TestClock,
)

KINDS = ("sqlite",)  # the store has nothing to do with it

Run = Callable[..., RunningConsole]


def _routes() -> Iterator[tuple[str, BaseRoute]]:
    for route in app.make_routes():
        yield getattr(route, "path", repr(route)), route


ROUTES = dict(enumerate(_routes()))


@pytest.mark.parametrize("number", ROUTES)
def test_every_route_says_who_may_use_it(number: int) -> None:
    """No route is reached but through the place where roles are enforced."""
    path, route = ROUTES[number]
    needs = getattr(route, "needs", None)
    assert needs in {"nobody", "read", "operate"}, path
    if isinstance(route, Route):
        assert isinstance(route, ConsoleRoute), path
        # Without a role one can sign in and out, and nothing else.
        assert needs != "nobody" or path.startswith(("/login", "/logout")), path


def test_a_route_without_a_role_cannot_be_made() -> None:
    """Whoever adds a page decides who may use it; one that takes a form does so in words."""

    async def nothing(request: Request) -> Response:
        return Response(request.url.path)

    with pytest.raises(ValueError, match="expected needs"):
        page("/act", nothing, methods=["POST"])
    with pytest.raises(ValueError, match="expected the role"):
        ConsoleRoute("/act", nothing, needs="everybody")  # type: ignore[arg-type]  # what is wrong


PATHS = (
    ("GET", "/api/v1/status", 200),
    ("GET", "/api/v1/openapi.json", 200),
    ("GET", "/api/v1/deliveries/77", 404),
    ("GET", "/api/v1/nothing", 404),
    ("DELETE", "/api/v1/status", 405),
    ("GET", "/api/v1/status?x=1", 400),
    ("GET", "/api/v1/deliveries?since=2026-99-99", 422),
    ("POST", "/api/v1/deliveries/77/drop", 403),
    ("GET", "/nothing", 404),
    ("GET", "/login", 200),
    ("GET", "/login/wrong", 403),
    ("POST", "/login", 403),
    ("POST", "/logout", 303),
)


@pytest.mark.parametrize(("method", "url", "status"), PATHS)
@pytest.mark.parametrize("who", ["reader", "stranger", "wrong"])
def test_every_answer_has_the_headers(
    console: RunningConsole, who: str, method: str, url: str, status: int
) -> None:
    """Redirects, refusals and faults as well: a browser never runs what is in an answer."""
    clients = {
        "reader": console.reader,
        "stranger": console.stranger,
        "wrong": Client(console.port, "no key of this console"),
    }
    answer = clients[who].send(method, url)
    if who == "reader":
        assert answer.status == status
    for name, value in HEADERS.items():
        assert answer.headers[name.lower()] == value
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_an_internal_error_tells_nothing(
    console: RunningConsole, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the headers, too; only the log has the reason."""

    def fail(*_: object) -> None:
        raise RuntimeError("a secret of this machine")

    monkeypatch.setattr(console.verbs, "status", fail)
    answer = console.reader.api("/status")
    assert answer.status == 500
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "a secret of this machine" in caplog.text


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_is_not_http_gets_the_headers(console: RunningConsole, head: bytes) -> None:
    """The answers of the connection itself have them."""
    import socket  # noqa: PLC0415 - only here

    with socket.create_connection(("127.0.0.1", console.port), timeout=10) as connection:
        connection.sendall(head)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Content-Security-Policy: default-src 'none'" in answer


HOSTS = (
    ("127.0.0.1", 200),
    ("127.0.0.1:9999", 200),  # a tunnel may have another port
    ("localhost:1", 200),
    ("LOCALHOST", 200),
    ("[::1]:80", 200),
    ("evil.example", 421),
    ("evil.example:8788", 421),
    ("127.0.0.1.evil.example", 421),
    ("localhost.evil.example", 421),
    ("", 421),
    ("[::1", 421),
    ("127.0.0.1@evil.example", 421),
)


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_the_host_is_checked(console: RunningConsole, host: str, status: int) -> None:
    """A page of another site whose name points to this machine gets nothing."""
    assert console.reader.api("/status", Host=host).status == status


def test_hosts_of_a_configuration(run_console: Run) -> None:
    """Behind a proxy only its names count, if they are known; else the proxy decides."""
    named = run_console(behind_proxy=True, hosts=frozenset({"console.example.com"}))
    assert named.reader.api("/status", Host="console.example.com").status == 200
    assert named.reader.api("/status", Host="other.example.com").status == 421
    unnamed = run_console(behind_proxy=True)
    assert unnamed.reader.api("/status", Host="other.example.com").status == 200


KEYS = (
    (f"Bearer {READ_KEY}", 200),
    (f"bearer {READ_KEY}", 200),
    (f"Basic {READ_KEY}", 401),
    (READ_KEY, 401),
    ("Bearer", 401),
    ("Bearer ", 401),
    (f"Bearer {READ_KEY}x", 401),
    (f"Bearer {READ_KEY[:-1]}", 401),
    ("Bearer \udcff".encode("utf-8", "surrogateescape").decode("latin-1"), 401),
)


@pytest.mark.parametrize(("header", "status"), KEYS)
def test_a_wrong_key_is_refused_late(console: RunningConsole, header: str, status: int) -> None:
    """After a delay, and with the sentence that says what is expected."""
    answer = console.stranger.api("/status", Authorization=header)
    assert answer.status == status
    assert console.slept == ([] if status == 200 else [1.0])
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Bearer realm="destinations"'
        assert "wrong key in Authorization" in answer.json["detail"]


def test_a_delay_holds_nobody_else_up(console: RunningConsole) -> None:
    """While a wrong key waits for its answer, others are served."""
    waits, goes_on = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def sleep(_seconds: float) -> None:
        loops.append(asyncio.get_running_loop())
        waits.set()
        await goes_on.wait()

    console.gate._sleep = sleep
    found: list[int] = []
    wrong = Client(console.port, "a key that nobody has")
    thread = threading.Thread(target=lambda: found.append(wrong.api("/status").status))
    thread.start()
    assert waits.wait(10)
    assert console.reader.api("/status").status == 200
    assert not found
    loops[0].call_soon_threadsafe(goes_on.set)
    thread.join()
    assert found == [401]


def test_a_wrong_key_does_not_fall_back_on_a_session(console: RunningConsole) -> None:
    """Who says who they are is believed, or not: nothing else counts."""
    browser = console.stranger
    browser.sign_in("ada")
    assert browser.api("/status").status == 200
    assert browser.api("/status", Authorization="Bearer wrong").status == 401


def test_many_wrong_keys(console: RunningConsole) -> None:
    """From one address only so many are looked at; a right one still counts."""
    wrong = Client(console.port, "a key that nobody has")
    statuses = [wrong.api("/status").status for _ in range(25)]
    assert statuses[:20] == [401] * 20
    assert set(statuses[20:]) == {429}
    assert console.reader.api("/status").status == 200
    console.clock.now += 3_600
    assert wrong.api("/status").status == 401


def test_sign_in_and_out(console: RunningConsole) -> None:
    """A session begins with the right password, and ends when one signs out."""
    browser = console.stranger
    assert browser.get("/api/v1/status").status == 401
    answer = browser.sign_in("ada", next_path="/deliveries?outcome=dead")
    assert (answer.status, answer.headers["location"]) == (303, "/deliveries?outcome=dead")
    session = dict(browser.cookies)
    assert browser.get("/api/v1/status").status == 200
    csrf = console.gate.sessions.find(session[console.gate.cookie])
    assert csrf is not None
    assert browser.post("/logout", {"csrf": "of another site"}).status == 403
    assert browser.post("/logout", {"csrf": csrf.csrf}).headers["location"] == "/login"
    assert console.gate.cookie not in browser.cookies
    browser.cookies = session  # who has copied it has nothing
    assert browser.get("/api/v1/status").status == 401


NEXT = (
    ("/deliveries/17", "/deliveries/17"),
    ("", "/"),
    ("https://evil.example/", "/"),
    ("//evil.example/", "/"),
    ("/\\evil.example", "/"),
    ("/a\\b", "/"),
    ("/a\r\nSet-Cookie: x=1", "/"),
    ("javascript:alert(1)", "/"),
)


@pytest.mark.parametrize(("given", "expected"), NEXT)
def test_one_stays_here_after_signing_in(
    console: RunningConsole, given: str, expected: str
) -> None:
    """No link to the form leads to another site."""
    answer = console.stranger.sign_in("ada", next_path=given)
    assert answer.headers["location"] == expected


def test_a_stranger_is_asked_to_sign_in(monkeypatch: pytest.MonkeyPatch, run_console: Run) -> None:
    """A page that needs a role leads to the form, and back to itself afterwards."""
    pages = [
        page("/secret", lambda _: Response("shown")),
        page("/act", lambda _: Response("done"), needs="operate", methods=["POST"]),
    ]
    routes = [*app.make_routes(), *pages]
    monkeypatch.setattr(app, "make_routes", lambda _config: routes)
    console = run_console()
    answer = console.stranger.get("/secret?a=1&b=%2F")
    assert (answer.status, answer.headers["location"]) == (
        303,
        "/login?next=%2Fsecret%3Fa%3D1%26b%3D%252F",
    )
    assert console.stranger.post("/act", {}).headers["location"] == "/login"
    browser, csrf = _signed_in(console, "ben")
    assert browser.get("/secret").text == "shown"
    assert browser.post("/act", {"csrf": csrf}).status == 403
    browser, csrf = _signed_in(console, "ada")
    assert browser.post("/act", {"csrf": "x"}).status == 403
    assert browser.post("/act", {"csrf": csrf}).text == "done"


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_cookies(run_console: Run, *, behind_proxy: bool) -> None:
    """No script reads them, no other site sends them, and off this machine only HTTPS has them."""
    console = run_console(behind_proxy=behind_proxy)
    browser = console.stranger
    cookies = [*browser.get("/login").cookies, *browser.sign_in("ada").cookies]
    assert len(cookies) >= 3
    for line in cookies:
        flags = [part.strip().lower() for part in line.split(";")[1:]]
        assert "httponly" in flags
        assert "samesite=strict" in flags
        assert ("secure" in flags) is behind_proxy
        assert not any(flag.startswith("domain") for flag in flags)
    assert console.gate.cookie.startswith("__Host-") is behind_proxy


def _signed_in(console: RunningConsole, name: str) -> tuple[Client, str]:
    browser = console.stranger
    assert browser.sign_in(name).status == 303
    session = console.gate.sessions.find(browser.cookies[console.gate.cookie])
    assert session is not None
    return browser, session.csrf


def test_forged_requests(
    console: RunningConsole, dead: Callable[..., int], statuses: Callable[[], dict[int, str]]
) -> None:
    """What another site sends with the cookie of an operator changes nothing."""
    dead()
    browser, csrf = _signed_in(console, "ada")
    _, of_other = _signed_in(console, "ada")
    body = {"reason": "forged"}
    for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": of_other}):
        answer = browser.api("/deliveries/1000/drop", body, **wrong)
        assert (answer.status, statuses()) == (403, {1_000: "dead"})
    form = browser.post("/api/v1/deliveries/1000/drop", {"reason": "forged"})
    assert form.status == 403
    answer = browser.api("/deliveries/1000/drop", body, **{"X-CSRF-Token": csrf})
    assert (answer.status, statuses()) == (200, {1_000: "dropped"})


def test_a_key_needs_no_token(console: RunningConsole, dead: Callable[..., int]) -> None:
    """No browser adds a key by itself."""
    dead()
    assert console.operator.api("/deliveries/1000/drop", {"reason": "x"}).status == 200


def test_the_form_to_sign_in_is_not_forged(console: RunningConsole) -> None:
    """Nobody is signed in as someone else by another site."""
    browser = console.stranger
    fields = {"name": "ada", "password": PASSWORD, "next": "/"}
    assert browser.post("/login", fields).status == 403
    token = re.search(r'name="csrf" value="([^"]*)"', console.stranger.get("/login").text)
    assert token is not None
    browser.get("/login")
    assert browser.post("/login", {**fields, "csrf": token[1]}).status == 403
    assert browser.sign_in("ada").status == 303


def test_a_session_that_was_put_there_does_not_live_on(console: RunningConsole) -> None:
    """Who signs in gets a session that nobody else has seen."""
    browser, _ = _signed_in(console, "ben")
    former = browser.cookies[console.gate.cookie]
    assert browser.sign_in("ada").status == 303
    assert browser.cookies[console.gate.cookie] != former
    assert console.gate.sessions.find(former) is None


def test_guessing_passwords(console: RunningConsole) -> None:
    """After five wrong ones each further one waits twice as long, the right one as well."""
    browser = console.stranger
    assert [browser.sign_in("ada", "wrong password").status for _ in range(5)] == [401] * 5
    answer = browser.sign_in("ada")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert browser.sign_in("ben").status == 303  # another name is not concerned
    waits = []
    for _ in range(12):
        answer = browser.sign_in("ada", "wrong password")
        if answer.status == 429:
            waits.append(int(answer.headers["retry-after"]))
            console.clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32]
    console.clock.now += 900
    assert browser.sign_in("ada").status == 303
    assert browser.sign_in("ada", "wrong password").status == 401  # it begins anew


def test_guessing_names(console: RunningConsole) -> None:
    """An address that tries many names is stopped, too, and its right ones are not counted."""
    browser = console.stranger
    for _ in range(30):
        assert browser.sign_in("ben").status == 303
    found = [browser.sign_in(f"name{number}", "wrong password").status for number in range(22)]
    assert found == [401] * 20 + [429] * 2


def test_who_has_no_account_takes_as_long(console: RunningConsole, monkeypatch: Any) -> None:
    """The work is the same for names that are not there: they cannot be told by the time."""
    from destinations.console import users  # noqa: PLC0415 - what is looked at

    checked: list[str] = []
    verify = type(users._HASHER).verify

    def counting(self: Any, hashed: str, password: str) -> bool:
        checked.append(hashed)
        return bool(verify(self, hashed, password))

    monkeypatch.setattr(type(users._HASHER), "verify", counting)
    for name in ("ada", "nobody", ""):
        answer = console.stranger.sign_in(name, "wrong password")
        assert (answer.status, "Wrong name or password." in answer.text) == (401, True)
    assert len(checked) == 3
    assert len({hashed.rpartition("$")[0].rpartition("$")[0] for hashed in checked}) == 1


def test_addresses_behind_a_proxy(run_console: Run) -> None:
    """The address is the one that the proxy saw; what a client wrote before that is nothing."""
    console = run_console(behind_proxy=True)
    first = {"X-Forwarded-For": "6.6.6.6, 10.1.1.1"}
    second = {"X-Forwarded-For": "10.1.1.1, 10.2.2.2"}
    for _ in range(20):
        assert console.stranger.api("/status", Authorization="Bearer x", **first).status == 401
    assert console.stranger.api("/status", Authorization="Bearer x", **first).status == 429
    assert console.stranger.api("/status", Authorization="Bearer x", **second).status == 401


def test_without_a_proxy_nobody_chooses_an_address(console: RunningConsole) -> None:
    """Else everyone who guesses would come from a new one each time."""
    found = [
        console.stranger.api(
            "/status", Authorization="Bearer x", **{"X-Forwarded-For": f"10.0.0.{number}"}
        ).status
        for number in range(21)
    ]
    assert found[-1] == 429


def test_a_session_ends(console: RunningConsole) -> None:
    """When it was not used for some hours, and in any case after half a day."""
    browser, _ = _signed_in(console, "ben")
    console.clock.now += IDLE_SECONDS - 1
    assert browser.get("/api/v1/status").status == 200
    console.clock.now += IDLE_SECONDS
    assert browser.get("/api/v1/status").status == 401
    browser, _ = _signed_in(console, "ben")
    for _ in range(int(LONGEST_SECONDS / 3_600) - 1):
        console.clock.now += 3_600
        assert browser.get("/api/v1/status").status == 200
    console.clock.now += 3_600
    assert browser.get("/api/v1/status").status == 401


def test_sessions_stay_few() -> None:
    """The one that was used longest ago makes room."""
    clock = TestClock()
    sessions = Sessions(clock, most=3)
    tokens = []
    for number in range(3):
        clock.now += 1
        tokens.append(sessions.begin(f"name{number}", "read"))
    clock.now += 1
    sessions.find(tokens[0])
    tokens.append(sessions.begin("name3", "read"))
    assert [sessions.find(token) is not None for token in tokens] == [True, False, True, True]


@pytest.mark.parametrize("change", ["role", "password", "removed"])
def test_a_changed_operator_signs_in_again(
    console: RunningConsole, users_file: Path, hashed: str, change: str
) -> None:
    """Whoever loses a role, or whose password is exchanged, has no session any more."""
    browser, _ = _signed_in(console, "ada")
    if change == "role":
        write_user(users_file, User("ada", "read", hashed))
    elif change == "password":
        other = hashed[:-1] + ("A" if hashed[-1] != "A" else "B")
        write_user(users_file, User("ada", "operate", other))
    else:
        text = users_file.read_text()
        users_file.write_text("users:\n" + text[text.index("- name: ben") :])
    assert browser.get("/api/v1/status").status == 401


def test_roles_of_people_and_keys(console: RunningConsole, dead: Callable[..., int]) -> None:
    """Who may only look changes nothing, not even by a dry run of it."""
    dead()
    reader, csrf = _signed_in(console, "ben")
    for client, headers in ((console.reader, {}), (reader, {"X-CSRF-Token": csrf})):
        for path, body in (
            ("/deliveries/1000/drop", {"reason": "x", "dryRun": True}),
            ("/deliveries/1000/replay", {}),
            ("/deliveries/1000/resolve", {"decision": "applied"}),
            ("/destinations/sample/pause", {}),
        ):
            answer = client.api(path, body, **headers)
            assert answer.status == 403
            assert "has the role read: this needs operate" in answer.json["detail"]
        event = {"destination": "sample", "event": {"type": "track"}}
        assert client.api("/explain", event, **headers).status == 200


def test_large_bodies(console: RunningConsole) -> None:
    """They are refused before they are held, also if their length is not said."""
    large = b"x" * (MOST_BODY_BYTES + 1)
    answer = console.operator.send("POST", "/api/v1/explain", body=large)
    assert answer.status == 413
    chunked = console.operator.send(
        "POST",
        "/api/v1/explain",
        body=b"80000\r\n" + large[:0x80000] + b"\r\n" + b"90000\r\n" + large[:0x90000] + b"\r\n",
        headers={"Transfer-Encoding": "chunked"},
    )
    assert chunked.status == 413


def test_the_login_link(run_console: Run, tmp_path: Path) -> None:
    """Whoever is at the terminal signs in by it, once; then there is another one."""
    import io  # noqa: PLC0415 - only here

    terminal, file = io.StringIO(), tmp_path / "console-login"
    link = LoginLink(file, "http://127.0.0.1:1", terminal)
    console = run_console(with_users=False, link=link)
    link.tell()
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text().strip()
    assert first in terminal.getvalue()
    path = first.removeprefix("http://127.0.0.1:1")
    browser = console.stranger
    assert browser.get(path).headers["location"] == "/"
    assert browser.get("/api/v1/status").status == 200
    other = console.stranger
    assert other.get(path).status == 403  # it was used
    second = file.read_text().strip()
    assert second != first
    assert other.get(second.removeprefix("http://127.0.0.1:1")).status == 303
    # Nobody has a password here, so there is no form for one.
    given = {"name": "ada", "password": PASSWORD}
    assert console.stranger.post("/login", given).status == 403
    assert "csrf" not in console.stranger.get("/login").text
    link.close()
    assert not file.exists()


def test_a_link_is_used_up_though_no_other_can_be_written(run_console: Run, tmp_path: Path) -> None:
    """A full disk does not let a second one in."""
    folder = tmp_path / "links"
    folder.mkdir()
    link = LoginLink(folder / "console-login", "http://127.0.0.1:1", None)
    console = run_console(with_users=False, link=link)
    link.tell()
    path = (folder / "console-login").read_text().strip().removeprefix("http://127.0.0.1:1")
    (folder / "console-login").unlink()
    folder.rmdir()
    assert console.stranger.get(path).status == 303
    assert console.stranger.get(path).status == 403


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_link_without_a_file(
    run_console: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    has_terminal: bool,
) -> None:
    """On a full disk the link is on the terminal only, which says why; later it has a file."""
    import io  # noqa: PLC0415 - only here

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    terminal, file = io.StringIO(), tmp_path / "console-login"
    file.write_text("an earlier one")
    link = LoginLink(file, "http://127.0.0.1:1", terminal if has_terminal else None)
    console = run_console(with_users=False, link=link)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        link.tell()
    assert not file.exists()
    has_file = [link.is_written]
    (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "No space left on device" in warning.getMessage()
    assert "/login/" not in caplog.text
    if has_terminal:
        assert f"(only here: cannot write {file}: No space left on device)" in terminal.getvalue()
        (path,) = re.findall(r"http://127.0.0.1:1(/login/\S+)", terminal.getvalue())
        assert console.stranger.get(path).status == 303
    else:
        assert "make room and reload the configuration" in warning.getMessage()
        link.tell()
    assert [*has_file, link.is_written] == [False, True]
    assert file.read_text().startswith("http://127.0.0.1:1/login/")


def test_guessing_links(run_console: Run, tmp_path: Path) -> None:
    """An address that guesses has to wait."""
    console = run_console(
        with_users=False, link=LoginLink(tmp_path / "console-login", "http://127.0.0.1:1", None)
    )
    found = [console.stranger.get(f"/login/guess{number}").status for number in range(21)]
    assert found == [403] * 20 + [429]
    assert OPERATE_KEY


# -- notices ---------------------------------------------------------------------------------------


def _with_token(console: RunningConsole) -> tuple[Client, str]:
    client = console.stranger
    client.sign_in("ada")
    found = re.search(r'name="csrf" value="([^"]*)"', client.get("/?refresh=off").text)
    assert found is not None
    return client, found[1]


def test_a_notice_is_said_once(console: RunningConsole, dead: Callable[..., int]) -> None:
    """To who did something, on the page that follows, and never because of a link."""
    dead()
    client, token = _with_token(console)
    said = "sample is paused: its events wait."
    answer = client.post("/destinations/pause", {"csrf": token, "destination": "sample"})
    place = answer.headers["location"]
    assert (answer.status, place.partition("=")[0]) == (303, "/?said")
    assert said not in client.get("/").text
    assert said not in client.get("/deliveries").text
    assert said not in client.get(place, **{"HX-Request": "true"}).text
    other, _ = _with_token(console)
    assert said not in other.get(place).text
    assert said not in client.get(place.replace("/?", "/live?")).text
    text = client.get(place).text
    assert said in text
    assert "said=" not in text  # no link of the page repeats the token
    assert said not in client.get(place).text
    assert client.get("/?done=paused&number=3").status == 400


def test_notices_of_two_tabs(console: RunningConsole, dead: Callable[..., int]) -> None:
    """Each tab is told what was done there, though both go to the same page."""
    dead()
    client, token = _with_token(console)
    form = {"csrf": token, "destination": "sample"}
    first, second = (
        client.post(f"/destinations/{action}", form).headers["location"]
        for action in ("pause", "resume")
    )
    texts = [client.get(place).text for place in (second, first)]
    assert ["sample is resumed" in text for text in texts] == [True, False]
    assert ["sample is paused: its events wait." in text for text in texts] == [False, True]


def test_a_notice_that_nobody_reads(console: RunningConsole, dead: Callable[..., int]) -> None:
    """It is of no use after a while: who comes back later has not just done something."""
    dead()
    client, token = _with_token(console)
    answer = client.post("/destinations/pause", {"csrf": token, "destination": "sample"})
    console.clock.now += 61
    place = answer.headers["location"]
    assert "sample is paused: its events wait." not in client.get(place).text
