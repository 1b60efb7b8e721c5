"""What a known sender was refused is kept; strangers and floods are counted, and cost nobody."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import TemporaryError
from destinations.pipeline.queue import Scope
from destinations.runtime.account_identity import AccountIdentity
from destinations.secrets import Masker
from destinations.server import Limits, ServeConfig, Service
from destinations.server.refused_events import Refusal, RefusedBounds, RefusedKeeper, Refusing
from destinations.store import RefusedEvent, RefusedSelection, SqliteStore

KEY, SECRET = "the-key-of-receivers", "the-secret-of-signatures"
GOOD = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1", "properties": {}}
BAD = {"type": "track", "messageId": "m2", "event": "E"}
PAGE = {"type": "page", "userId": "u1", "messageId": "m3"}


class _Noted(Refusing):
    """Keeps what it is given."""

    most_event_bytes = 65_536

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, str, Refusal]] = []

    def keep(self, scope: Scope, path: str, peer: str, refusals: Sequence[Refusal]) -> None:
        self.kept += [(scope.name, path, peer, one) for one in refusals]


def _sign(body: bytes) -> str:
    return hmac.digest(SECRET.encode(), body, hashlib.sha1).hex()


_BODY = json.dumps(BAD).encode()


@pytest.mark.parametrize(
    ("auth", "body", "headers", "kept"),
    [
        pytest.param("key", _BODY, {"Authorization": KEY}, [(400, _BODY)], id="a known key"),
        pytest.param("key", _BODY, {"Authorization": "x"}, [], id="a wrong key"),
        pytest.param("key", _BODY, {}, [], id="no key"),
        pytest.param("key", _BODY, {"Authorization": "other"}, [], id="another's key"),
        pytest.param("key", b"[1", {"Authorization": KEY}, [(400, b"[1")], id="no body"),
        pytest.param(
            "key",
            b"x" * 9_000,
            {"Authorization": KEY},
            [(413, b"x" * 9_000)],
            id="a body that is too long",
        ),
        pytest.param(
            "key",
            _BODY,
            {"Authorization": KEY, "Content-Encoding": "br"},
            [(415, _BODY)],
            id="an encoding",
        ),
        pytest.param(
            "key",
            gzip.compress(_BODY),
            {"Authorization": KEY, "Content-Encoding": "gzip"},
            [(400, _BODY)],
            id="what was compressed is kept as it was meant",
        ),
        pytest.param(
            "key",
            gzip.compress(b"x" * 9_000),
            {"Authorization": KEY, "Content-Encoding": "gzip"},
            [(413, b"x" * 9_000)],
            id="too long when it is inflated",
        ),
        pytest.param(
            "key",
            gzip.compress(_BODY)[:-3],
            {"Authorization": KEY, "Content-Encoding": "gzip"},
            [(400, _BODY)],
            id="compressed and cut off",
        ),
        pytest.param(
            "key",
            _BODY,
            {"Authorization": KEY, "Content-Encoding": "gzip"},
            [(400, _BODY)],
            id="not compressed, though it says so",
        ),
        pytest.param(
            "signature", _BODY, {"X-Signature": _sign(_BODY)}, [(400, _BODY)], id="signed"
        ),
        pytest.param("signature", _BODY, {"X-Signature": "0" * 40}, [], id="wrongly signed"),
        pytest.param("signature", b"x" * 9_000, {"X-Signature": "0"}, [], id="not signed yet"),
        pytest.param("none", _BODY, {}, [(400, _BODY)], id="whoever may send"),
    ],
)
def test_whose_events_are_kept(
    serve: Callable[..., Any],
    auth: str,
    body: bytes,
    headers: dict[str, str],
    kept: list[tuple[int, bytes]],
) -> None:
    """Those of senders that have proved who they are, with where they came from."""
    keys = {"key": {"keys": [KEY]}, "signature": {"signatures": [SECRET]}, "none": {}}[auth]
    running = serve(**keys, other_keys=["other"], limits=Limits(body_bytes=8_000))
    running.receiver.refusing = noted = _Noted()
    response = requests.post(running.url + "/v1/one", data=body, headers=headers, timeout=30)
    assert response.status_code >= 400
    assert [(one.status, one.raw) for *_, one in noted.kept] == kept
    assert {tuple(place) for *place, _ in noted.kept} <= {("one", "/v1/one", "127.0.0.1")}
    assert len(running.observer.codes) == 1  # counted in any case


_HEAD = b"POST /v1/one HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("head", "sent", "kept", "length"),
    [
        (b"content-length: 90000\r\n", b"x" * 90_000, 1_000, 90_000),
        (b"content-length: 90000\r\n", b"x" * 300, 300, 90_000),
        (b"content-length: 90000\r\nexpect: 100-continue\r\n", b"", 0, 90_000),
        (
            b"transfer-encoding: chunked\r\n",
            b"7d0\r\n" + b"x" * 2_000 + b"\r\n",
            1_000,
            None,
        ),
        (b"content-length: 2000\r\ncontent-encoding: br\r\n", b"x" * 2_000, 1_000, 2_000),
    ],
)
def test_the_beginning_of_a_body(
    serve: Callable[..., Any], head: bytes, sent: bytes, kept: int, length: int | None
) -> None:
    """Of a body that is not read, as much is kept as came at once, bounded, and not as a whole."""
    running = serve(limits=Limits(body_bytes=1_500 if length is None else 8_000))
    running.receiver.refusing = noted = _Noted()
    noted.most_event_bytes = 1_000
    answer = running.raw(_HEAD + head + b"\r\n" + sent)
    assert answer[:12] in {b"HTTP/1.1 413", b"HTTP/1.1 415"}
    ((*_, one),) = noted.kept
    assert (one.raw, one.is_whole) == (b"x" * kept, False)
    assert length is None or one.length == length


def test_each_event_of_a_batch(serve: Callable[..., Any]) -> None:
    """Whether others were accepted or not: each with its own code, reason and bytes."""
    running = serve(types=frozenset({"track"}))
    running.receiver.refusing = noted = _Noted()
    for events in ([GOOD, BAD, PAGE], [PAGE]):
        running.post(events)
    assert [(one.status, one.code, json.loads(one.raw)) for *_, one in noted.kept] == [
        (400, "NO_USER_ANON_ID", BAD),
        (501, "CALL_UNSUPPORTED", PAGE),
        (501, "CALL_UNSUPPORTED", PAGE),
    ]
    assert not any(one.reason.startswith(one.code) for *_, one in noted.kept)


def test_events_of_a_request_that_is_refused_as_a_whole(serve: Callable[..., Any]) -> None:
    """Each counts where they can be counted: too many of them, or a store that is full."""
    running = serve()
    assert running.post([GOOD] * 2_501).status_code == 413
    running.inboxes["one"].broken = RuntimeError("x")
    assert running.post([GOOD, {**GOOD, "messageId": "m9"}]).status_code == 500
    assert running.observer.codes == [
        *["REQUEST_ENTITY_TOO_LARGE"] * 2_501,
        *["INTERNAL_SERVER_ERROR"] * 2,
    ]


# -- what writes them ------------------------------------------------------------------------------


class _Bench:
    """A keeper that writes when it is told to, and its store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.unkept: list[tuple[str, int]] = []
        self.keeper = RefusedKeeper(
            store.refused(),
            mask=lambda text: text.replace("hidden", "***"),
            unkept=lambda name, number: self.unkept.append((name, number)),
            now=lambda: 5.0,
        )
        self.keeper.names = ("one", "two")
        self.scopes = {name: self._scope(name) for name in self.keeper.names}

    def _scope(self, name: str) -> Scope:
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", f"key {name}", name)
        return self.store.accounts().served(name, identity)

    def keep(self, *raws: bytes, name: str = "one", **more: Any) -> None:
        given: dict[str, Any] = {"status": 400, "code": "C", "reason": "why"} | more
        refusals = [Refusal(raw=raw, length=len(raw), **given) for raw in raws]
        self.keeper.keep(self.scopes[name], f"/v1/{name}", "192.0.2.1", refusals)

    def kept(self, name: str = "one") -> list[RefusedEvent]:
        return [one.event for one in self.store.refused().find(RefusedSelection(name))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    """On an empty store."""
    with SqliteStore(tmp_path / "s.sqlite3") as store:
        yield _Bench(store)


@pytest.mark.parametrize(
    ("raw", "kept", "is_whole", "ids"),
    [
        (b'{"messageId":"m","userId":"u"}', None, True, ("m", "u")),
        (b'{"messageId":7,"anonymousId":"a"}', None, True, ("7", "a")),
        (b'{"userId":true,"messageId":""}', None, True, (None, None)),
        (b"{", None, True, (None, None)),
        (b"[3]", None, True, (None, None)),
        (b"\xff\xfe", None, True, (None, None)),
        (b"", None, False, (None, None)),
        (b'{"userId":"u","a":"hidden"}', b'{"userId":"u","a":"***"}', False, (None, "u")),
        (b"x" * 90 + b"hidden" + b"x" * 90, b"x" * 90 + b"***" + b"x" * 7, False, (None, None)),
        (b'{"userId":"u","b":"' + b"x" * 99 + b'"}', b'{"userId":"u","b":"' + b"x" * 81, False, 0),
    ],
)
def test_what_is_kept_of_it(
    bench: _Bench, raw: bytes, kept: bytes | None, is_whole: bool, ids: Any
) -> None:
    """Ids where they can be read, no secret, and not too much: cut after it was masked."""
    bench.keeper.bounds = RefusedBounds(max_event_bytes=100)
    bench.keep(raw, reason="hidden is wrong")
    bench.keeper.flush()
    (found,) = bench.kept()
    assert (found.raw, found.is_whole, found.length) == (kept or raw, is_whole, len(raw))
    assert (found.message_id, found.user) == (ids or (None, "u"))
    assert (found.reason, found.at, found.peer) == ("*** is wrong", 5.0, "192.0.2.1")
    assert bench.unkept == []


_API_KEY = "acme-key-for-us-123"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"k":"' + _API_KEY.encode() + b'"}', b'{"k":"***"}'),
        (b'{"k":"\\u0061' + _API_KEY[1:].encode() + b'"}', b'{"k":"***"}'),
        (_API_KEY.encode("utf-16-le"), b"***"),
        # What is kept ends within it, or the body did: 7 characters may be left.
        (b"x" * 95 + _API_KEY.encode() + b"x" * 9, b"x" * 95 + b"***xx"),
        (b"x" * 20 + _API_KEY[:12].encode(), b"x" * 20 + b"***"),
        (b"x" * 20 + _API_KEY[:7].encode(), b"x" * 20 + _API_KEY[:7].encode()),
        (b"\xff\xfe" + _API_KEY.encode() + b"\x1b", b"\xff\xfe***\x1b"),
        (b'{"messageId":"' + _API_KEY.encode() + b'"}', b'{"messageId":"***"}'),
    ],
)
def test_secrets_in_what_is_kept(bench: _Bench, raw: bytes, kept: bytes) -> None:
    """They are masked as in every text of others: by parts, and behind escapes."""
    bench.keeper._mask = Masker([_API_KEY]).foreign
    bench.keeper.bounds = RefusedBounds(max_event_bytes=100)
    bench.keep(raw, reason=f"about {_API_KEY}")
    bench.keeper.flush()
    (found,) = bench.kept()
    assert (found.raw, found.is_whole, found.reason) == (kept, kept == raw, "about ***")
    assert _API_KEY not in (found.message_id or "")


