"""What the receiver answers, over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import requests

from destinations.errors import QueueFullError
from destinations.outcome import Outcome
from destinations.pipeline.queue import Receipt
from destinations.server import Limits
from destinations.server.refused_events import Refusal, Refusing

Serve = Callable[..., Any]

TRACK = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1"}
ANONYMOUS = {"type": "track", "event": "E"}
PAGE = {"type": "page", "userId": "u1"}
CALLS = frozenset({"track", "identify"})


OTHER = {**TRACK, "event": "Another"}
CONFLICT = (
    "another event with this messageId and different content was accepted before, and may have an "
    "effect"
)


class _Noted(Refusing):
    """Puts what it is to keep into a list."""

    def __init__(self, kept: list[Refusal]) -> None:
        self._kept = kept

    def keep(self, *given: Any) -> None:
        self._kept += given[-1]


def _events(count: int) -> list[dict[str, str]]:
    return [{**TRACK, "messageId": f"m{number}"} for number in range(count)]


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (TRACK, 200, {"accepted": 1}),
        ([TRACK], 200, {"accepted": 1}),
        ({"batch": [TRACK, {**TRACK, "messageId": "m2"}]}, 200, {"accepted": 2}),
        ([], 200, {"accepted": 0}),
        (_events(150), 200, {"accepted": 150}),
        (
            ANONYMOUS,
            400,
            {
                "message": "the event has neither a userId nor an anonymousId",
                "code": "NO_USER_ANON_ID",
            },
        ),
        (
            PAGE,
            501,
            {
                "message": "page calls are not supported; supported are: identify, track",
                "code": "CALL_UNSUPPORTED",
            },
        ),
        (
            {"type": "delete", "userId": "u1"},
            501,
            {
                "message": "delete calls are not supported; supported are: identify, track",
                "code": "CALL_UNSUPPORTED",
            },
        ),
        (
            [TRACK, ANONYMOUS, PAGE],
            200,
            {
                "accepted": 1,
                "rejected": [
                    {
                        "index": 1,
                        "status": 400,
                        "code": "NO_USER_ANON_ID",
                        "message": "has neither a userId nor an anonymousId",
                    },
                    {
                        "index": 2,
                        "status": 501,
                        "code": "CALL_UNSUPPORTED",
                        "message": "page calls are not supported; supported are: identify, track",
                    },
                ],
            },
        ),
    ],
)
def test_events(serve: Serve, body: Any, status: int, answer: Any) -> None:
    """Good ones are accepted, each of the others is told why it was not."""
    running = serve(types=CALLS)
    response = running.post(body)
    assert (response.status_code, response.json()) == (status, answer)
    assert response.headers["content-type"] == "application/json"
    assert len(running.inboxes["one"].taken) == answer.get("accepted", 0)
    assert running.inboxes["two"].taken == []


@pytest.mark.parametrize(
    ("body", "status", "shown", "codes"),
    [
        (b"", 400, "the body is empty", ["BAD_REQUEST"]),
        (b"{", 400, "is not JSON", ["NOT_JSON"]),
        (b'{"type": "track", "userId": "\xff"}', 400, "is not JSON", ["NOT_JSON"]),
        (b"[1", 400, "ends before it is complete", ["NOT_JSON"]),
        (b"[1,,2]", 400, "is not JSON: item 1 of the array is empty", ["NOT_JSON"]),
        (b"7", 400, "must be a JSON object, not a number", ["NOT_OBJECT"]),
        (json.dumps({**TRACK, "x": "y" * 33_000}).encode(), 400, "is 33,", ["TOO_LARGE"]),
        (b'{"type":"track","type":"track"}', 400, "is not JSON", ["NOT_JSON"]),
        (
            json.dumps([ANONYMOUS, 3]).encode(),
            400,
            "none of 2 events was accepted; the first: has neither",
            ["NO_USER_ANON_ID", "NOT_OBJECT"],
        ),
        (
            json.dumps([ANONYMOUS]).encode(),
            400,
            "the event was not accepted: has neither",
            ["NO_USER_ANON_ID"],
        ),
        (
            json.dumps([PAGE, PAGE]).encode(),
            501,
            "page calls are not supported",
            ["CALL_UNSUPPORTED"] * 2,
        ),
        (
            json.dumps([PAGE, ANONYMOUS]).encode(),
            400,
            "none of 2 events",
            ["CALL_UNSUPPORTED", "NO_USER_ANON_ID"],
        ),
    ],
)
def test_bodies_of_which_nothing_is_taken(
    serve: Serve, body: bytes, status: int, shown: str, codes: list[str]
) -> None:
    """The answer has a message that says why, and nothing is accepted; each event is counted.

    The code is the same for the sender, the observers and what is kept.
    """
    running = serve(types=CALLS)
    kept: list[Refusal] = []
    running.receiver.refusing = _Noted(kept)
    response = running.post(body)
    assert response.status_code == status
    found = response.json()
    assert shown in found["message"]
    assert found["code"] == (codes[0] if len(set(codes)) == 1 else "BAD_REQUEST")
    assert [one["code"] for one in found.get("rejected", ())] in ([], codes)
    assert [one.code for one in kept] == codes
    assert running.inboxes["one"].taken == []
    assert running.observer.codes == codes
    statuses = [501 if code == "CALL_UNSUPPORTED" else 400 for code in codes]
    assert running.observer.notes == [("refused", "one", one) for one in statuses]


def test_what_is_accepted_is_what_was_sent(serve: Serve) -> None:
    """The raw bytes of an event reach the queue unchanged, also out of a batch."""
    running = serve()
    raw = '{ "type":"track", "event":"É", "userId":"u1","messageId":"m1", "n": 1.0 }'.encode()
    assert running.post(b"[" + raw + b" ,\n" + raw.replace(b"m1", b"m2") + b"]").ok
    assert [event.raw for event in running.inboxes["one"].taken] == [raw, raw.replace(b"m1", b"m2")]


def test_duplicates_are_accepted(serve: Serve) -> None:
    """A sender that repeats itself is told that all is well."""
    running = serve()
    assert [running.post(TRACK).status_code for _ in range(3)] == [200, 200, 200]
    assert len(running.inboxes["one"].taken) == 1
    told = [note for note in running.observer.notes if note[0] == "accepted"]
    assert told == [("accepted", "one", 1, n) for n in (0, 1, 1)]


def test_what_ends_when_it_is_accepted_is_told_once(serve: Serve) -> None:
    """What needs no delivering is told with its end; nothing is, of what is known already."""
    running = serve()
    events = [{**TRACK, "messageId": "t1"}, {**TRACK, "messageId": "t2"}]
    assert running.post(events).ok
    assert running.post([*events, {**TRACK, "messageId": "t3"}]).ok
    ended = [note[1:] for note in running.observer.notes if note[0] == "ended"]
    assert [(name, len(transitions)) for name, transitions in ended] == [("one", 2), ("one", 1)]
    found = {(one.result.outcome, one.stage) for _, transitions in ended for one in transitions}
    assert found == {(Outcome.UNMAPPED, "plan")}


def test_another_event_under_the_same_name(serve: Serve) -> None:
    """A sender whose event differs from the one before is told 409, each time it comes."""
    running = serve()
    assert running.post(TRACK).status_code == 200
    for _ in range(2):
        response = running.post(OTHER)
        assert (response.status_code, response.json()) == (
            409,
            {"message": CONFLICT, "code": "CONFLICT"},
        )
    assert running.post(TRACK).json() == {"accepted": 1}
    assert [event.message_id for event in running.inboxes["one"].taken] == ["m1"]
    # Neither what was refused before nor what is refused now counts as accepted.
    assert [note for note in running.observer.notes if note[0] != "ended"] == [
        ("accepted", "one", 1, 0),
        *[("refused", "one", 409)] * 2,
        ("accepted", "one", 1, 1),
    ]
    assert len([note for note in running.observer.notes if note[0] == "ended"]) == 1


_REFUSED = {"status": 409, "code": "CONFLICT", "message": CONFLICT}


@pytest.mark.parametrize(
    ("body", "status", "accepted", "rejected", "told"),
    [
        (
            [TRACK, OTHER, {**TRACK, "messageId": "m2"}],
            200,
            2,
            [{"index": 1, **_REFUSED}],
            [("accepted", "one", 2, 1), ("refused", "one", 409)],
        ),
        (
            [{**TRACK, "messageId": "m2"}, {**OTHER, "messageId": "m2"}],
            200,
            1,
            [{"index": 1, **_REFUSED}],
            [("accepted", "one", 1, 0), ("refused", "one", 409)],
        ),
        (
            {"batch": [OTHER, {**TRACK, "event": "A third"}]},
            409,
            0,
            [{"index": 0, **_REFUSED}, {"index": 1, **_REFUSED}],
            [("refused", "one", 409)] * 2,
        ),
        (
            [PAGE, OTHER],
            400,
            0,
            [
                {
                    "index": 0,
                    "status": 501,
                    "code": "CALL_UNSUPPORTED",
                    "message": "page calls are not supported; supported are: identify, track",
                },
                {"index": 1, **_REFUSED},
            ],
            [("refused", "one", 501), ("refused", "one", 409)],
        ),
    ],
)
def test_other_events_in_a_batch(
    serve: Serve, body: Any, status: int, accepted: int, rejected: Any, told: Any
) -> None:
    """Each of them is named by its place; the others of the batch are accepted."""
    running = serve(types=CALLS)
    assert running.post(TRACK).ok
    before = len(running.observer.notes)
    response = running.post(body)
    found = response.json()
    assert response.status_code == status
    assert (found["accepted"], found["rejected"]) == (accepted, rejected)
    assert [note for note in running.observer.notes[before:] if note[0] != "ended"] == told


def test_what_differs_by_the_sending_alone(serve: Serve) -> None:
    """A sender that repeats itself with another time of sending is no other event."""
    running = serve()
    for sent_at in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"):
        assert running.post({**TRACK, "sentAt": sent_at}).json() == {"accepted": 1}
    assert len(running.inboxes["one"].taken) == 1


def test_events_without_a_name(serve: Serve) -> None:
    """Each is a new one, however often it comes: nobody could recognise it."""
    running = serve()
    nameless = {key: value for key, value in TRACK.items() if key != "messageId"}
    assert running.post([nameless, nameless]).json() == {"accepted": 2}
    names = [event.message_id for event in running.inboxes["one"].taken]
    assert len(set(names)) == 2


def test_what_is_planned_by_rules_that_change(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event bears the name of the rules from before its planning, so that it is planned anew."""
    running = serve()
    route = running.receiver.routes["one"]
    digests = iter(["before", "after"])
    monkeypatch.setattr(type(route.intake), "digest", property(lambda _: next(digests)))
    events = [
        {**event, "properties": {"by": 1, "thing": "t"}}
        for event in (TRACK, {**TRACK, "messageId": "m2"})
    ]
    assert running.post(events).ok
    assert [delivery.plan for delivery in running.inboxes["one"].deliveries] == ["before"] * 2


