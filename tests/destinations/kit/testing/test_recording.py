from __future__ import annotations

import base64
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from destinations._version import __version__
from destinations.errors import UsageError
from destinations.kit.testing.case import ABSENT, Case, Recorded
from destinations.kit.testing.case_writing import case_text
from destinations.kit.testing.recording import Draft, record
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject
from destinations.pipeline.reading import Entry
from destinations.sandbox.placeholders import placeholder_settings

SECRET = "sk_live_0123456789/+"
NOW = datetime(2024, 1, 15, 12, 0, 0, 123, tzinfo=UTC)
EVENT = {
    "type": "track",
    "event": "Report Opened",
    "userId": "user_0001",
    "messageId": "m-1",
    "properties": {"report": "monthly"},
}

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes] | None]


class Partner:
    """A real server; ``answer`` makes status, headers and body of a request, None for no answer."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        kind = {"Content-Type": "application/json"}
        self.answer: Answer = lambda _: (200, kind, b'{"status": "ok"}')
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = {"headers": dict(self.headers), "json": json.loads(body)}
                partner.requests.append(request)
                answer = partner.answer(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, text = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api() -> Iterator[Partner]:
    """A server on this machine."""
    partner = Partner()
    thread = threading.Thread(target=partner.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield partner
    partner.server.shutdown()
    partner.server.server_close()
    thread.join()


@pytest.fixture
def make(partner: Subject, api: Partner) -> Callable[..., Case]:
    """Records lines as a case; what is tried again is so after a hundredth of a second."""
    transport = partner.definition.transport
    retry = dataclasses.replace(transport.retry, base=0.02)
    quick = dataclasses.replace(
        partner,
        definition=dataclasses.replace(
            partner.definition, transport=dataclasses.replace(transport, retry=retry)
        ),
    )

    def run(*lines: Any, secret: str = SECRET) -> Case:
        data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        entries = [Entry(number, line) for number, line in enumerate(data, start=1)]
        return record(
            quick,
            Draft("new", "What it shows.", entries, NOW, "test"),
            settings=partner.settings({"apiKey": secret, "endpoint": api.url}),
            shown_settings=placeholder_settings(partner.definition, {"apiKey": secret}),
        )

    return run


def test_what_is_recorded(make: Callable[..., Case], partner: Subject, api: Partner) -> None:
    """The real answers, the partner's own address, and what became of each event."""
    case = make(EVENT, b"", {**EVENT, "messageId": "m-1"}, b"{")
    assert len(api.requests) == 1
    assert (case.name, case.clock) == ("new", "2024-01-15T12:00:00Z")
    assert case.recorded == Recorded("test", __version__)
    assert case.events == (EVENT, EVENT, "{")
    (interaction,) = case.interactions
    assert interaction.request.url == "https://api.example.com/v1/events"
    assert interaction.request.json == api.requests[0]["json"]
    assert not isinstance(interaction.result, str)
    assert interaction.result.json == {"status": "ok"}
    assert interaction.result.headers == {"content-type": "application/json"}
    assert [(row.event, row.outcome.value) for row in case.expected] == [
        (1, "delivered"),
        (2, "filtered"),
        (3, "invalid"),
    ]
    assert case.expected[2].reason is None
    assert case.expected[2].payload is ABSENT
    assert replay(partner, case).passed


def _leaks(secret: str) -> list[str]:
    """What of a secret must not be found in a file."""
    encoded = [base64.b64encode(b"x" * shift + secret.encode()).decode() for shift in range(3)]
    middles = [text[4:-4] for text in encoded]
    return [secret, json.dumps(secret)[1:-1], *middles, secret[:12]]