@pytest.mark.parametrize("status", [401, 403, 405, 408, 500, 503])
def test_what_comes_again_is_not_kept(bench: _Bench, status: int) -> None:
    """Or is of nobody who is known."""
    bench.keep(b"{}", status=status)
    bench.keeper.flush()
    assert bench.kept() == []
    assert bench.unkept == []


def test_a_flood_leaves_others_room(bench: _Bench) -> None:
    """What does not fit is counted exactly, and another destination has its own share."""
    for _ in range(30):
        bench.keep(*[b"x"] * 100)
    bench.keep(b"y", name="two")
    bench.keeper.flush()
    left = sum(number for name, number in bench.unkept if name == "one")
    assert len(bench.kept()) + left == 3_000
    assert left >= 1_000
    assert [one.raw for one in bench.kept("two")] == [b"y"]
    bench.keep(b"later")  # and afterwards there is room again
    bench.keeper.flush()
    assert bench.kept()[-1].raw == b"later"


def test_bytes_are_bounded_too(bench: _Bench) -> None:
    """In memory: what waits, of a sender of large bodies. And what is left out is counted."""
    for _ in range(40):
        bench.keep(b"x" * 500_000)
    assert sum(number for _, number in bench.unkept) >= 20
    bench.keeper.bounds = RefusedBounds(max_bytes=1_000_000)
    bench.keeper.flush()
    assert [len(one.raw) for one in bench.kept()] == [65_536] * 7  # half of it, as there are two
    assert sum(number for _, number in bench.unkept) == 40 - 7