def test_without_types_every_call_is_taken(serve: Serve) -> None:
    """A definition that does not say what it supports refuses nothing."""
    assert serve().post(PAGE).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/one", 405, "POST"),
        ("PUT", "/v1/one", 405, "POST"),
        ("POST", "/v1/three", 404, None),
        ("POST", "/v1/", 404, None),
        ("POST", "/v1/one/", 404, None),
        ("POST", "/", 404, None),
        ("GET", "/v1", 404, None),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("DELETE", "/healthz", 405, "GET, HEAD"),
    ],
)
def test_paths_and_methods(
    serve: Serve, method: str, path: str, status: int, allow: str | None
) -> None:
    """What is not there is 404, what is asked in the wrong way 405 with the right one."""
    running = serve()
    response = requests.request(method, running.url + path, json=TRACK, timeout=30)
    assert (response.status_code, response.headers.get("allow")) == (status, allow)
    assert response.json()["message"]


KEYS = {"keys": ["one-key", "one-key-new"], "other_keys": ["two-key"]}


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("one-key", 200),
        ("Bearer one-key-new", 200),
        ("Basic b25lLWtleTo=", 200),
        ("two-key", 403),
        ("Bearer two-key", 403),
        ("other", 401),
        ("Basic other", 401),
        (None, 401),
    ],
)
def test_keys(serve: Serve, authorization: str | None, status: int) -> None:
    """Both keys are good while one is changed; one of another destination is 403, others 401."""
    running = serve(**KEYS)
    headers = {} if authorization is None else {"Authorization": authorization}
    response = running.post(TRACK, **headers)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) is (status == 401)
    assert len(running.inboxes["one"].taken) == (status == 200)
    assert "key-new" not in response.text