def test_no_secret_is_in_the_case(
    make: Callable[..., Case], partner: Subject, api: Partner
) -> None:
    """Neither where it was sent nor where the partner or an event repeats it, in any encoding."""
    secret = "sk_live_0123456789abcdef"

    def echo(request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        basic = base64.b64encode(f"user:{secret}".encode()).decode()
        body = {"message": f"not for {secret}", "key": secret, secret: [basic]}
        assert secret in request["headers"]["Authorization"]
        headers = {"Set-Cookie": f"key={secret}", "X-Key": secret}
        return 422, headers, json.dumps(body).encode()

    api.answer = echo
    case = make({**EVENT, "properties": {"key": secret}}, f"{{{secret}".encode(), secret=secret)
    text = case_text(case)
    assert [leak for leak in _leaks(secret) if leak in text] == []
    assert case.interactions[0].request.headers["Authorization"] == "Bearer placeholder-apiKey"
    assert case.expected[0].reason == "HTTP 422: not for ***"
    assert replay(partner, case).passed


def test_waits_are_honoured_and_not_replayed(
    make: Callable[..., Case], partner: Subject, api: Partner
) -> None:
    """The partner's Retry-After is in the case; the replay does not wait."""
    answers = iter([(429, {"Retry-After": "0"}, b"slow"), (200, {}, b'{"status": "ok"}')])
    api.answer = lambda _: next(answers)
    case = make(EVENT)
    first, second = (interaction.result for interaction in case.interactions)
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    assert (first.status, first.headers["retry-after"], first.body) == (429, "0", "slow")
    assert second.json == {"status": "ok"}
    assert replay(partner, case).passed


@pytest.mark.parametrize(
    ("body", "json_value", "text"),
    [
        (b"", ABSENT, None),
        (b"ok", ABSENT, "ok"),
        (b'"ok"', ABSENT, '"ok"'),
        (b"[1e999]", ABSENT, "[1e999]"),
        (b'{"a": "\\ud800"}', ABSENT, '{"a": "\\ud800"}'),
        (b'{"a": "\xc3\xbc"}', {"a": "ü"}, None),
    ],
)
def test_bodies_that_no_file_could_hold_as_json(
    make: Callable[..., Case], api: Partner, body: bytes, json_value: Any, text: str | None
) -> None:
    """They stay the text that they are."""
    api.answer = lambda _: (422, {}, body)
    (interaction,) = make(EVENT).interactions
    assert not isinstance(interaction.result, str)
    assert interaction.result.json == json_value
    assert interaction.result.body == text


def test_a_lost_answer_is_recorded(
    make: Callable[..., Case], partner: Subject, api: Partner
) -> None:
    """A failure of the network is part of a case."""
    answers: Iterator[Any] = iter([None, (200, {}, b'{"status": "ok"}')])
    api.answer = lambda _: next(answers)
    case = make(EVENT)
    assert [isinstance(one.result, str) and one.result for one in case.interactions] == [
        "lost",
        False,
    ]
    assert replay(partner, case).passed


@pytest.mark.parametrize(
    ("lines", "answer", "message"),
    [
        ((b"\xff",), b"{}", "line 1 is not UTF-8"),
        ((EVENT,), b"\xff\xfe", "an answer is not UTF-8"),
    ],
)
def test_what_a_case_cannot_hold(
    make: Callable[..., Case], api: Partner, lines: Any, answer: bytes, message: str
) -> None:
    """It is said, and nothing is recorded."""
    api.answer = lambda _: (422, {}, answer)
    with pytest.raises(UsageError, match=message):
        make(*lines)


def test_a_secret_that_decides_what_happens(make: Callable[..., Case], api: Partner) -> None:
    """If a placeholder leads to another end, the case is refused, and the place is named."""
    secret = "sk_live_0123456789abcdef"
    api.answer = lambda _: (200, {}, json.dumps({"status": "ok", "note": secret}).encode())
    event = {**EVENT, "messageId": secret}
    case = make(event, secret=secret)
    assert case.events[0] == {**EVENT, "messageId": "***"}
    # Two messages whose ids are different secrets are one message once they are masked.
    with pytest.raises(
        UsageError, match="placeholders in place of the secrets lead to another result"
    ):
        make(event, {**event, "messageId": "***"}, secret=secret)