@pytest.mark.parametrize("max_bytes", [100, 4_000, 66_666, 100_000, 10_000_000])
@pytest.mark.parametrize("code", ["C", "OTHER"])
def test_one_large_body(bench: _Bench, max_bytes: int, code: str) -> None:
    """It is cut to a part of its share: the small ones before it are not lost to it, uncounted."""
    bench.keeper.bounds = RefusedBounds(max_bytes=max_bytes)
    bench.keep(*[b"{}"] * 10)
    bench.keeper.flush()
    before = len(bench.kept())
    bench.keep(b"[" + b"x" * 60_000, code=code)
    bench.keeper.flush()
    kept = bench.kept()
    assert len(kept) >= min(before, 8)
    assert kept[-1].raw.startswith(b"[x") or max_bytes == 100
    assert len(kept) + sum(number for _, number in bench.unkept) == 11
    assert sum(len(one.raw) + len(one.reason) for one in kept) <= max_bytes // 2


def test_a_flood_of_one_code(bench: _Bench) -> None:
    """It displaces no other code, neither where refusals wait nor in the store; all are counted."""
    bench.keeper.bounds = RefusedBounds(max_events=200)
    bench.keep(b"first", code="A")
    for _ in range(50):
        bench.keep(*[b"x"] * 100, code="FLOOD")
    bench.keep(*[b"last"] * 5, code="B")
    bench.keeper.flush()
    codes = Counter(one.code for one in bench.kept())
    assert codes == {"A": 1, "B": 5, "FLOOD": 94}
    assert sum(number for _, number in bench.unkept) == 5_006 - 100