def test_two_authorization_headers(serve: Serve) -> None:
    """Nobody can say which one counts, so neither does."""
    running = serve(**KEYS)
    head = b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
    keys = b"authorization: one-key\r\nauthorization: one-key\r\n\r\n{}"
    assert running.raw(head + keys).startswith(b"HTTP/1.1 401 ")


def _hex(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha1).hexdigest()


RAW = '{"type":"track", "event":"Ü","userId":"u1","messageId":"m1"}'.encode()
ARRAY = b"[ " + RAW + b" , " + RAW.replace(b"m1", b"m2") + b"]"


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        (RAW, _hex("s1", RAW), 200),
        (RAW, _hex("s2", RAW), 200),
        (ARRAY, _hex("s1", RAW), 200),
        (ARRAY, _hex("s1", ARRAY), 200),
        (b'{"batch":' + ARRAY + b"}", _hex("s1", RAW), 200),
        (RAW, _hex("s3", RAW), 401),
        (RAW, _hex("s1", json.dumps(json.loads(RAW)).encode()), 401),
        (ARRAY, _hex("s1", RAW.replace(b"m1", b"m2")), 401),
        (b"[]", _hex("s1", b"[]"), 200),
        (RAW, None, 401),
    ],
)
def test_signatures(serve: Serve, body: bytes, signature: str | None, status: int) -> None:
    """Checked over the bytes that came, whatever JSON would make of them."""
    running = serve(signatures=["s1", "s2"])
    headers = {} if signature is None else {"X_Signature": signature}
    assert running.post(body, **headers).status_code == status
    assert bool(running.inboxes["one"].taken) is (status == 200 and body != b"[]")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "k-one", "X_Signature": _hex("s1", RAW)}, 200),
        ({"Authorization": "k-one"}, 401),
        ({"X_Signature": _hex("s1", RAW)}, 401),
    ],
)
def test_both_have_to_hold(serve: Serve, headers: dict[str, str], status: int) -> None:
    """Where keys and signature secrets are configured, neither is enough alone."""
    running = serve(keys=["k-one"], signatures=["s1"])
    assert running.post(RAW, **headers).status_code == status


