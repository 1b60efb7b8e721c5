"""Segment's HTTP API: what its SDKs send reaches every destination of a source, once."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError, StoreFullError
from destinations.operations import forget
from destinations.outcome import Outcome, State
from destinations.pipeline.engine import Engine
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import ServeConfig, Service, bind, read_config
from destinations.store import RefusedSelection, SqliteStore, StoredQueue, broken_rules
from destinations.telemetry import Observation

WEB, APP, NOTHING = "key-of-the-web-pages", "key-of-the-apps-0123", "key-that-feeds-nothing"
PAGE = "https://www.example.com"

Partner = Any
"""See ``conftest.py``."""


def _event(message: str, **more: Any) -> dict[str, Any]:
    """An event that counts the thing of its own name once, of a user of its own."""
    return {
        "type": "track",
        "event": "E",
        "userId": f"user of {message}",
        "messageId": message,
        "properties": {"by": 1, "thing": message},
        **more,
    }


def _sent(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as it is sent to a path that says its type."""
    return {key: value for key, value in event.items() if key != "type"}


@dataclass
class Api:
    """A server with sources, as SDKs see it."""

    service: Service
    key: str = WEB

    @property
    def host(self) -> str:
        host = self.service.source_url
        assert host is not None
        return host

    def post(
        self, path: str, body: object, *, key: str | None = None, **headers: str
    ) -> requests.Response:
        """Posts bytes as they are, anything else as JSON; an empty key sends no Authorization."""
        key = self.key if key is None else key
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            named["Authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        return requests.post(self.host + path, data=data, headers=named, timeout=30)

    def batch(self, *events: object, **beside: object) -> requests.Response:
        return self.post("/v1/batch", {"batch": events, **beside})


Serve = Callable[..., Api]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store."""
    return tmp_path / "s.sqlite3"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """The sources: ``web`` feeds ``one`` and ``two``, ``app`` only ``two``."""
    for name, key in (("web", WEB), ("app", APP), ("idle", NOTHING)):
        (tmp_path / f"{name}.key").write_text(key)
        (tmp_path / f"{name}.key").chmod(0o600)
    return {
        "sources": [
            {"name": "web", "keys": [{"file": "web.key"}], "cors": [PAGE]},
            {"name": "app", "keys": [{"file": "app.key"}], "contextTraits": True},
            {"name": "idle", "keys": [{"file": "idle.key"}]},
        ],
        "of": {
            "one": {"from": ["web"], "receiver": None},
            "two": {"from": ["web", "app"], "receiver": None},
        },
    }


@pytest.fixture
def serve(
    start: Callable[[ServeConfig], Service],
    configure: Callable[..., ServeConfig],
    settings: dict[str, Any],
) -> Serve:
    """Starts a server with the destinations ``one`` and ``two``, unless others are named."""

    def make(*names: str, **more: Any) -> Api:
        return Api(start(configure(*(names or ("one", "two")), **{**settings, **more})))

    return make


def _until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(6_000):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("it did not become so")


def _entries(path: Path) -> list[LedgerEntry]:
    with SqliteStore(path, read_only=True) as store:
        return list(store.ledger().find(Selection()))


def _refused(path: Path) -> list[tuple[str, str, Any]]:
    """The refused events: source, code and event, or text that is none."""
    with SqliteStore(path, read_only=True) as store:
        found = store.refused().find(RefusedSelection())
    shown = []
    for one in found:
        try:
            raw = json.loads(one.event.raw)
        except ValueError:
            raw = one.event.raw
        shown.append((one.destination, one.event.code, raw))
    return shown


def _counted(partner: Partner, *things: str) -> None:
    """Wait until both destinations have counted each of these, and check that it was once."""
    expected = sorted((f"api-key-{name}", thing) for name in ("one", "two") for thing in things)
    _until(lambda: len(partner.counted) >= len(expected))
    assert sorted(partner.counted) == expected


# -- what comes in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import", "/v1/b"])
def test_batches(serve: Serve, partner: Partner, path: str) -> None:
    """All paths of batches are one; both destinations get each event once."""
    api = serve()
    answer = api.post(path, {"batch": [_event("m1"), _event("m2")], "sentAt": "2026-01-01"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    _counted(partner, "m1", "m2")


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t"])
def test_single_events(serve: Serve, partner: Partner, path: str) -> None:
    """The path says the type, whatever the event says."""
    api = serve()
    assert api.post(path, _sent(_event("m1"))).json() == {"success": True}
    assert api.post(path, _event("m2") | {"type": "page"}).json() == {"success": True}
    _counted(partner, "m1", "m2")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("identify", "identify"),
        ("i", "identify"),
        ("page", "page"),
        ("p", "page"),
        ("screen", "screen"),
        ("s", "screen"),
        ("group", "group"),
        ("g", "group"),
        ("alias", "alias"),
        ("a", "alias"),
    ],
)
def test_types_of_paths(serve: Serve, path: str, kind: str, tmp_path: Path) -> None:
    """Each path stands for one call of the Spec."""
    api = serve()
    event = {"userId": "u", "groupId": "g", "previousId": "p", "messageId": "m1"}
    assert api.post(f"/v1/{path}", event).json() == {"success": True}
    api.service.stop()
    assert [(one.type, one.destination) for one in _entries(tmp_path / "s.sqlite3")] == [
        (kind, "one"),
        (kind, "two"),
    ]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param({"batch": [_event("m1")], "writeKey": WEB}, {}, id="a batch"),
        pytest.param(
            {"batch": [_event("m1")], "writeKey": WEB}, {"content_type": "text/plain"}, id="plain"
        ),
        pytest.param(
            gzip.compress(json.dumps({"batch": [_event("m1")], "writeKey": WEB}).encode()),
            {"content_encoding": "gzip"},
            id="gzip",
        ),
    ],
)
def test_the_write_key_in_a_body(
    serve: Serve, partner: Partner, body: object, headers: dict[str, str]
) -> None:
    """It is as good as the header, and whatever the content is called."""
    answer = serve().post("/v1/batch", body, key="", **headers)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    _counted(partner, "m1")


def test_the_write_key_of_one_event(serve: Serve, partner: Partner, path: Path) -> None:
    """It stands in the event, and goes nowhere with it."""
    api = serve()
    partner.is_down = True
    answer = api.post("/v1/t", {**_sent(_event("m1")), "writeKey": WEB}, key="")
    assert answer.json() == {"success": True}
    api.service.stop()
    with SqliteStore(path, read_only=True) as store:
        (raw,) = {store.ledger().raw_event(one.event_id) for one in _entries(path)}
    assert raw is not None
    assert b"writeKey" not in raw


@pytest.mark.parametrize(
    ("key", "body", "message"),
    [
        ("", {"batch": []}, "missing write key"),
        ("", {"batch": [], "writeKey": "x"}, "wrong write key"),
        ("", {"batch": [], "writeKey": 5}, "missing write key"),
        ("another-key-of-nobody", {"batch": [], "writeKey": WEB}, "wrong write key"),
    ],
)
def test_strangers(serve: Serve, key: str, body: object, message: str, path: Path) -> None:
    """They get 401 in words, and nothing of theirs is kept."""
    api = serve()
    answer = api.post("/v1/batch", body, key=key)
    assert answer.status_code == 401
    assert message in answer.json()["message"]
    assert answer.json()["code"] == "UNAUTHORIZED"
    api.service.stop()
    assert _refused(path) == []


def test_a_key_decides_where_events_go(serve: Serve, partner: Partner) -> None:
    """Each source has its own keys, and feeds its own destinations."""
    api = serve()
    assert api.post("/v1/batch", {"batch": [_event("m1")]}, key=APP).status_code == 200
    assert api.post("/v1/batch", {"batch": [_event("m2")]}, key=WEB).status_code == 200
    _until(lambda: len(partner.counted) == 3)
    assert sorted(partner.counted) == [
        ("api-key-one", "m2"),
        ("api-key-two", "m1"),
        ("api-key-two", "m2"),
    ]


def test_a_path_decides_between_source_and_receiver(serve: Serve, partner: Partner) -> None:
    """Both may have the same key; without a receiver there is no path of that destination."""
    api = serve(of={"one": {"from": ["web"], "receiver": {"keys": [{"file": "web.key"}]}}})
    assert list(api.service.urls) == ["one", "two"]
    assert api.post("/v1/one", _event("m1")).json() == {"accepted": 1}
    assert api.post("/v1/track", _event("m2")).json() == {"success": True}
    _until(lambda: len(partner.counted) == 2)
    assert sorted(partner.counted) == [("api-key-one", "m1"), ("api-key-one", "m2")]


def test_a_destination_without_a_receiver(serve: Serve) -> None:
    """Events come to it from its sources alone."""
    api = serve()
    assert api.service.urls == {}
    answer = api.post("/v1/one", _event("m1"))
    assert answer.status_code == 404
    assert answer.json()["message"].endswith("events go to /v1/batch, /v1/track and so on")


# -- what is merged and completed ------------------------------------------------------------------


def test_what_is_kept_of_an_event(serve: Serve, partner: Partner, path: Path) -> None:
    """It has what stood beside the batch and what the API adds, and is kept once for both."""
    partner.is_down = True
    api = serve()
    own = _event("m1", timestamp="2026-01-01T00:00:00Z", context={"ip": "own"})
    answer = api.batch(
        {key: value for key, value in own.items() if key != "messageId"},
        context={"ip": "shared", "library": {"name": "analytics-go"}},
        integrations={"All": True},
        sentAt="2026-01-01T00:00:10Z",
    )
    assert answer.json() == {"success": True}
    api.service.stop()
    with SqliteStore(path, read_only=True) as store:
        entries = list(store.ledger().find(Selection()))
        raws = [store.ledger().raw_event(one.event_id) for one in entries]
        (kept,) = store.database.all("SELECT raw FROM shared_events")
        assert store.database.all("SELECT DISTINCT raw FROM events") == [(b"",)]
    assert [one.destination for one in entries] == ["one", "two"]
    assert raws == [kept[0], kept[0]]
    found = json.loads(kept[0])
    assert found["context"] == {"ip": "own", "library": {"name": "analytics-go"}}
    assert found["integrations"] == {"All": True}
    assert found["originalTimestamp"] == "2026-01-01T00:00:00Z"
    assert found["sentAt"] == "2026-01-01T00:00:10Z"
    assert found["messageId"] == entries[0].message_id == entries[1].message_id
    assert found["receivedAt"] > found["timestamp"] > "2026-06"  # ten seconds before it came


def test_integrations_beside_a_batch(serve: Serve, partner: Partner, path: Path) -> None:
    """They switch destinations off for all of its events, but for those that say otherwise."""
    api = serve()
    api.batch(
        _event("m1"),
        _event("m2", integrations={"All": True}),
        integrations={"All": False},
    )
    _counted(partner, "m2")
    api.service.stop()
    filtered = [one.message_id for one in _entries(path) if one.status is Outcome.FILTERED]
    assert filtered == ["m1", "m1"]


@pytest.mark.parametrize("name", ["context", "integrations"])
def test_what_cannot_be_merged(serve: Serve, name: str, path: Path) -> None:
    """The request is refused as a whole, and kept."""
    api = serve()
    answer = api.batch(_event("m1"), **{name: [1]})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"{name} beside batch must be an object"
    api.service.stop()
    ((source, _, _),) = _refused(path)
    assert source == "web"


# -- events that come again ------------------------------------------------------------------------


def test_a_batch_that_is_sent_again(serve: Serve, partner: Partner, path: Path) -> None:
    """As SDKs do when no answer came, with another sentAt: everything counts once."""
    api = serve()
    event = _event("m1", timestamp="2026-01-01T00:00:00Z")
    nameless = _event("m2", timestamp="2026-01-01T00:00:00Z")
    del nameless["messageId"]
    for second in range(3):
        answer = api.batch(event, nameless, sentAt=f"2026-01-01T00:00:0{second}Z")
        assert answer.json() == {"success": True}
    _counted(partner, "m1", "m2")
    api.service.stop()
    assert {one.status for one in _entries(path)} == {Outcome.DELIVERED}
    assert len(_entries(path)) == 4


def test_it_is_new_for_one_destination_alone(serve: Serve, partner: Partner) -> None:
    """What a destination had before is recognised there, and new to the others."""
    api = serve()
    assert api.post("/v1/track", _event("m1"), key=APP).status_code == 200
    partner.wait_for("m1")
    assert api.post("/v1/track", _event("m1"), key=WEB).status_code == 200
    _counted(partner, "m1")


def test_another_event_under_the_same_name(serve: Serve, partner: Partner, path: Path) -> None:
    """SDKs give a batch up on 4xx: it is answered 200, and an operator finds it as rejected."""
    api = serve()
    api.batch(_event("m1"))
    _counted(partner, "m1")
    answer = api.batch(_event("m1", event="Another"), _event("m2"))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    _counted(partner, "m1", "m2")
    api.service.stop()
    rejected = [one for one in _entries(path) if one.status is Outcome.REJECTED]
    assert [(one.destination, one.code, one.message_id) for one in rejected] == [
        ("one", "CONFLICT", "m1"),
        ("two", "CONFLICT", "m1"),
    ]
    assert _refused(path) == []


def _kana(**more: Any) -> dict[str, Any]:
    """A destination whose requests add to an amount."""
    settings = {"apiKey": "${RECEIVER}", "endpoint": "http://127.0.0.1:9/graphql"}
    return {"destination": "kana", "settings": settings, "receiver": None, **more}


def test_an_event_that_would_count_again(serve: Serve, partner: Partner, path: Path) -> None:
    """Without an id and a time it would count each time it is sent: it is refused instead.

    Where nothing is added, it is given an id.
    """
    api = serve(of={"one": _kana(**{"from": ["web"]}), "two": {"from": ["web", "app"]}})
    bare = {key: item for key, item in _event("m1").items() if key != "messageId"}
    bare["properties"]["featureId"] = "calls"
    answer = api.post("/v1/track", bare)
    assert (answer.status_code, answer.json()["code"]) == (400, "MESSAGE_ID_MISSING")
    assert api.batch(bare, _event("m2")).json() == {"success": True}
    partner.wait_for("m2")
    for _ in range(2):
        assert api.post("/v1/track", bare, key=APP).json() == {"success": True}
    partner.wait_for("m1")
    api.service.stop()
    assert {code for _, code, _ in _refused(path)} == {"MESSAGE_ID_MISSING"}
    names = [one.message_id for one in _entries(path) if one.user == "user of m1"]
    assert len(names) == len(set(names)) == 2


def test_what_an_sdk_notes_of_its_attempts(serve: Serve, partner: Partner, path: Path) -> None:
    """analytics.js counts them in the event: it is the same event all the same."""
    api = serve()
    for attempt in range(3):
        event = _event("m1", _metadata={"retryCount": attempt} if attempt else {})
        assert api.batch(event).json() == {"success": True}
    _counted(partner, "m1")
    api.service.stop()
    assert {one.status for one in _entries(path)} == {Outcome.DELIVERED}


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"type": "track", "event": "E"}, "NO_USER_ANON_ID"),
        ({"type": "unknown", "userId": "u"}, "TYPE_INVALID"),
        ({"type": "delete", "userId": "u"}, "CALL_UNSUPPORTED"),
        ({"type": "track", "userId": "u"}, "EVENT_NOT_DEFINED"),
        (5, "NOT_OBJECT"),
        (_event("m" * 101), "MESSAGE_ID_TOO_LONG"),
        (_event("m9", context={"long": "x" * 33_000}), "TOO_LARGE"),
        (_event("m9", context="text"), "CONTEXT_NOT_OBJECT"),
    ],
)
def test_a_batch_with_one_bad_event(
    serve: Serve, partner: Partner, path: Path, bad: Any, code: str
) -> None:
    """The others are accepted, and it is kept with its reason, as it can be sent again."""
    api = serve()
    answer = api.batch(_event("m1"), bad, _event("m2"), context={"ip": "x"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    _counted(partner, "m1", "m2")
    api.service.stop()
    ((source, found, raw),) = _refused(path)
    assert (source, found) == ("web", code)
    if isinstance(bad, dict) and "context" not in bad:
        assert raw == {**bad, "context": {"ip": "x"}}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/track", {"userId": "u"}, "a track call needs an event name in event"),
        ("/v1/track", [_event("m1")], "must be a JSON object, not an array"),
        ("/v1/track", b"{", "is not JSON"),
        ("/v1/track", b"", "the body is empty: send an event"),
        ("/v1/batch", b"", "the body is empty: send a batch"),
        ("/v1/batch", _event("m1"), "is no batch"),
        ("/v1/batch", [_event("m1")], "is no batch"),
        ("/v1/batch", {"batch": {}}, "is no batch"),
        ("/v1/batch", b"nope", "is not JSON"),
        ("/v1/batch", b'{"batch": [], "context": {}, "context": {}}', "context occurs twice"),
        ("/v1/batch", b'{"batch": [', "is not JSON"),
        ("/v1/batch", {"batch": [{}, {}]}, "none of 2 events was accepted"),
        ("/v1/batch", {"batch": [{"userId": "u"}] * 2501}, "holds 2,501 events"),
        ("/v1/batch", b'{"batch": [], "context": {', "is not JSON"),
    ],
)
def test_requests_of_which_nothing_is_good(
    serve: Serve, path: str, body: object, message: str
) -> None:
    """The developer is told why, in words and with a code."""
    answer = serve().post(path, body)
    assert answer.status_code in {400, 413}
    assert message in answer.json()["message"]
    assert answer.json()["code"]


def test_an_empty_batch(serve: Serve) -> None:
    """There is nothing to refuse."""
    assert serve().batch().json() == {"success": True}


def test_a_gzip_bomb(serve: Serve) -> None:
    """It is refused before it is inflated, and the next request is served."""
    api = serve()
    bomb = gzip.compress(b'{"batch": [' + b" " * 50_000_000)
    answer = api.post("/v1/batch", bomb, content_encoding="gzip")
    assert answer.status_code == 413
    assert api.batch(_event("m1")).json() == {"success": True}


@pytest.mark.parametrize(("method", "allow"), [("GET", "POST"), ("PUT", "POST")])
def test_other_methods(serve: Serve, method: str, allow: str) -> None:
    """What would be right is said."""
    answer = requests.request(method, serve().host + "/v1/batch", timeout=30)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_a_source_that_feeds_nothing(serve: Serve, path: Path, observation: Observation) -> None:
    """Its events are counted and kept as refused, and the configuration warns of it."""
    api = serve()
    answer = api.post("/v1/track", _event("m1"), key=NOTHING)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (warning,) = api.service.config.warnings
    assert warning.startswith("source idle feeds no destination: its events are refused until")
    name = 'destinations_refused_total{code="NO_DESTINATION",destination="idle",status="400"} 1.0'
    assert name in observation.metrics().decode()
    api.service.stop()
    ((source, code, raw),) = _refused(path)
    assert (source, code, raw["messageId"]) == ("idle", "NO_DESTINATION", "m1")


# -- one destination and the others ----------------------------------------------------------------


def test_a_full_queue(serve: Serve, partner: Partner) -> None:
    """What waits for one destination refuses no event, for it or for another one."""
    partner.is_down = True
    api = serve(queue={"maxEvents": 1})
    for number in range(3):
        assert api.batch(_event(f"m{number}")).json() == {"success": True}
    partner.is_down = False
    _counted(partner, "m0", "m1", "m2")


def test_a_pause(serve: Serve, partner: Partner, path: Path) -> None:
    """What a paused destination does not get waits for it; the others get it."""
    api = serve()
    scope = next(one.scope for name, one in api.service._served.items() if name == "one")
    api.service._engine.pause([scope])
    assert api.batch(_event("m1")).json() == {"success": True}
    partner.wait_for("m1")
    api.service.stop()
    assert [(one.destination, one.status) for one in _entries(path)] == [
        ("one", State.READY),
        ("two", Outcome.DELIVERED),
    ]


def test_a_full_store(serve: Serve, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Nothing is accepted for any of them, and the sender is asked to come again."""
    api = serve()

    def commit(*_: object) -> None:
        raise StoreFullError("it is full", "at its limit")

    with monkeypatch.context() as patched:
        patched.setattr(StoredQueue, "commit", commit)
        answer = api.batch(_event("m1"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert _entries(path) == []


def test_one_commit(serve: Serve, monkeypatch: pytest.MonkeyPatch, partner: Partner) -> None:
    """All that a request brings for all destinations is durable at once, or not at all."""
    api = serve()
    partner.is_down = True
    seen: list[list[str]] = []
    usual = StoredQueue.commit

    def commit(queue: StoredQueue, round_: Any) -> Any:
        if round_.arrivals:
            seen.append([scope.name for scope, _ in round_.arrivals])
        return usual(queue, round_)

    monkeypatch.setattr(StoredQueue, "commit", commit)
    assert api.batch(_event("m1"), _event("m2")).status_code == 200
    assert seen == [["one", "one", "two", "two"]]


def test_a_destination_whose_code_breaks(
    serve: Serve,
    partner: Partner,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others get the event; what it was to get is dead, with its raw event."""
    api = serve()
    broken = api.service._served["one"].route.destination

    def payloads(*_: object, **__: object) -> Iterator[Any]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(broken), "payloads", _of_one(broken, payloads))
    assert api.batch(_event("m1")).json() == {"success": True}
    partner.wait_for("m1")
    api.service.stop()
    dead, delivered = _entries(path)
    assert (dead.destination, dead.status, dead.code) == ("one", Outcome.DEAD, "INTERNAL_ERROR")
    assert (delivered.destination, delivered.status) == ("two", Outcome.DELIVERED)
    assert partner.counted == [("api-key-two", "m1")]
    with SqliteStore(path) as store:
        assert store.ledger().raw_event(dead.event_id) is not None
        assert broken_rules(store.database) == []


def _of_one(broken: object, fails: Callable[..., Any]) -> Callable[..., Any]:
    usual = type(broken).payloads  # type: ignore[attr-defined] # a destination

    def payloads(self: object, *given: Any, **named: Any) -> Any:
        return (fails if self is broken else usual)(self, *given, **named)

    return payloads


def test_a_restart(serve: Serve, partner: Partner, path: Path) -> None:
    """What waits for several destinations is delivered after it, and the raw event goes."""
    partner.is_down = True
    api = serve()
    api.batch(_event("m1"), _event("m2"))
    assert api.service.stop() == 4
    partner.is_down = False
    again = serve()
    _counted(partner, "m1", "m2")
    assert again.service.stop() == 0
    with SqliteStore(path) as store:
        assert store.database.all("SELECT id FROM shared_events") == []
        assert store.database.all("SELECT id FROM events") == []
        assert broken_rules(store.database) == []


def test_a_user_is_forgotten_for_one_destination(
    serve: Serve, partner: Partner, path: Path
) -> None:
    """The raw event goes with the last destination that it waits for."""
    partner.is_down = True
    api = serve()
    api.batch(_event("m1"))
    api.service.stop()
    user = "user of m1"
    forget(path, user, 1.0, destination="one")
    with SqliteStore(path) as store:
        assert len(store.database.all("SELECT id FROM shared_events")) == 1
        assert broken_rules(store.database) == []
    forget(path, user, 2.0)
    with SqliteStore(path) as store:
        assert store.database.all("SELECT id FROM shared_events") == []
        assert broken_rules(store.database) == []


def test_a_reload(
    serve: Serve,
    configure: Callable[..., ServeConfig],
    settings: dict[str, Any],
    partner: Partner,
) -> None:
    """Other sources, and other destinations of a source, are taken over."""
    api = serve()
    fresh = {**settings, "sources": settings["sources"][:1]}
    fresh["of"] = {"one": settings["of"]["one"], "two": {}}
    api.service.reload(configure("one", "two", **fresh))
    assert api.post("/v1/track", _event("m1"), key=APP).status_code == 401
    assert api.post("/v1/track", _event("m2"), key=WEB).status_code == 200
    _until(lambda: len(partner.counted) == 1)
    assert partner.counted == [("api-key-one", "m2")]
    assert list(api.service.urls) == ["two"]


# -- what browsers ask -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "key", "is_allowed"),
    [
        (PAGE, WEB, True),
        (PAGE, APP, False),
        (PAGE, "another-key-of-nobody", True),
        ("https://other.example", WEB, False),
        ("", WEB, False),
    ],
)
def test_pages(serve: Serve, origin: str, key: str, is_allowed: bool) -> None:
    """A page that is listed may read the answer, good or bad; the events of others count as well.

    Of a key that is not known, each listed page may read that.
    """
    answer = serve().post("/v1/track", _event("m1"), key=key, origin=origin)
    assert answer.status_code == (401 if "nobody" in key else 200)
    assert answer.headers.get("access-control-allow-origin") == (origin if is_allowed else None)


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 204), ("https://other.example", 403)])
@pytest.mark.parametrize("path", ["/v1/t", "/v1/batch", f"/v1/projects/{WEB}/settings"])
def test_preflights(serve: Serve, path: str, origin: str, status: int) -> None:
    """A listed page is told that it may send, without a key."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = requests.options(serve().host + path, headers=headers, timeout=30)
    assert answer.status_code == status
    assert answer.content == b"" if status == 204 else "cors" in answer.json()["message"]
    assert ("content-length" in answer.headers) is (status != 204)


def test_a_write_key_in_a_path_is_kept_nowhere(serve: Serve, path: Path) -> None:
    """Not even where the request is refused: it is not known to come from who has the key."""
    api = serve()
    url = f"{api.host}/v1/projects/{WEB}/settings"
    assert requests.get(url, headers={"Host": "none at all"}, timeout=30).status_code == 400
    assert requests.put(url, timeout=30).status_code == 405
    api.service.stop()
    assert _refused(path) == []
    assert WEB.encode() not in path.read_bytes()


def test_the_settings_of_analytics_js(serve: Serve) -> None:
    """They send its events to this server; who has no write key gets none."""
    api = serve()
    url = f"{api.host}/v1/projects/{WEB}/settings"
    answer = requests.get(url, headers={"Origin": PAGE}, timeout=30)
    assert answer.headers["access-control-allow-origin"] == PAGE
    found = answer.json()["integrations"]["Segment.io"]
    assert found["apiKey"] == WEB
    assert f"{found['protocol']}://{found['apiHost']}" == f"{api.host}/v1"
    stranger = requests.get(f"{api.host}/v1/projects/nobody/settings", timeout=30)
    assert stranger.status_code == 404
    assert requests.post(url, timeout=30).status_code == 405


def test_the_settings_behind_a_proxy(serve: Serve) -> None:
    """A proxy that is trusted says where browsers reach the server; no Host is no answer."""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "events.example.com"}
    for trusted, base in (([], None), (["127.0.0.1/32"], "https://events.example.com")):
        api = serve(listen={"port": 0, "trustedProxies": trusted})
        url = f"{api.host}/v1/projects/{WEB}/settings"
        found = requests.get(url, headers=forwarded, timeout=30).json()["integrations"]
        sent_to = f"{found['Segment.io']['protocol']}://{found['Segment.io']['apiHost']}"
        assert sent_to == f"{base or api.host}/v1"
        without = requests.get(url, headers={"Host": "?", "X-Forwarded-Host": "?"}, timeout=30)
        assert (without.status_code, "Host" in without.json()["message"]) == (400, True)
        api.service.stop()


# -- the configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "issue"),
    [
        (
            {"of": {"one": {"from": ["webs"]}}},
            "/destinations/0/from/0: no source is called 'webs'; there are: web, app, idle; did",
        ),
        ({"names": ("track",)}, "/destinations/0/name: cannot be 'track': with sources, /v1/track"),
        ({"names": ("projects",)}, "/destinations/0/name: cannot be 'projects'"),
        (
            {"names": ("web",)},
            "/sources/0/name: the name 'web' occurs twice: a destination and a source need two",
        ),
        (
            {"sources": [{"name": "web", "keys": [{"file": "web.key"}], "cors": ["*"]}]},
            "/sources/0/cors/0: invalid origin '*': there are no wildcards; name each origin",
        ),
        (
            {
                "sources": [
                    {"name": "web", "keys": [{"file": "web.key"}]},
                    {"name": "app", "keys": [{"file": "app.key"}, {"file": "web.key"}]},
                ]
            },
            "/sources/1/keys/1: is also a key of the source web: give each source its own",
        ),
        ({"sources": [{"name": "web"}]}, "/sources/0: lacks 'keys'"),
        (
            {"sources": [{"name": "web", "keys": ["a-key-in-the-text"]}]},
            "/sources/0/keys/0: ",
        ),
        (
            {"sources": [{"name": "a b", "keys": [{"file": "web.key"}]}]},
            "/sources/0/name: must be a name of at most 64 letters",
        ),
    ],
)
def test_wrong_configurations(
    configure: Callable[..., ServeConfig],
    settings: dict[str, Any],
    more: dict[str, Any],
    issue: str,
) -> None:
    """The place is named, and what would be right; a key in the text is not shown."""
    given = {**settings, "of": {}, **more}
    names = given.pop("names", ("one",))
    with pytest.raises(DefinitionError) as caught:
        configure(*names, **given)
    assert issue in str(caught.value)
    assert "a-key-in-the-text" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two", "is_refused"),
    [
        ({"from": ["web"]}, {"from": ["web"]}, True),
        ({"from": ["app", "web"]}, {"from": ["web", "idle"]}, True),
        ({"from": ["web"]}, {"from": ["app"]}, False),
        ({"from": ["web"]}, {"from": ["web"], "account": "another"}, False),
        ({"from": ["web"]}, {"from": ["web"], "allowOverlap": True}, False),
        ({"from": ["web"]}, {}, False),
    ],
)
def test_two_destinations_of_one_account(
    configure: Callable[..., ServeConfig],
    settings: dict[str, Any],
    one: dict[str, Any],
    two: dict[str, Any],
    is_refused: bool,
) -> None:
    """One event of a source would count for each of them: that is refused unless it is meant."""
    of = {"one": _kana(account="a") | one, "two": _kana(account="a") | two}
    if two.get("account"):
        of["two"]["settings"] |= {"endpoint": "http://127.0.0.1:8/graphql"}
    config = configure("one", "two", **{**settings, "of": of})
    if not is_refused:
        assert len(bind(config, None)) == 2
        return
    with pytest.raises(DefinitionError) as caught:
        bind(config, None)
    assert "two and one deliver to the account 'a', and of the source web" in str(caught.value)
    assert "which would count twice" in str(caught.value)


def test_without_sources_every_name_is_free(configure: Callable[..., ServeConfig]) -> None:
    """Paths of Segment's API are there only with a source."""
    assert [one.name for one in configure("track", "b").destinations] == ["track", "b"]


def test_a_source_beside_tenants(
    configure: Callable[..., ServeConfig], settings: dict[str, Any]
) -> None:
    """Events of a source have no customer's key."""
    tenants = {"receiver": {"tenants": {"key": "apiKey"}}, "from": ["web"]}
    with pytest.raises(DefinitionError, match=r"has no effect beside receiver\.tenants"):
        configure("one", **{**settings, "of": {"one": tenants}})


def test_keys_that_everybody_can_read(
    configure: Callable[..., ServeConfig], settings: dict[str, Any], tmp_path: Path
) -> None:
    """It is a warning, with the place and the file."""
    (tmp_path / "web.key").chmod(0o644)
    first, *_ = configure("one", "two", **settings).warnings
    assert first.startswith("/sources/0/keys/0: every user of this machine can read")


def test_who_does_not_serve_needs_no_keys(
    configure: Callable[..., ServeConfig], settings: dict[str, Any], tmp_path: Path
) -> None:
    """Commands that only look at the store ask for none."""
    configure("one", "two", **settings)
    (tmp_path / "web.key").unlink()
    config = read_config(tmp_path / "c.yaml", {}, secrets=False)
    assert [one.keys for one in config.sources] == [(), (), ()]


def test_after_the_end(serve: Serve) -> None:
    """Nothing of a request is accepted any more."""
    api = serve()
    api.service.stop()
    with pytest.raises(Exception, match="closed"):
        Engine.distribute(api.service._engine, [])


@pytest.mark.parametrize("has_other_key", [True, False])
def test_two_destinations_with_one_key(
    configure: Callable[..., ServeConfig], settings: dict[str, Any], has_other_key: bool
) -> None:
    """Who wants an event twice at a partner that knows repeats by a key needs two keys."""
    one = {
        "destination": "metronome",
        "account": "a",
        "from": ["web"],
        "settings": {"apiToken": "${RECEIVER}"},
        "receiver": None,
    }
    subscription: dict[str, Any] = {
        "name": "S",
        "partnerAction": "sendEvent",
        "subscribe": 'type = "track"',
    }
    if has_other_key:
        key = {"@template": "{{messageId}}-second"}
        subscription["mapping"] = {"transaction_id": key}
    two = {**one, "subscriptions": [subscription], "allowOverlap": True}
    config = configure("one", "two", **{**settings, "of": {"one": one, "two": two}})
    if has_other_key:
        assert len(bind(config, None)) == 2
        return
    with pytest.raises(DefinitionError) as caught:
        bind(config, None)
    assert "two and one deliver to the account 'a': 'S' overlaps with" in str(caught.value)
    assert "the same idempotency key of ingest" in str(caught.value)