def test_a_large_body_while_others_wait(bench: _Bench) -> None:
    """Where there are too many bytes, what has most of them gives way, and not many small ones."""
    bench.keep(*[b"y" * 1_000] * 300, code="SMALL")
    for _ in range(40):
        bench.keep(b"x" * 500_000, code="LARGE")
    bench.keeper.flush()
    codes = Counter(one.code for one in bench.kept())
    assert codes["SMALL"] == 300
    assert codes["LARGE"] + sum(number for _, number in bench.unkept) == 40


def test_none_is_kept(bench: _Bench) -> None:
    """Where nothing is to be kept, nothing counts as left out."""
    bench.keeper.bounds = RefusedBounds(max_events=0)
    bench.keep(b"{}")
    bench.keeper.flush()
    assert (bench.kept(), bench.unkept) == ([], [])


@pytest.mark.parametrize("fault", [TemporaryError("full"), RuntimeError("of ours")])
def test_a_store_that_fails(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """It is counted, nothing is raised, and later ones are written."""

    def fail(*_: object) -> bool:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(bench.keeper._refused, "add", fail)
        bench.keep(b"a", b"b", events=3)
        bench.keeper.flush()
    assert bench.unkept == [("one", 6)]
    bench.keep(b"c")
    bench.keeper.flush()
    assert [one.raw for one in bench.kept()] == [b"c"]


def test_what_waits_is_written_at_the_end(bench: _Bench) -> None:
    """Whether its thread runs or not; closing it twice does no harm."""
    bench.keeper.start()
    bench.keep(b"a")
    bench.keeper.close()
    bench.keep(b"b")
    bench.keeper.close()
    assert [one.raw for one in bench.kept()] == [b"a", b"b"]


# -- a server --------------------------------------------------------------------------------------


def _post(service: Service, *events: Any) -> requests.Response:
    url = service.urls["one"]
    return requests.post(url, json=list(events), headers={"Authorization": KEY}, timeout=30)


def test_a_server_keeps_them(
    start: Callable[[ServeConfig], Service],
    configure: Callable[..., ServeConfig],
    command: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Without a secret, within the bounds of its configuration, also when it stops at once."""
    bounds = {"maxEvents": 3, "maxEventBytes": 200, "keepDays": 2}
    service = start(configure("one", refused=bounds))
    store = tmp_path / "s.sqlite3"
    _post(service, {**BAD, "context": {"key": "api-key-one"}})
    pause = threading.Event()
    for _ in range(500):
        shown = command("refused", "list", "--store", store, "--json").json
        if shown["refused"]:
            break
        pause.wait(0.02)
    (found,) = shown["refused"]
    assert found["code"] == "NO_USER_ANON_ID"
    assert found["raw"]["context"] == {"key": "***"}
    for number in range(5):
        _post(service, {**BAD, "messageId": f"n{number}"})
    service.stop()
    shown = command("refused", "list", "--store", store, "--json").json
    assert [one["message_id"] for one in shown["refused"]] == ["n2", "n3", "n4"]
    with SqliteStore(store, read_only=True) as opened:
        assert opened.noted("refusedDays") == 2


def test_a_small_store_keeps_less(
    start: Callable[[ServeConfig], Service], configure: Callable[..., ServeConfig]
) -> None:
    """What is refused gets a tenth of the store at most; a reload changes the other bounds."""
    store = {"path": "s.sqlite3", "maxBytes": 20_000_000}
    service = start(configure("one", store=store))
    assert service._keeper.bounds == RefusedBounds(10_000, 2_000_000, 65_536)
    service.reload(configure("one", "two", store=store, refused={"maxBytes": 1, "maxEvents": 2}))
    assert service._keeper.bounds == RefusedBounds(2, 1, 65_536)
    assert service._keeper.names == ("one", "two")