SMALL = Limits(body_bytes=300, body_seconds=0.2, requests=2)


@pytest.mark.parametrize(
    "request_",
    [
        b"content-length: 301\r\n\r\n",
        b"content-length: 999999999999999999\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n12d\r\n" + b" " * 301 + b"\r\n",
    ],
)
def test_long_bodies(serve: Serve, request_: bytes) -> None:
    """413 before the body has come, and the connection ends: it is not read."""
    running = serve(limits=SMALL)
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\nhost: x\r\n" + request_)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the body is longer than 300 bytes" in answer


def test_chunked_bodies(serve: Serve) -> None:
    """A body whose length is not announced is taken."""
    running = serve()
    chunk = f"{len(RAW):x}\r\n".encode() + RAW + b"\r\n0\r\n\r\n"
    head = b"POST /v1/one HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked"
    assert running.raw(head + b"\r\n\r\n" + chunk).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_does_not_come(serve: Serve) -> None:
    """Who is too slow gets 408, and the connection ends."""
    running = serve(limits=SMALL)
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "identity"])
def test_compressed_bodies(serve: Serve, encoding: str) -> None:
    """They are taken as what they hold, which is what was sent."""
    running = serve()
    data = RAW if encoding == "identity" else gzip.compress(RAW)
    assert running.post(data, Content_Encoding=encoding).json() == {"accepted": 1}
    assert running.inboxes["one"].taken[0].raw == RAW


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "nonsense"])
def test_bodies_in_another_encoding(serve: Serve, encoding: str) -> None:
    """They are refused with what is taken instead."""
    response = serve().post(RAW, Content_Encoding=encoding)
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "gzip")


