"""Every check finds the endpoint that gets exactly its answer wrong, and no other."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import TemporaryError
from destinations.kit.portal import CHECKS, CheckedEndpoint, Endpoint, Row, Verdict
from destinations.kit.portal.samples import Samples
from destinations.kit.portal.sending import send_on_one_connection
from destinations.secrets import Secret

KEY = "prv_test_Ab1Cd2Ef3Gh4Ij5"
SETTINGS = {"region": "eu", "secret": "a-secret-of-settings"}

NAMES = [check.name for check in CHECKS]

# Checks whose result a person has to look at, whatever the endpoint does.
LOOKED_AT = {"repeat", "field-case"}


def _rows(endpoint: Any, *only: str, seconds: float = 30, **more: Any) -> dict[str, Row]:
    """The rows of a run, by name; ``key`` and ``settings`` are those of the customer."""
    given = Endpoint(endpoint.url, **{"key": Secret(KEY), **more})
    checks = [check for check in CHECKS if not only or check.name in only]
    rows = list(CheckedEndpoint(given, seconds=seconds).run(checks))
    assert [row.name for row in rows] == [check.name for check in checks]
    return {row.name: row for row in rows}


def _with(rows: Mapping[str, Row], verdict: Verdict) -> set[str]:
    return {name for name, row in rows.items() if row.verdict is verdict}


@pytest.mark.parametrize("settings", [None, SETTINGS], ids=["key alone", "settings"])
def test_an_endpoint_that_keeps_the_protocol(endpoint: Any, settings: Any) -> None:
    """Nothing is wrong, and what cannot be seen from outside is a note."""
    rows = _rows(endpoint, settings=settings)
    assert _with(rows, Verdict.FAULT) | _with(rows, Verdict.SKIPPED) == set()
    assert _with(rows, Verdict.NOTE) == LOOKED_AT
    assert {row.message for row in rows.values() if row.verdict is Verdict.OK} == {""}


def test_an_endpoint_with_tls(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that are kept are encrypted as well, and trust whom the environment trusts."""
    subject = ("-subj", "/CN=partner", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", "key.pem", "-out", "cert.pem")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run([*made, *subject, *files], cwd=tmp_path, check=True, capture_output=True)
    endpoint.encrypt(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TemporaryError, match="certificate verify failed"):
        _rows(endpoint, "track")
    request = Samples(Endpoint(endpoint.url), "mark").post({})
    (answer,) = send_on_one_connection([request], 30)
    assert answer.ending == "unreachable"
    assert endpoint.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    rows = _rows(endpoint, "track", "keep-alive", "after-error")
    assert _with(rows, Verdict.OK) == {"track", "keep-alive", "after-error"}


def test_a_proxy_keeps_connections_of_its_own(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is seen of them says nothing of the endpoint's, so these checks are skipped."""
    monkeypatch.setenv("http_proxy", endpoint.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    given = Endpoint("http://partner.invalid/v1", Secret(KEY))
    rows = {row.name: row for row in CheckedEndpoint(given, seconds=30).run()}
    assert _with(rows, Verdict.SKIPPED) == {"keep-alive", "after-error"}


def test_names_are_distinct() -> None:
    """Each name means one check, as --only and --json need it."""
    assert len(set(NAMES)) == len(NAMES)


def test_the_page_has_every_check() -> None:
    """Its table has each of them once, in the order in which they are made."""
    page = Path(__file__).parents[4] / "docs" / "portal-check.md"
    table = page.read_text(encoding="utf-8").partition("| check | sent |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert [name for cell in first for name in re.findall("`(.+?)`", cell)] == NAMES


def _wrong_for(is_meant: Callable[[Any], Any], reply: Any) -> Callable[[Any, Any], Any]:
    return lambda request, right: reply if is_meant(request) else right


class Given:
    """An answer, as a test's own kind of `Reply`."""

    def __init__(self, status: int, body: Any = None, cut: bool = False, **headers: str) -> None:  # noqa: FBT002 - read at once
        self.status, self.cut = status, cut
        self.body = {"message": "a reason"} if body is None else body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _twice(same: bool) -> Callable[[Any, Any], Any]:
    """Answers 500 to a messageId that comes again, with the same content or with another one."""
    bodies: dict[str, bytes] = {}

    def wrong(request: Any, right: Any) -> Any:
        if right.status not in {200, 409}:
            return right
        name = request.event.get("messageId", "")
        known = bodies.setdefault(name, request.body)
        is_again = name in bodies and known is not request.body
        return Given(500) if is_again and (known == request.body) is same else right

    return wrong


ACCEPTED, BUSY = Given(200), Given(503)

# By check: the wrong answer and when it is given, and a part of what is said.
WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    **{
        call: (_wrong_for(lambda r, call=call: r.type == call, Given(500)), "repeats the event")  # type: ignore[misc]
        for call in ("track", "identify", "page", "screen", "group", "alias", "delete")
    },
    "anonymous": (
        _wrong_for(lambda r: r.type and not {"userId", "userid", "UserId"} & {*r.event}, BUSY),
        "503 for a failure that passes",
    ),
    "vendor-type": (
        _wrong_for(lambda r: "vnd" in r.headers.get("content-type", ""), Given(415)),
        "does not repeat an event after 415",
    ),
    "no-key": (
        _wrong_for(lambda r: "authorization" not in r.headers and not r.query, ACCEPTED),
        "events of anybody",
    ),
    "wrong-key": (
        _wrong_for(lambda r: r.key.startswith("prv_test_") and r.key != KEY, ACCEPTED),
        "events of anybody",
    ),
    "malformed-key": (
        _wrong_for(lambda r: r.headers.get("authorization") == "Basic %%%", Given(500)),
        "With text instead of Base64: Segment takes 500",
    ),
    "key-in-url": (_wrong_for(lambda r: f"apiKey={KEY}" in r.query, ACCEPTED), "written to logs"),
    "get": (_wrong_for(lambda r: r.method == "GET", ACCEPTED), "as if an event had been accepted"),
    "cut-json": (
        _wrong_for(
            lambda r: r.body.startswith(b'{"type": "track", "userId": ') and not r.type, Given(500)
        ),
        "500",
    ),
    "no-object": (
        _wrong_for(lambda r: r.body == b"null", ACCEPTED),
        "With null: It was accepted, so",
    ),
    "empty-body": (
        _wrong_for(lambda r: r.method == "POST" and not r.body, Given(500)),
        "again and again",
    ),
    "no-type": (
        _wrong_for(lambda r: isinstance(r.event, dict) and "type" not in r.event, ACCEPTED),
        "lost without a word",
    ),
    "unknown-type": (_wrong_for(lambda r: r.type == "portal-check", ACCEPTED), "without a word"),
    "large-event": (
        _wrong_for(lambda r: 32 * 1024 < len(r.body) < 1024 * 1024, Given(500)),
        "Segment takes 500",
    ),
    "huge-body": (
        _wrong_for(lambda r: len(r.body) > 1024 * 1024, Given(500)),
        "too large must not come again",
    ),
    "settings": (
        _wrong_for(lambda r: r.headers.get("x-segment-settings") == "e30=", Given(400)),
        "does not repeat an event after 400",
    ),
    "settings-text": (
        _wrong_for(lambda r: r.headers.get("x-segment-settings") == "%%%", Given(500)),
        "Segment takes 500",
    ),
    "settings-list": (_wrong_for(lambda r: r.settings == [1], Given(401)), "calls the key wrong"),
    "keep-alive": (
        lambda _, right: Given(200, {}, cut=True) if right.status == 200 else right,
        "no answer had announced that",
    ),
    "after-error": (
        lambda _, right: Given(400, cut=True) if right.status == 400 else right,
        "no answer had announced that",
    ),
    "repeat": (_twice(same=True), "if the answer to it was lost"),
    "correction": (_twice(same=False), "Segment takes 500"),
    "field-case": (
        _wrong_for(lambda r: r.type and "userid" in r.event, Given(500)),
        "With userid: Segment takes 500",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_is_found(endpoint: Any, name: str) -> None:
    """The check of this name finds it, no other does, and it says why that matters."""
    endpoint.wrong, text = WRONG[name]
    rows = _rows(endpoint)
    assert _with(rows, Verdict.FAULT) == {name}
    assert text in rows[name].message


# What an error may lack for the customer to see its reason; a part of what is said then.
MESSAGES: dict[str, tuple[Given, str]] = {
    "an empty body": (Given(400, b""), "its body is empty"),
    "HTML": (Given(400, b"<h1>Bad Request</h1>", Content_Type="text/html"), "is not JSON"),
    "deep JSON": (Given(400, b"[" * 60_000), "is not JSON"),
    "JSON without a message": (Given(400, {"error": "no"}), 'no text under "message"'),
    "a list": (Given(400, ["no"]), 'no text under "message"'),
    "a blank message": (Given(400, {"message": " "}), 'no text under "message"'),
    "a message as text": (Given(400, Content_Type="text/plain"), "text/plain, not application"),
}


@pytest.mark.parametrize(("reply", "text"), MESSAGES.values(), ids=MESSAGES)
def test_an_error_without_a_message(endpoint: Any, reply: Any, text: str) -> None:
    """The status is right, but the customer sees no reason: that is a fault."""
    endpoint.wrong = lambda _, right: reply if right.status == 400 else right
    row = _rows(endpoint, "no-object")["no-object"]
    assert (row.verdict, row.status) == (Verdict.FAULT, 400)
    assert "The customer sees no reason: " in row.message
    assert text in row.message


def test_a_proxy_may_refuse_a_huge_body_in_its_own_way(endpoint: Any) -> None:
    """It needs no message for customers: Segment's events are smaller."""
    page = Given(413, b"<h1>Too Large</h1>", Content_Type="text/html", Connection="close")
    endpoint.wrong = lambda _, right: page if right.status == 413 else right
    assert _rows(endpoint, "huge-body")["huge-body"].verdict is Verdict.OK


# Whatever an endpoint may do on purpose; then the check, its verdict, and a part of what is said.
ALLOWED: dict[str, tuple[Callable[[Any, Any], Any], str, Verdict, str]] = {
    "202": (
        lambda _, right: Given(202) if right.status == 200 else right,
        "track",
        Verdict.OK,
        "",
    ),
    "204": (
        lambda _, right: Given(204, b"") if right.status == 200 else right,
        "track",
        Verdict.NOTE,
        "has 200 and 202 for a success, and not 204",
    ),
    "a charset": (
        lambda _, right: (
            Given(501, Content_Type="application/json; charset=utf-8")
            if right.status == 501
            else right
        ),
        "delete",
        Verdict.OK,
        "",
    ),
    "settings ignored": (
        lambda r, right: ACCEPTED if r.headers.get("x-segment-settings") == "%%%" else right,
        "settings-text",
        Verdict.NOTE,
        "The header was ignored",
    ),
    "a huge body accepted": (
        lambda r, right: ACCEPTED if len(r.body) > 1024 * 1024 else right,
        "huge-body",
        Verdict.NOTE,
        "Check for a limit",
    ),
    "a huge body without an answer": (
        lambda r, right: None if len(r.body) > 1024 * 1024 else right,
        "huge-body",
        Verdict.NOTE,
        "ended without an answer",
    ),
    "a correction accepted": (
        lambda _, right: ACCEPTED if right.status == 409 else right,
        "correction",
        Verdict.NOTE,
        "Look into the account",
    ),
    "an answer in chunks": (
        lambda _, right: (
            Given(200, b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
            if right.status == 200
            else right
        ),
        "keep-alive",
        Verdict.OK,
        "",
    ),
    "a connection for each event": (
        lambda _, right: Given(right.status, right.body, Connection="close"),
        "keep-alive",
        Verdict.NOTE,
        "each event needs a new one",
    ),
    "a connection that errors end": (
        lambda _, right: (
            Given(right.status, right.body, Connection="close") if right.status >= 400 else right
        ),
        "after-error",
        Verdict.OK,
        "",
    ),
}


@pytest.mark.parametrize(("wrong", "name", "verdict", "text"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_no_fault(
    endpoint: Any, wrong: Any, name: str, verdict: Verdict, text: str
) -> None:
    """An endpoint may do it: at most, a note asks a person to look at it."""
    endpoint.wrong = wrong
    row = _rows(endpoint, name)[name]
    assert row.verdict is verdict
    assert text in row.message


@pytest.mark.parametrize("name", ["settings-text", "settings-list"])
def test_ignored_settings_of_an_endpoint_that_has_some(endpoint: Any, name: str) -> None:
    """What is a note for others is a fault: an event may be delivered in a wrong way."""
    endpoint.wrong = lambda r, right: right if isinstance(r.settings, dict) else ACCEPTED
    assert _rows(endpoint, name, settings=SETTINGS)[name].verdict is Verdict.FAULT


# What an endpoint answers to good events; then a part of what is said.
REASONS = {
    302: "this one (302) is not followed",
    401: "calls the key wrong",
    403: "lacks a permission",
    404: "nothing is at this URL",
    422: "does not repeat an event after 422",
    429: "repeats an event after 429",
    503: "takes 503 for a failure that passes",
}


@pytest.mark.parametrize(("status", "text"), REASONS.items())
def test_reasons(endpoint: Any, status: int, text: str) -> None:
    """A wrong status is a fault, even with a message, and says what it means to Segment."""
    endpoint.wrong = lambda *_: Given(status, Location="/elsewhere")
    row = _rows(endpoint, "track")["track"]
    assert (row.verdict, row.status, row.answer) == (Verdict.FAULT, status, "a reason")
    assert text in row.message
    assert len(endpoint.requests) == 1


def test_a_key_that_is_refused(endpoint: Any) -> None:
    """The calls say so; what needs an accepted event is skipped, and not a fault again."""
    rows = _rows(endpoint, key=Secret("another-key-of-a-customer"))
    assert {"track", "delete", "cut-json"} <= _with(rows, Verdict.FAULT)
    assert {"repeat", "keep-alive", "anonymous"} <= _with(rows, Verdict.SKIPPED)
    assert rows["repeat"].message == "It needs a call that the endpoint accepts."


def test_without_a_key(endpoint: Any) -> None:
    """Only what needs no key is sent."""
    rows = _rows(endpoint, key=None)
    made = {"no-key", "wrong-key", "malformed-key"}
    assert _with(rows, Verdict.OK) == made
    assert _with(rows, Verdict.SKIPPED) == {*NAMES} - made
    assert rows["track"].message == "It needs a key."
    assert {request.type for request in endpoint.requests} == {"track"}


@pytest.mark.parametrize("only", [(), ("repeat", "anonymous")], ids=["all", "some"])
def test_a_call_that_is_accepted_is_used(endpoint: Any, only: tuple[str, ...]) -> None:
    """An endpoint that supports one call is checked with this call, also if only some are made."""
    endpoint.unsupported = ("track", "identify", "screen", "group", "alias", "delete")
    rows = _rows(endpoint, *only)
    assert _with(rows, Verdict.FAULT) | _with(rows, Verdict.SKIPPED) == set()
    anonymous = [r for r in endpoint.requests if r.type and "userId" not in r.event]
    assert {r.type for r in anonymous if "anonymousId" in r.event} == {"page"}


def test_an_event_that_must_come_first_is_refused(endpoint: Any) -> None:
    """A repeat shows nothing if the first was not accepted."""
    given = iter([True, False])
    endpoint.wrong = lambda _, right: right if next(given) else BUSY
    row = _rows(endpoint, "repeat")["repeat"]
    assert (row.verdict, row.status) == (Verdict.SKIPPED, 503)
    assert row.message == "The event before it was not accepted."


def test_what_segment_sends(endpoint: Any) -> None:
    """Headers and events are Segment's; ids are random, and people are nobody's."""
    runs = [_rows(endpoint, "identify", settings=SETTINGS) for _ in range(2)]
    assert {row["identify"].verdict for row in runs} == {Verdict.OK}
    first, second = endpoint.requests
    assert first.headers["user-agent"] == "Segment.io/1.0"
    assert first.headers["content-type"] == "application/json"
    assert int(first.headers["content-length"]) == len(first.body)
    assert "close" not in first.headers.get("connection", "")
    assert (first.key, first.settings) == (KEY, SETTINGS)
    event = first.event
    assert event["userId"].startswith("portal-check-")
    assert event["messageId"].startswith(event["userId"])
    assert event["traits"]["email"] == f"{event['userId']}@example.com"
    assert second.event["userId"] != event["userId"]
    emails = [word for word in json.dumps(event).split('"') if "@" in word]
    assert all(word.endswith("@example.com") for word in emails)


# A key, and the form that a wrong one of it has.
KEYS = {
    "prv_test_Ab1": r"prv_test_[A-Z][a-z][0-9]",
    "8c2f-aa01": r"[0-9][a-z][0-9][a-z]-[a-z]{2}[0-9]{2}",
    "----": r"----[0-9a-f]{32}",
}


@pytest.mark.parametrize(("key", "form"), KEYS.items())
def test_a_wrong_key_has_the_form_of_the_right_one(endpoint: Any, key: str, form: str) -> None:
    """So it is not refused for its form alone; it is never the right one."""
    _rows(endpoint, "wrong-key", key=Secret(key))
    (request,) = endpoint.requests
    assert re.fullmatch(form, request.key)
    assert request.key != key
