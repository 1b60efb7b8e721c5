"""Runs to partners that refuse: too large a body, a firewall, a wrong key, no such document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from kana_destination.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
KEY = "prv_test_first"

Answer = tuple[int, Mapping[str, str], bytes]
Listen = Callable[[Callable[[bytes], Answer]], Any]
Write = Callable[[str, Any], Path]


@pytest.fixture
def deliver(command: Callable[..., Any], write: Write, tmp_path: Path) -> Callable[..., Any]:
    """Runs events to a destination of this project, each time with the same store."""
    numbers = iter(range(100))

    def run(
        slug: str, events: list[dict[str, Any]] | Path, *arguments: str, **settings: str
    ) -> Any:
        number = next(numbers)
        path = events if isinstance(events, Path) else write(f"e{number}.ndjson", events)
        return command(
            *("run", ROOT / "definitions" / slug, "--events", path, "--json", *arguments),
            *("--settings", write(f"s{number}.json", settings)),
            *("--store", tmp_path / "store.sqlite3"),
        )

    return run


def _outcomes(done: Any) -> dict[str, int]:
    report = done.json
    assert sum(report["outcomes"].values()) == report["rows"]
    return {name: count for name, count in report["outcomes"].items() if count}


def _searches(count: int, bad: Mapping[int, str] | None = None) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "messageId": f"w-{number}",
            "userId": f"user_{number % 8}",
            "event": "Search",
            "timestamp": "2025-01-01T00:00:00Z",
            "properties": {"q": (bad or {}).get(number, "shoes")},
        }
        for number in range(count)
    ]


def _usage(count: int, users: int = 50) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "messageId": f"u-{number}",
            "userId": f"user_{number % users}",
            "event": "Call",
            "timestamp": "2025-01-01T00:00:00Z",
            "properties": {"featureId": "calls", "delta": 2},
        }
        for number in range(count)
    ]


def _sandbox(users: int = 50) -> Sandbox:
    return Sandbox(
        {
            "apiKeys": [KEY],
            "users": [{"id": f"user_{number}"} for number in range(users)],
            "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
        }
    )


def _passing_on(sandbox: Sandbox, body: bytes) -> Answer:
    headers = {"Authorization": KEY, "Content-Type": "application/json"}
    answer = requests.post(sandbox.url, data=body, headers=headers, timeout=30)
    return answer.status_code, {"content-type": "application/json"}, answer.content


@pytest.mark.parametrize("limit", [3_000, 900])
@pytest.mark.parametrize("marked", [False, True])
def test_a_batch_that_is_too_large(
    deliver: Callable[..., Any], listen: Listen, limit: int, *, marked: bool
) -> None:
    """It is sent in parts, and all of it is counted once; a byte order mark changes nothing."""
    with _sandbox() as sandbox:

        def partner(body: bytes) -> Answer:
            if len(body) > limit:
                return 413, {}, b"<html>413 Request Entity Too Large</html>"
            status, headers, answer = _passing_on(sandbox, body)
            return status, headers, (b"\xef\xbb\xbf" if marked else b"") + answer

        running = listen(partner)
        done = deliver("kana", _usage(200), apiKey=KEY, endpoint=running.url)
        assert _outcomes(done) == {"delivered": 200}
        assert done.code == 0
        usage = {user: of["calls"] for user, of in sandbox.snapshot()["usage"].items()}
        assert usage == {f"user_{number}": 8 for number in range(50)}
    # What is known to be too large is not tried: each size is refused a few times at most, as
    # several requests are under way at once.
    assert sum(len(body) > limit for body in running.bodies) <= 40


@pytest.mark.parametrize(("items", "limit"), [(7, 10**9), (10**9, 9_000)])
def test_a_batch_of_braze_that_is_too_large(
    deliver: Callable[..., Any], listen: Listen, items: int, limit: int
) -> None:
    """What cannot be asked about is not held for it either."""
    taken: Counter[str] = Counter()

    def partner(body: bytes) -> Answer:
        events = json.loads(body)["events"]
        if len(events) > items or len(body) > limit:
            return 413, {}, b""
        taken.update(one["external_id"] + str(one["properties"]) for one in events)
        return 201, {"content-type": "application/json"}, b'{"message": "success"}'

    running = listen(partner)
    events = _searches(150, {number: f"{number}-" + "x" * 300 for number in range(150)})
    done = deliver("braze", events, apiKey="a-long-key", endpoint=running.url)
    assert _outcomes(done) == {"delivered": 150}
    assert set(taken.values()) == {1}
    assert len(taken) == 150


def _firewall(body: bytes, status: int = 403) -> Answer:
    if b"OR 1=1" in body:
        return status, {}, b"<html>Request blocked</html>"
    return 200, {}, b"ok"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("bad", [{3: "' OR 1=1 --"}, {0: "OR 1=1"}, {29: "OR 1=1"}])
def test_a_firewall_refuses_one_event(
    deliver: Callable[..., Any], listen: Listen, tmp_path: Path, status: int, bad: dict[int, str]
) -> None:
    """The others go, with and without a run that feeds it back; the key is not blamed for it."""
    running = listen(lambda body: _firewall(body, status))
    left = tmp_path / "left.ndjson"
    done = deliver("webhook", _searches(30, bad), "--undelivered", str(left), url=running.url)
    assert _outcomes(done) == {"delivered": 29, "rejected": 1}
    assert "stopped" not in done.json
    again = deliver("webhook", left, url=running.url)
    assert again.json["lines"] == 1
    if status == 403:
        assert _outcomes(again) == {"rejected": 1}
        assert "stopped" not in again.json


def test_a_firewall_in_front_of_usage(deliver: Callable[..., Any], listen: Listen) -> None:
    """In a batch the one that is refused is found, and the others are counted once."""
    with _sandbox() as sandbox:

        def partner(body: bytes) -> Answer:
            if b"user_13" in body and b"mutation" in body:
                return 403, {}, b"<html>Request blocked</html>"
            return _passing_on(sandbox, body)

        running = listen(partner)
        done = deliver("kana", _usage(50), apiKey=KEY, endpoint=running.url)
        assert _outcomes(done) == {"delivered": 49, "rejected": 1}
        usage = {user: of["calls"] for user, of in sandbox.snapshot()["usage"].items()}
        assert usage == {f"user_{number}": 2 for number in range(50) if number != 13}


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused(deliver: Callable[..., Any], listen: Listen, status: int) -> None:
    """Five events in a row are refused, and nothing between: the run stops, and all of it waits."""
    running = listen(lambda _body: (status, {}, b"who are you"))
    done = deliver("webhook", _searches(40), url=running.url)
    assert done.code == 2
    assert done.json["stopped"] == "authentication"
    assert set(_outcomes(done)) == {"ready"}
    assert len(running.bodies) < 20


def test_a_key_that_is_revoked_meanwhile(deliver: Callable[..., Any], listen: Listen) -> None:
    """The authentication test fails, too: nothing is rejected."""
    with _sandbox() as sandbox:

        def partner(body: bytes) -> Answer:
            if b"mutation" in body or len(running.bodies) > 2:
                return 401, {}, b"{}"
            return _passing_on(sandbox, body)

        running = listen(partner)
        done = deliver("kana", _usage(300), apiKey=KEY, endpoint=running.url)
    assert done.code == 2
    assert done.json["stopped"] == "authentication"
    assert set(_outcomes(done)) == {"ready"}


NOT_VALID = json.dumps(
    {
        "errors": [
            {
                "message": 'Cannot query field "recorded" on type "UsageEvent".',
                "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
            }
        ]
    }
).encode()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, NOT_VALID),
        (400, NOT_VALID),
        (200, NOT_VALID.replace(b"VALIDATION", b"PARSE")),
        (404, b"<html>Not Found</html>"),
        (405, b""),
        (307, b""),
        (308, b""),
    ],
)
def test_a_document_that_is_refused(
    deliver: Callable[..., Any], listen: Listen, status: int, answer: bytes
) -> None:
    """A bad deployment costs a few requests and no event: all of it waits, and goes later."""
    with _sandbox() as sandbox:
        is_bad = True
        place = {"location": "https://u:p@elsewhere.example.com/graphql?token=abc"}

        def partner(body: bytes) -> Answer:
            if is_bad and b"mutation" in body:
                return status, place if 300 < status < 400 else {}, answer
            return _passing_on(sandbox, body)

        running = listen(partner)
        done = deliver("kana", _usage(1000), apiKey=KEY, endpoint=running.url)
        assert set(_outcomes(done)) == {"ready"}
        assert done.code == 2
        assert done.json["stopped"] == "refused"
        assert sum(b"mutation" in body for body in running.bodies) <= 60
        if status in {307, 308}:
            assert "redirected to https://elsewhere.example.com/graphql?***" in done.err
            assert "abc" not in done.err
        is_bad = False
        later = deliver("kana", _usage(1000), apiKey=KEY, endpoint=running.url)
        assert set(_outcomes(later)) == {"delivered"}
        usage = {user: of["calls"] for user, of in sandbox.snapshot()["usage"].items()}
        assert usage == {f"user_{number}": 40 for number in range(50)}