@pytest.mark.parametrize(
    ("data", "status", "shown"),
    [
        (gzip.compress(b"[" + b" " * 10_000_000 + b"]"), 413, "when it is inflated"),
        (gzip.compress(RAW)[:-3], 400, "ends before it is complete"),
        (gzip.compress(RAW) + b"x", 400, "is not gzip"),
        (RAW, 400, "is not gzip"),
        (gzip.compress(b""), 400, "the body is empty"),
    ],
    ids=["bomb", "cut", "trailing", "plain", "empty"],
)
def test_compressed_bodies_that_are_wrong(
    serve: Serve, data: bytes, status: int, shown: str
) -> None:
    """The answer says what is wrong; no more is inflated than a body may have."""
    response = serve().post(data, Content_Encoding="gzip")
    assert response.status_code == status
    assert shown in response.json()["message"]


def test_signatures_of_compressed_bodies(serve: Serve) -> None:
    """They are checked over the bytes as they were sent, and before they are inflated."""
    running = serve(signatures=["s1"])
    data = gzip.compress(ARRAY)
    good = {"X_Signature": _hex("s1", data), "Content_Encoding": "gzip"}
    assert running.post(data, **good).json() == {"accepted": 2}
    for signed in (RAW, ARRAY):
        wrong = {**good, "X_Signature": _hex("s1", signed)}
        assert running.post(data, **wrong).status_code == 401
    assert running.post(b"no gzip", **good).status_code == 401


def test_no_body_is_read_of_strangers(serve: Serve) -> None:
    """A wrong key is answered before the body has come."""
    running = serve(**KEYS)
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_sender_that_hangs_up(serve: Serve) -> None:
    """Half a body is no event, and is answered as that; the next sender is served."""
    running = serve()
    head = b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(RAW) + 1)
    assert running.raw(head + RAW, shut=True).startswith(b"HTTP/1.1 499 ")
    assert running.inboxes["one"].taken == []
    assert running.post(TRACK).status_code == 200


def test_requests_one_after_another_without_waiting(serve: Serve) -> None:
    """Each of several requests that come at once has its answer, in order."""
    running = serve(types=CALLS)
    page = json.dumps(PAGE).encode()
    head = "POST /v1/one HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\n\r\n"
    first = head.format("", len(RAW)).encode() + RAW
    last = head.format("connection: close\r\n", len(page)).encode() + page
    answer = running.raw(first + first + last)
    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"200", b"200", b"501"]


def test_settings_of_the_sender_are_not_read(serve: Serve) -> None:
    """Whatever ``X-Segment-Settings`` holds, an event is not lost for it."""
    running = serve()
    assert running.post(TRACK, X_Segment_Settings="not base64!").status_code == 200


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (7, "7"), (29.1, "30")])
def test_a_full_queue(serve: Serve, seconds: float, header: str) -> None:
    """503 says when to come again; what comes then is taken."""
    running = serve()
    running.inboxes["one"].full = QueueFullError("the queue is full", seconds)
    response = running.post(TRACK)
    assert (response.status_code, response.headers["retry-after"]) == (503, header)
    assert response.json() == {"message": "the queue is full", "code": "SERVICE_UNAVAILABLE"}
    assert running.post(TRACK, "/v1/two").status_code == 200
    running.inboxes["one"].full = None
    assert running.post(TRACK).status_code == 200


def test_a_full_queue_that_shows_later(serve: Serve) -> None:
    """It is the same when the disk turns out to be full as the events are written."""
    running = serve()
    running.inboxes["one"].broken = QueueFullError("the disk is full", 30)
    response = running.post([TRACK])
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")


def test_a_fault_of_ours(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """500 without a word on what it is; the log has that, and it is counted."""
    running = serve()
    running.inboxes["one"].broken = RuntimeError("with a detail")
    response = running.post(TRACK)
    assert (response.status_code, "detail" in response.text) == (500, False)
    assert running.observer.internal_errors == ["one"]
    assert "with a detail" in caplog.text


def test_nothing_is_acknowledged_before_it_is_durable(serve: Serve) -> None:
    """The answer waits for the queue's word."""
    running = serve()
    inbox = running.inboxes["one"]
    inbox.held = []
    arrived = threading.Event()
    inbox.on_accept = arrived.set
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(running.post(TRACK).status_code))
    sender.start()
    assert arrived.wait(30)
    assert requests.get(running.url + "/healthz", timeout=30).ok
    assert answers == []
    held: list[Future[Any]] = inbox.held
    held[0].set_result([Receipt(1)])
    sender.join(30)
    assert answers == [200]


def test_too_many_requests_at_once(serve: Serve) -> None:
    """Who comes beyond the limit is sent away for a second; the others are served."""
    running = serve(limits=Limits(requests=1))
    inbox = running.inboxes["one"]
    inbox.held = []
    arrived = threading.Event()
    inbox.on_accept = arrived.set
    sender = threading.Thread(target=lambda: running.post(TRACK))
    sender.start()
    assert arrived.wait(30)
    response = running.post(TRACK)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    inbox.held[0].set_result([Receipt(1)])
    sender.join(30)


def test_routes_that_are_exchanged(serve: Serve) -> None:
    """Who is inside is answered by the former one; who comes then goes to the new one."""
    running = serve()
    inbox = running.inboxes["one"]
    inbox.held = []
    arrived = threading.Event()
    inbox.on_accept = arrived.set
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(running.post(TRACK).status_code))
    sender.start()
    assert arrived.wait(30)
    running.receiver.routes = {"one": running.receiver.routes["two"]}
    assert running.post({**TRACK, "messageId": "m2"}).status_code == 200
    assert running.post(TRACK, "/v1/two").status_code == 404
    assert answers == []
    inbox.held[0].set_result([Receipt(1)])
    sender.join(30)
    assert answers == [200]
    found = {name: [one.message_id for one in each.taken] for name, each in running.inboxes.items()}
    assert found == {"one": ["m1"], "two": ["m2"]}


def test_a_route_that_is_taken_away(serve: Serve) -> None:
    """Who is inside is answered; who comes then finds nothing."""
    running = serve()
    inbox = running.inboxes["one"]
    inbox.held = []
    arrived = threading.Event()
    inbox.on_accept = arrived.set
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(running.post(TRACK).status_code))
    sender.start()
    assert arrived.wait(30)
    running.receiver.routes = {}
    assert running.post(TRACK).status_code == 404
    inbox.held[0].set_result([Receipt(1)])
    sender.join(30)
    assert answers == [200]


def test_draining(serve: Serve) -> None:
    """No events are taken any more, and whoever asks is told so."""
    running = serve()
    running.receiver.draining = True
    response = running.post(TRACK)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert requests.get(running.url + "/healthz", timeout=30).status_code == 200
    ready = requests.get(running.url + "/readyz", timeout=30)
    assert (ready.status_code, ready.text) == (503, "draining\n")


def test_readiness(serve: Serve) -> None:
    """Ready, or every reason for which not."""
    running = serve()
    ready = requests.get(running.url + "/readyz", timeout=30)
    assert (ready.status_code, ready.text) == (200, "ready\n")
    running.reasons[:] = ["the store cannot be written", "another"]
    ready = requests.get(running.url + "/readyz", timeout=30)
    assert (ready.status_code, ready.text) == (503, "the store cannot be written\nanother\n")


def test_metrics(serve: Serve) -> None:
    """The text of whoever counts, in Prometheus' format."""
    response = requests.get(serve().url + "/metrics", timeout=30)
    assert response.text == "events_total 1\n"
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_head_of_the_pages(serve: Serve) -> None:
    """HEAD has no body."""
    response = requests.head(serve().url + "/healthz", timeout=30)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ([], "192.0.2.1", "127.0.0.1"),
        (["127.0.0.0/8"], "192.0.2.1", "192.0.2.1"),
        (["127.0.0.1"], "198.51.100.1, 192.0.2.1", "192.0.2.1"),
        (["10.0.0.0/8"], "192.0.2.1", "127.0.0.1"),
    ],
)
def test_from_where_it_was_refused(
    serve: Serve, trusted: list[str], forwarded: str, peer: str
) -> None:
    """The sender's address is told; what a header says of it counts from proxies of ours alone."""
    running = serve(trusted=trusted, types=CALLS)
    for body in (PAGE, [TRACK, PAGE]):
        running.post(body, X_Forwarded_For=forwarded)
    running.post(TRACK, "/v1/three", X_Forwarded_For=forwarded)
    requests.get(running.url + "/v1/one", headers={"X-Forwarded-For": forwarded}, timeout=30)
    refused = [note[1:] for note in running.observer.notes if note[0] == "refused"]
    assert refused == [("one", 501), ("one", 501), ("", 404), ("one", 405)]
    assert running.observer.peers == [peer] * 4
