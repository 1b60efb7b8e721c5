"""The process as a whole: a real store, a real port, and a partner on this machine."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from destinations.errors import (
    DefinitionError,
    DestinationsError,
    StoreFullError,
    TemporaryError,
    UsageError,
)
from destinations.operations import Periods, ServerStatus, lock_server, noted_periods, server_status
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import Scope
from destinations.server import ServeConfig, Service, bind
from destinations.store import SqliteStore, StoredQueue
from destinations.telemetry import LogLines, Masks, Observation, Tracing

RECEIVER_KEY = "the-key-of-receivers"
OTHER_KEY = "another-key-of-receivers"

Configure = Callable[..., ServeConfig]
Start = Callable[[ServeConfig], Service]
Partner = Any
"""See ``conftest.py``."""


def _event(message: str, **properties: Any) -> dict[str, Any]:
    """An event that counts the thing of its own name once, of a user of its own."""
    return {
        "type": "track",
        "event": "E",
        "userId": f"user of {message}",
        "messageId": message,
        "properties": {"by": 1, "thing": message, **properties},
    }


def _send(service: Service, name: str, body: object, key: str = RECEIVER_KEY) -> requests.Response:
    return requests.post(service.urls[name], json=body, headers={"Authorization": key}, timeout=30)


def _post(
    service: Service, name: str, message: str, key: str = RECEIVER_KEY, *, size: int = 0
) -> int:
    event = _event(message) | ({"context": {"padding": "x" * size}} if size else {})
    return _send(service, name, event, key).status_code


def _page(service: Service, path: str) -> requests.Response:
    url = next(iter(service.urls.values()))
    return requests.get(re.sub("/v1/.*", path, url), timeout=30)


def _entries(path: Path) -> list[LedgerEntry]:
    with SqliteStore(path, read_only=True) as store:
        return list(store.ledger().find(Selection()))


def _statuses(path: Path) -> list[tuple[str, Status]]:
    """What became of each event, by its messageId, in the order of acceptance."""
    return [(one.message_id, one.status) for one in _entries(path)]


def _until(is_so: Callable[[], bool]) -> None:
    """Return when it is so; fails if that takes for ever."""
    pause = threading.Event()
    for _ in range(6_000):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("it did not become so")


def _grows(counts: list[int], at: int, by: int) -> Callable[[], bool]:
    """Whether a count has grown by so many since now."""
    at_least = counts[at] + by
    return lambda: counts[at] >= at_least


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store."""
    return tmp_path / "s.sqlite3"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """What opening a destination raises, by its name."""
    found: dict[str, Exception] = {}
    usual = StoredQueue.recover

    def recover(self: StoredQueue, scopes: Iterable[Scope], *waits: float) -> None:
        for scope in scopes:
            if scope.name in found:
                raise found[scope.name]
            usual(self, [scope], *waits)

    monkeypatch.setattr(StoredQueue, "recover", recover)
    return found


def _logged(caplog: pytest.LogCaptureFixture, least: int = logging.WARNING) -> list[str]:
    """What the service said."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "destinations.server.service" and record.levelno >= least
    ]


# -- from the receiver to the partner ---------------------------------------------------------


def test_events_are_delivered(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """What is accepted reaches the partner once, by the key of its destination, and is noted."""
    service = start(configure("one", "two"))
    sent = [("one", "m1"), ("two", "m2"), ("one", "m3"), ("one", "m1")]
    assert [_post(service, name, message) for name, message in sent] == [200] * 4
    partner.wait_for("m1", "m2", "m3")
    assert service.stop() == 0
    assert sorted(partner.counted) == [
        ("api-key-one", "m1"),
        ("api-key-one", "m3"),
        ("api-key-two", "m2"),
    ]
    assert _statuses(path) == [(message, Outcome.DELIVERED) for message in ("m1", "m2", "m3")]
    assert {(one.destination, one.message_id) for one in _entries(path)} == set(sent)


def test_events_are_in_the_store_and_stay_there(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """What was acknowledged before a stop waits after the next start, and its repeat is known."""
    partner.is_down = True
    service = start(configure("one", "two"))
    assert [_post(service, name, "m1") for name in ("one", "two", "one")] == [200] * 3
    assert service.stop() == 2
    assert _statuses(path) == [("m1", State.READY)] * 2
    again = start(configure("one", "two"))
    assert [_post(again, name, "m1") for name in ("one", "two")] == [200] * 2
    assert again.stop() == 2
    assert partner.counted == []
    partner.is_down = False
    last = start(configure("one", "two"))
    _until(lambda: len(partner.counted) == 2)
    assert last.stop() == 0
    assert sorted(partner.counted) == [("api-key-one", "m1"), ("api-key-two", "m1")]


def test_another_event_under_the_same_name(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """It is answered 409 each time, alone and in a batch, and an operator finds it as rejected."""
    service = start(configure("one"))
    assert _post(service, "one", "m1") == 200
    partner.wait_for("m1")
    other = _event("m1", by=2)
    for _ in range(2):
        answer = _send(service, "one", other)
        assert answer.status_code == 409
        assert "messageId" in answer.json()["message"]
    answer = _send(service, "one", [_event("m2"), other, _event("m1", by=3), _event("m1")])
    assert answer.status_code == 200
    found = answer.json()
    assert found["accepted"] == 2  # a new one, and the first one again
    assert [(one["index"], one["status"]) for one in found["rejected"]] == [(1, 409), (2, 409)]
    partner.wait_for("m2")
    metrics = _page(service, "/metrics").text
    refused = 'destinations_refused_total{code="CONFLICT",destination="one",status="409"} 4.0'
    assert refused in metrics
    assert 'destinations_events_accepted_total{destination="one"} 2.0' in metrics
    assert 'destinations_events_duplicate_total{destination="one"} 1.0' in metrics
    assert service.stop() == 0
    assert sorted(partner.things) == ["m1", "m2"]
    entries = _entries(path)
    assert sorted((one.message_id, one.status) for one in entries) == [
        ("m1", Outcome.DELIVERED),
        ("m1", Outcome.REJECTED),
        ("m1", Outcome.REJECTED),
        ("m2", Outcome.DELIVERED),
    ]
    codes = {(one.code, one.http_status) for one in entries if one.status is Outcome.REJECTED}
    assert codes == {("CONFLICT", 409)}


def test_a_corrected_event(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """An event that could not be delivered may be sent again as it should be; it is delivered."""
    service = start(configure("one"))
    wrong = _event("m1", by="many")
    assert _send(service, "one", wrong).json() == {"accepted": 1}
    assert _post(service, "one", "m1") == 200
    partner.wait_for("m1")
    assert _send(service, "one", wrong).status_code == 200  # known, and nothing to be done
    assert service.stop() == 0
    assert partner.things == ["m1"]
    assert [status for _, status in _statuses(path)].count(Outcome.DELIVERED) == 1


def test_events_without_a_name(start: Start, configure: Configure, partner: Partner) -> None:
    """Each is a new one, however often it comes."""
    service = start(configure("one"))
    nameless = {key: value for key, value in _event("m1").items() if key != "messageId"}
    assert [_send(service, "one", nameless).status_code for _ in range(2)] == [200, 200]
    _until(lambda: partner.things == ["m1", "m1"])


def test_a_lost_answer(start: Start, configure: Configure, partner: Partner, path: Path) -> None:
    """It is left to an operator where the partner cannot be asked, and it can be seen."""
    service = start(configure("one"))
    partner.lets_go = True
    assert _post(service, "one", "m1") == 200
    _until(lambda: _statuses(path) == [("m1", State.HELD)])
    held = 'destinations_queue_unsettled_deliveries{destination="one",state="held"} 1.0'
    _until(lambda: held in _page(service, "/metrics").text)
    counted = 'destinations_deliveries_held_total{action="count",destination="one"} 1.0'
    assert counted in _page(service, "/metrics").text
    assert service.stop() == 1
    assert partner.requests == 1


def test_a_connection_that_fits_no_more(
    start: Start,
    configure: Configure,
    partner: Partner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After an upgrade its events wait, the others go on, and another connection delivers them.

    A configuration that never fitted is refused.
    """
    count = {"name": "Mine", "partnerAction": "count", "subscribe": 'type = "track"'}
    own = {"one": {"subscriptions": [{**count, "partnerAction": "former"}]}}
    with pytest.raises(DefinitionError, match="former"):
        start(configure("one", "two", of=own))
    folder = tmp_path / "sample"
    usual = (folder / "count.yaml").read_text("utf-8")
    (folder / "former.yaml").write_text(usual.replace("slug: count", "slug: former"), "utf-8")
    partner.is_down = True
    service = start(configure("one", "two", of=own))
    assert [_post(service, "one", "m1"), _post(service, "two", "m1")] == [200, 200]
    service.stop()
    (folder / "former.yaml").unlink()
    partner.is_down = False
    service = start(configure("one", "two", of=own))
    assert [_post(service, "one", "m2"), _post(service, "two", "m2")] == [200, 200]
    _until(lambda: len(partner.counted) == 2)
    assert {key for key, _ in partner.counted} == {"api-key-two"}
    assert any("connection of destination one does not fit" in each for each in _logged(caplog))
    assert any("its events wait" in each for each in service.remarks())
    assert service.unready() == ()
    service.reload(configure("one", "two", of={"one": {"subscriptions": [count]}}))
    _until(lambda: len(partner.counted) == 4)
    assert service.stop() == 0
    assert sorted(partner.counted) == [
        (f"api-key-{name}", message) for name in ("one", "two") for message in ("m1", "m2")
    ]


@pytest.mark.parametrize(
    ("today", "counted"),
    [
        ([("Q", "count", 'event = "E"'), ("R", "count", 'event = "F"')], 1),
        ([("Q", "count", 'event = "F"'), ("R", "count", 'event = "G"')], 0),
        ([("Q", "another", 'event = "E"')], 1),
        # Which of both is meant cannot be told: an operator has to say.
        ([("Q", "count", 'event = "E"'), ("R", "count", 'type = "track"')], None),
    ],
)
def test_a_subscription_that_is_gone_while_its_event_waits(
    start: Start,
    configure: Configure,
    partner: Partner,
    path: Path,
    today: list[tuple[str, str, str]],
    counted: int | None,
) -> None:
    """It goes on by the one that takes the event today, also if that is of another action."""

    def config(*subscriptions: tuple[str, str, str]) -> ServeConfig:
        given = [
            {"name": name, "partnerAction": action, "subscribe": fql}
            for name, action, fql in subscriptions
        ]
        return configure("one", of={"one": {"subscriptions": given}})

    first = config(("P", "count", 'type = "track"'))
    usual = (path.parent / "sample" / "count.yaml").read_text("utf-8")
    another = usual.replace("slug: count", "slug: another")
    (path.parent / "sample" / "another.yaml").write_text(another, "utf-8")
    if today[0][1] == "another":
        first = config(("P", "former", 'type = "track"'))
        former = usual.replace("slug: count", "slug: former")
        (path.parent / "sample" / "former.yaml").write_text(former, "utf-8")
    service = start(first)
    scope = service._served["one"].scope
    service._engine.pause([scope])
    assert _post(service, "one", "m1") == 200
    (path.parent / "sample" / "former.yaml").unlink(missing_ok=True)
    service.reload(config(*today))
    service._engine.unpause([scope])
    _until(lambda: service._engine.length(scope) == 0)
    service.stop()
    assert len(partner.counted) == (counted or 0)
    (entry,) = _entries(path)
    expected = {1: Outcome.DELIVERED, 0: Outcome.FILTERED, None: Outcome.DEAD}[counted]
    assert entry.status is expected
    assert entry.code == (None if counted is not None else "SUBSCRIPTION_GONE")


# -- stopping ---------------------------------------------------------------------------------


def test_a_stop_waits_for_what_is_under_way(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """Meanwhile senders are told to come again, and whoever asks is told that it drains."""
    service = start(configure("one"))
    url = service.urls["one"]
    partner.open.clear()
    assert _post(service, "one", "m1") == 200
    assert partner.reached.wait(60)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(service.stop)
        _until(lambda: service._receiver.draining)
        answer = requests.post(
            url, json=_event("m2"), headers={"Authorization": RECEIVER_KEY}, timeout=30
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        ready = _page(service, "/readyz")
        assert (ready.status_code, ready.text) == (503, "draining\n")
        assert not stopped.done()
        partner.open.set()
        assert stopped.result(60) == 0
    assert _statuses(path) == [("m1", Outcome.DELIVERED)]
    assert service.stop() == 0  # again, and nothing happens


def test_a_stop_that_does_not_wait_any_longer(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """What is still under way then may have been carried out: the next start finds out or asks."""
    soon = {"one": {"delivery": {"reconcileAfterSeconds": 0}}}
    service = start(configure("one", of=soon, drainSeconds=0))
    partner.open.clear()
    assert _post(service, "one", "m1") == 200
    assert partner.reached.wait(60)
    assert service.stop() == 1
    assert _statuses(path) == [("m1", State.SENDING)]
    partner.open.set()
    again = start(configure("one", of=soon))
    _until(lambda: _statuses(path) == [("m1", State.HELD)])
    assert again.stop() == 1
    assert partner.things == ["m1"]  # not sent a second time


def test_a_stop_leaves_what_waits(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """Of a user whose first event is under way, the others are not sent while it drains."""
    service = start(configure("one"))
    partner.open.clear()
    assert _post(service, "one", "m1") == 200
    assert partner.reached.wait(60)
    later = {**_event("m2"), "userId": "user of m1"}
    assert _send(service, "one", later).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(service.stop)
        _until(lambda: service._receiver.draining)
        _until(lambda: all(one.closing for one in service._engine._pipelines.values()))
        partner.open.set()
        assert stopped.result(60) == 1
    assert _statuses(path) == [("m1", Outcome.DELIVERED), ("m2", State.READY)]
    assert partner.things == ["m1"]


# -- reloading --------------------------------------------------------------------------------


def test_a_reload(start: Start, configure: Configure, partner: Partner) -> None:
    """New ones come, removed ones go and keep their queue, the others go on with new settings."""
    partner.is_down = True
    service = start(configure("one", "two"))
    url = service.urls["one"]
    assert _post(service, "one", "m1") == 200
    assert _post(service, "two", "m1") == 200
    service.reload(configure("two", "three", key=OTHER_KEY))
    assert list(service.urls) == ["two", "three"]
    assert requests.post(url, timeout=30).status_code == 404
    assert _post(service, "two", "m2") == 401
    assert [_post(service, name, "m2", OTHER_KEY) for name in ("two", "three")] == [200, 200]
    partner.is_down = False
    _until(lambda: len(partner.counted) == 3)
    assert service.stop() == 1
    assert sorted(partner.counted) == [
        ("api-key-three", "m2"),
        ("api-key-two", "m1"),
        ("api-key-two", "m2"),
    ]


def test_a_reload_under_traffic(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """While destinations are exchanged no sender is refused, and everything is delivered once."""
    service = start(configure("one", "two"))
    urls = [service.urls[name] for name in ("one", "two")]
    enough = threading.Event()
    posted = [0, 0]
    statuses: set[int] = set()

    def send(number: int) -> None:
        with requests.Session() as sender:
            sender.headers["Authorization"] = RECEIVER_KEY
            while not enough.is_set():
                body = [_event(f"{number}-{posted[number]}-{at}") for at in range(3)]
                statuses.add(sender.post(urls[number], json=body, timeout=30).status_code)
                posted[number] += 1

    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send, number) for number in range(2)]
        try:
            for number in range(6):
                for at in range(2):
                    _until(_grows(posted, at, 3))
                delivery = {"delivery": {"concurrency": number % 3 + 1}}
                service.reload(configure("two", "one", of={"one": delivery, "two": delivery}))
        finally:
            enough.set()
        for sender in senders:
            sender.result(60)
    assert statuses == {200}
    expected = sorted(
        f"{number}-{at}-{nth}"
        for number, count in enumerate(posted)
        for at in range(count)
        for nth in range(3)
    )
    _until(lambda: len(partner.counted) >= len(expected))
    assert service.stop() == 0
    assert sorted(partner.things) == expected
    assert {status for _, status in _statuses(path)} == {Outcome.DELIVERED}
    assert len(_entries(path)) == len(expected)


def test_a_reload_waits_for_what_is_under_way(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """Events are taken meanwhile, and none of the same user overtakes the one that is sent."""
    service = start(configure("one"))
    partner.open.clear()
    assert _post(service, "one", "m1") == 200
    assert partner.reached.wait(60)
    with ThreadPoolExecutor(1) as pool:
        reloaded = pool.submit(service.reload, configure("one", api_key="-2"))
        _until(lambda: all(one.closing for one in service._engine._pipelines.values()))
        later = {**_event("m2"), "userId": "user of m1"}
        assert _send(service, "one", later).status_code == 200
        assert not reloaded.done()
        partner.open.set()
        reloaded.result(60)
    partner.wait_for("m2")
    assert partner.counted == [("api-key-one", "m1"), ("api-key-one-2", "m2")]
    assert service.stop() == 0
    assert _statuses(path) == [("m1", Outcome.DELIVERED), ("m2", Outcome.DELIVERED)]


def test_a_reload_with_other_subscriptions(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """What waits goes as the connection of today says, and nothing is lost."""
    partner.is_down = True
    service = start(configure("one"))
    assert _post(service, "one", "m1") == 200
    one = {
        "name": "Named",
        "partnerAction": "count",
        "subscribe": 'type = "track"',
        "mapping": {"thing": {"@template": "named {{messageId}}"}},
    }
    service.reload(configure("one", of={"one": {"subscriptions": [one]}}))
    assert _post(service, "one", "m2") == 200
    partner.is_down = False
    partner.wait_for("named m1", "named m2")
    assert service.stop() == 0
    assert _statuses(path) == [("m1", Outcome.DELIVERED), ("m2", Outcome.DELIVERED)]
    assert {one.subscription for one in _entries(path)} == {"Named"}


def test_a_faulty_reload_changes_nothing(
    start: Start, configure: Configure, partner: Partner, tmp_path: Path
) -> None:
    """What is wrong is raised before anything was stopped."""
    service = start(configure("one"))
    config = configure("one", "two")
    (tmp_path / "sample" / "count.yaml").write_text("slug: other", encoding="utf-8")
    with pytest.raises(DefinitionError):
        service.reload(config)
    assert list(service.urls) == ["one"]
    assert _post(service, "one", "m1") == 200
    partner.wait_for("m1")


def test_a_reload_with_another_name_for_an_account(
    start: Start, configure: Configure, partner: Partner, path: Path
) -> None:
    """The credentials of one account under the name of another are refused; nothing was changed."""
    named = {"one": {"account": "main"}}
    service = start(configure("two", "one", of=named))
    # The first of them alone would be fine, and would get another account.
    elsewhere = {"settings": {"apiKey": "${KEY_two}", "endpoint": "http://127.0.0.1:9/graphql"}}
    of = {"one": {"account": "other"}, "two": elsewhere}
    with pytest.raises(UsageError, match="these credentials are those of the account 'main'"):
        service.reload(configure("two", "one", of=of))
    assert [_post(service, name, name) for name in ("one", "two")] == [200, 200]
    partner.wait_for("one", "two")
    service.stop()
    with SqliteStore(path, read_only=True) as store:
        assert {one.endpoint for one in store.accounts().of_slug("sample")} == {partner.url}


def test_a_reload_of_a_store_that_is_full(
    start: Start, configure: Configure, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs goes on where the store cannot even note that there are others."""
    service = start(configure("one"))

    def note(*_: object) -> None:
        raise StoreFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "note", note)
        with pytest.raises(StoreFullError):
            service.reload(configure("two"))
    assert (list(service.urls), service.needs_repair) == (["one"], False)
    assert _post(service, "one", "m1") == 200
    partner.wait_for("m1")
    service.reload(configure("two"))
    assert _post(service, "two", "m2") == 200
    partner.wait_for("m2")


def test_a_reload_whose_store_gets_full(
    start: Start,
    configure: Configure,
    partner: Partner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If it cannot be noted that some are gone, they stay noted, and the others go on."""
    service = start(configure("one", "two"))
    usual = SqliteStore.note
    notes: list[object] = []

    def note(self: SqliteStore, found: dict[str, Any]) -> None:
        if notes:
            raise StoreFullError("no room")
        notes.append(found["destinations"])
        usual(self, found)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "note", note)
        service.reload(configure("two", "three"))
    assert notes == [["one", "three", "two"]]
    assert list(service.urls) == ["two", "three"]
    assert any("removed destinations not noted in the store" in it for it in _logged(caplog))
    assert _post(service, "three", "m1") == 200
    partner.wait_for("m1")


@pytest.mark.parametrize("fault", [StoreFullError("full"), OSError("a disk"), ValueError])
def test_a_destination_that_cannot_be_opened(
    start: Start,
    configure: Configure,
    partner: Partner,
    broken: dict[str, Exception],
    caplog: pytest.LogCaptureFixture,
    fault: Exception | type[Exception],
) -> None:
    """Its events are kept, and it is named until it is mended; the others go on meanwhile."""
    service = start(configure("one", "two"))
    broken["one"] = fault if isinstance(fault, Exception) else fault()
    service.reload(configure("one", "two", "three"))
    assert service.needs_repair
    assert list(service.urls) == ["one", "two", "three"]
    names = ("one", "two", "three")
    assert [_post(service, name, f"m-{name}") for name in names] == [200, 200, 200]
    partner.wait_for("m-two", "m-three")
    ready = _page(service, "/readyz")
    assert ready.status_code == 503
    assert ready.text.startswith("one cannot be opened: ")
    service.repair()
    service.repair()
    assert service.needs_repair
    assert [line.partition(": ")[0] for line in _logged(caplog)] == ["destination one not opened"]
    counted = 0.0 if isinstance(fault, DestinationsError) else 1.0
    shown = f'destinations_internal_errors_total{{destination="one"}} {counted}\n'
    assert shown in _page(service, "/metrics").text
    assert "m-one" not in partner.things
    broken.clear()
    service.repair()
    assert (service.unready(), service.needs_repair) == ((), False)
    partner.wait_for("m-one")
    assert service.stop() == 0
    assert sorted(partner.things) == ["m-one", "m-three", "m-two"]


def test_a_reload_opens_what_could_not_be_opened(
    start: Start, configure: Configure, partner: Partner, broken: dict[str, Exception]
) -> None:
    """A reload that works ends what one before it that did not has left behind."""
    service = start(configure("one"))
    broken["one"] = StoreFullError("no room")
    service.reload(configure("one"))
    assert _post(service, "one", "m1") == 200
    broken.clear()
    service.reload(configure("one"))
    assert not service.needs_repair
    partner.wait_for("m1")


def test_a_destination_that_is_removed_before_it_is_mended(
    start: Start, configure: Configure, partner: Partner, broken: dict[str, Exception]
) -> None:
    """Nothing is left to mend, and what came for it meanwhile waits until it is back."""
    service = start(configure("one", "two"))
    broken["one"] = StoreFullError("no room")
    service.reload(configure("one", "two"))
    assert _post(service, "one", "m1") == 200
    service.reload(configure("two"))
    assert (service.unready(), service.needs_repair, service.unconfigured) == (
        (),
        False,
        {"one": 1},
    )
    broken.clear()
    service.reload(configure("one", "two"))
    partner.wait_for("m1")
    assert service.unconfigured == {}


def test_a_start_that_cannot_open_a_destination(
    start: Start, configure: Configure, broken: dict[str, Exception], path: Path
) -> None:
    """It is no start, and leaves the store to the next one."""
    broken["two"] = StoreFullError("no room")
    with pytest.raises(StoreFullError):
        start(configure("one", "two"))
    broken.clear()
    assert start(configure("one", "two")).stop() == 0
    with SqliteStore(path) as store:
        assert server_status(store) == ServerStatus(running=False, names=frozenset())


@pytest.mark.parametrize(
    ("before", "after", "accounts"),
    [
        ({}, {"api_key": "-2"}, 1),
        ({"of": {"one": {"account": "main"}}}, {"of": {"one": {"account": "main"}}}, 1),
        (
            {"of": {"one": {"account": "main"}}},
            {"api_key": "-2", "of": {"one": {"account": "main"}}},
            1,
        ),
        ({}, {"of": {"one": {"account": "main"}}}, 1),
        ({}, {"api_key": "-2", "of": {"one": {"account": "main"}}}, 1),
        ({"of": {"one": {"account": "main"}}}, {"api_key": "-2"}, 2),
        (
            {"of": {"one": {"account": "main"}}},
            {"api_key": "-2", "of": {"one": {"account": "other"}}},
            2,
        ),
    ],
)
@pytest.mark.parametrize("how", ["reload", "start"])
def test_a_changed_key(
    start: Start,
    configure: Configure,
    partner: Partner,
    path: Path,
    *,
    before: dict[str, Any],
    after: dict[str, Any],
    accounts: int,
    how: str,
) -> None:
    """The destination goes on with its queue, and with its account unless that has another name.

    What waited goes by the new key, and what was accepted before is known.
    """
    partner.is_down = True
    first, second = configure("one", **before), configure("one", **after)
    service = start(first)
    scope = service._served["one"].scope
    assert _post(service, "one", "m1") == 200
    if how == "reload":
        service.reload(second)
    else:
        service.stop()
        service = start(second)
    assert service._served["one"].scope == scope
    assert _post(service, "one", "m1") == 200
    assert _send(service, "one", _event("m1", by=2)).status_code == 409
    partner.is_down = False
    partner.wait_for("m1")
    assert service.stop() == 0
    assert partner.counted == [(f"api-key-one{after.get('api_key', '')}", "m1")]
    with SqliteStore(path, read_only=True) as store:
        known = store.accounts()
        assert len(known.of_slug("sample")) == accounts
        found = [
            known.find(bound.identity) for each in (first, second) for bound in bind(each, None)
        ]
    assert len({None if one is None else one.id for one in found}) == accounts
    assert None not in found


@pytest.mark.parametrize(("account", "accounts"), [(None, 2), ("main", 1)])
def test_another_endpoint(
    start: Start,
    configure: Configure,
    partner: Partner,
    path: Path,
    account: str | None,
    accounts: int,
) -> None:
    """It is another account, unless the configuration says that it is the same."""
    of = {} if account is None else {"account": account}
    elsewhere = {"apiKey": "${KEY_one}", "endpoint": f"{partner.url}/v2"}
    service = start(configure("one", of={"one": of}))
    scope = service._served["one"].scope
    service.reload(configure("one", of={"one": {**of, "settings": elsewhere}}))
    assert service._served["one"].scope == scope
    service.stop()
    with SqliteStore(path, read_only=True) as store:
        assert len(store.accounts().of_slug("sample")) == accounts


def test_a_longer_queue(start: Start, configure: Configure, partner: Partner) -> None:
    """How much may wait changes with a reload."""
    partner.is_down = True
    service = start(configure("one", queue={"maxEvents": 1}))
    assert [_post(service, "one", message) for message in ("m1", "m2")] == [200, 503]
    service.reload(configure("one", queue={"maxEvents": 2}))
    assert [_post(service, "one", message) for message in ("m2", "m3")] == [200, 503]
    service.reload(configure("one", queue={"maxEvents": 1}))
    assert _post(service, "one", "m3") == 503


def test_what_a_reload_does_not_change(
    start: Start, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """Another address or store is for the next start, and the log says so."""
    service = start(configure("one"))
    config = configure("one")
    before = service.config.listen
    service.reload(replace(config, listen=replace(config.listen, port=1)))
    assert service.config.listen == before
    assert "ignored until the next start" in caplog.text


# -- what is seen of it -----------------------------------------------------------------------


def test_what_waits_for_nobody(
    start: Start, configure: Configure, partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    """A destination that was renamed or removed is named, at a reload and at a start."""
    partner.is_down = True
    service = start(configure("one", "two"))
    assert [_post(service, "one", message) for message in ("m1", "m2")] == [200, 200]
    assert (service.unconfigured, _logged(caplog)) == ({}, [])
    warning = "deliveries left of 'one', which is not in the configuration: 2; add it again"
    service.reload(configure("two", "renamed"))
    assert service.unconfigured == {"one": 2}
    assert warning in caplog.text
    service.watch_queues()
    assert 'destinations_queue_deliveries{destination="one"} 2.0' in _page(service, "/metrics").text
    service.stop()
    caplog.clear()
    service = start(configure("two"))
    assert service.unconfigured == {"one": 2}
    assert warning in caplog.text
    service.reload(configure("one", "two"))
    assert service.unconfigured == {}


def test_secrets_that_everybody_can_read(
    start: Start, configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the file of a secret, at a start; what is no secret may stand anywhere."""
    config = configure("one")
    (one,) = config.destinations
    places = ("/receiver/keys/0", "/settings/apiKey", "/settings/endpoint")
    exposed = {place: tmp_path / place.rpartition("/")[2] for place in places}
    start(replace(config, destinations=(replace(one, exposed=exposed),)))
    assert [line.partition(" can read ")[0] for line in _logged(caplog)] == [
        f"one: {place}: every user of this machine" for place in places[:2]
    ]


def test_no_secret_is_in_the_metrics(
    start: Start, configure: Configure, observation: Observation, stream: io.StringIO
) -> None:
    """Neither the keys of receivers nor those for the partner are shown, also after a reload."""
    service = start(configure("one"))
    service.reload(configure("one", key=OTHER_KEY, api_key="-2"))
    observation.logger.warning(f"{RECEIVER_KEY} {OTHER_KEY} api-key-one api-key-one-2")
    shown = stream.getvalue()
    assert "*** *** *** ***" in shown
    for secret in (RECEIVER_KEY, OTHER_KEY, "api-key-one"):
        assert secret not in shown
        assert secret not in _page(service, "/metrics").text


def test_every_batch_is_traced_to_its_end(configure: Configure, partner: Partner) -> None:
    """Spans end through failures, a reload and a stop, each with what became of its own batch."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider.get_tracer("test"))
    lines = LogLines(Masks(), stream=io.StringIO())
    with contextlib.closing(Observation(lines, Masks(), tracing)) as observation:
        service = Service(configure("one", "two"), observation)
        service.start()
        try:
            partner.is_down = True
            sent = [f"m{number}" for number in range(6)]
            for message in sent:
                for name in ("one", "two"):
                    assert _post(service, name, message) == 200
            _until(lambda: partner.requests >= 4)
            service.reload(configure("one", "two"))
            partner.is_down = False
            _until(lambda: len(partner.counted) == 2 * len(sent))
        finally:
            assert service.stop() == 0
    assert tracing._open == {}
    assert observation._metrics._sent == {}
    counts: Counter[tuple[str, str]] = Counter()
    for span in exporter.get_finished_spans():
        attributes: Mapping[str, Any] = span.attributes or {}
        if span.kind is SpanKind.CONSUMER:
            size = attributes["messaging.batch.message_count"]
            found = {
                name: value
                for name, value in attributes.items()
                if name.startswith("destinations.outcome.") or name == "destinations.returned"
            }
            assert sum(found.values()) == size
            for name, value in found.items():
                counts[str(attributes["messaging.destination.name"]), name] += value
    for name in ("one", "two"):
        assert counts[name, "destinations.outcome.delivered"] == len(sent)
    assert sum(counts[name, "destinations.outcome.ready"] for name in ("one", "two")) > 0


def test_readiness(start: Start, configure: Configure) -> None:
    """Ready while the store can be written, and not once it is closed."""
    service = start(configure("one"))
    ready = _page(service, "/readyz")
    assert (ready.status_code, ready.text) == (200, "ready\n")
    service.stop()
    service._probed = (float("-inf"), ())
    assert service.unready() == ("the store cannot be written: the store is closed",)


def test_readiness_of_a_full_store(
    start: Start, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the store's own; it is looked again when the look is older than a second."""
    service = start(configure("one"))

    def probe() -> None:
        raise StoreFullError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(service._store.database, "probe", probe)
        service._probed = (float("-inf"), ())
        assert service.unready() == ("the store cannot be written: the disk is full",)
    assert service.unready() != ()
    service._probed = (float("-inf"), ())
    assert service.unready() == ()


@pytest.mark.parametrize("part", ["engine", "receiver"])
def test_a_part_that_hangs(start: Start, configure: Configure, part: str) -> None:
    """Each part makes progress by itself, and one that hangs makes none, so that it is seen."""
    service = start(configure("one"))
    first = service.progress()
    _until(lambda: all(count > first[name] for name, count in service.progress().items()))
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(60)

    if part == "engine":
        service._engine.submit(hang)
    else:
        assert service._server._server.loop is not None
        service._server._server.loop.call_soon_threadsafe(hang)
    assert hangs.wait(60)
    other = {"engine": "receiver", "receiver": "engine"}[part]
    stuck = service.progress()
    _until(lambda: service.progress()[other] > stuck[other] + 1)
    assert service.progress()[part] == stuck[part]
    goes_on.set()
    _until(lambda: service.progress()[part] > stuck[part])


def test_a_service_that_has_not_started(configure: Configure, observation: Observation) -> None:
    """It is not ready, and says why; stopping it does nothing."""
    service = Service(configure("one"), observation)
    assert service.unready() == ("starting",)
    assert service.stop() == 0


def test_what_it_says_of_itself(
    configure: Configure, start: Start, partner: Partner, path: Path
) -> None:
    """Whose deliveries others must leave alone: noted before they are opened, until they ended."""

    def served() -> ServerStatus:
        with SqliteStore(path, read_only=True) as store:
            return server_status(store)

    service = start(configure("one", "two", store={"path": "s.sqlite3", "keepDays": 90}))
    assert served() == ServerStatus(running=True, names=frozenset({"one", "two"}))
    partner.open.clear()
    assert _post(service, "one", "m1") == 200
    assert partner.reached.wait(60)
    with ThreadPoolExecutor(1) as pool:
        reloaded = pool.submit(service.reload, configure("two", "three"))
        _until(lambda: all(one.closing for one in service._engine._pipelines.values()))
        assert served().names == frozenset({"one", "two", "three"})
        partner.open.set()
        reloaded.result(60)
    assert served().names == frozenset({"two", "three"})
    service.stop()
    assert served().running is False
    with SqliteStore(path, read_only=True) as store:
        assert noted_periods(store) == Periods(keep_days=90)


# -- the store --------------------------------------------------------------------------------


def test_one_process_for_one_store(
    start: Start, configure: Configure, observation: Observation, path: Path
) -> None:
    """A second one is refused, as what may pass, while the first is there; after that it starts."""
    service = start(configure("one"))
    refused = r"another process delivers from the store .*s\.sqlite3"
    with pytest.raises(TemporaryError, match=refused):
        Service(configure("one"), observation).start()
    assert _post(service, "one", "m1") == 200
    service.stop()
    with lock_server(path):
        pass
    assert start(configure("one")).unready() == ()


def test_a_port_that_is_taken(
    start: Start, configure: Configure, observation: Observation, path: Path
) -> None:
    """It is said as what may pass, and the store is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = configure("one", listen={"port": taken.getsockname()[1]})
        with pytest.raises(TemporaryError, match="cannot listen on 127"):
            Service(config, observation).start()
    with lock_server(path):
        pass
    assert start(config).unready() == ()


def test_a_start_that_fails_leaves_nothing_behind(
    start: Start, configure: Configure, tmp_path: Path
) -> None:
    """After a fault the store is free again."""
    config = configure("one")
    text = (tmp_path / "sample" / "count.yaml").read_text("utf-8")
    (tmp_path / "sample" / "count.yaml").write_text("slug: other", encoding="utf-8")
    with pytest.raises(DefinitionError):
        start(config)
    (tmp_path / "sample" / "count.yaml").write_text(text, encoding="utf-8")
    assert _post(start(config), "one", "m1") == 200


def test_a_queue_that_is_too_long(start: Start, configure: Configure, partner: Partner) -> None:
    """Back pressure: 503 from the first event on that would be too many, until some are done."""
    partner.is_down = True
    service = start(configure("one", "two", queue={"maxEvents": 2}))
    assert [_post(service, "one", f"m{number}") for number in range(4)] == [200, 200, 503, 503]
    assert _post(service, "two", "m0") == 200  # each has a queue of its own
    partner.is_down = False
    _until(lambda: _post(service, "one", "m3") == 200)


def test_a_full_store(start: Start, configure: Configure, partner: Partner) -> None:
    """A store without room refuses events until it has some; what it acknowledged is there."""
    partner.is_down = True
    small = {"path": "s.sqlite3", "maxBytes": 1_100_000}
    service = start(configure("one", store=small))
    statuses: list[int] = []
    while 503 not in statuses:
        statuses.append(_post(service, "one", f"m{len(statuses)}", size=20_000))
        assert len(statuses) < 200
    assert set(statuses) == {200, 503}
    assert _post(service, "one", "m0", size=20_000) == 503
    acknowledged = statuses.count(200)
    assert service.stop() == acknowledged
    again = start(configure("one", store={**small, "maxBytes": 3_000_000}))
    assert _post(again, "one", "m0", size=20_000) == 200  # known: it was accepted before
    assert _post(again, "one", "more") == 200
    assert again.stop() == acknowledged + 1


@pytest.mark.parametrize("full", ["disk", "limit"])
def test_a_full_store_is_seen(
    full: str,
    start: Start,
    configure: Configure,
    partner: Partner,
    caplog: pytest.LogCaptureFixture,
    limit_files: Callable[[int], contextlib.AbstractContextManager[None]],
) -> None:
    """From a write that failed on: not ready, a gauge, and one line, until a write works again."""
    partner.is_down = True
    service = start(configure("one", store={"path": "s.sqlite3", "maxBytes": 3_000_000}))
    database, now = service._store.database, [100.0]
    database.health._monotonic = lambda: now[0]
    assert "destinations_store_writable 1.0" in _page(service, "/metrics").text
    assert "destinations_store_limit_bytes 3e+06" in _page(service, "/metrics").text
    numbers = count()
    if full == "limit":
        database.limit_size(1_100_000)
    with limit_files(database.size) if full == "disk" else contextlib.nullcontext():
        while _post(service, "one", f"m{next(numbers)}", size=20_000) == 200:
            assert next(numbers) < 400
        for _ in range(3):
            assert _post(service, "one", f"m{next(numbers)}", size=20_000) == 503
        padding = {"context": {"padding": "x" * 20_000}}
        told = _send(service, "one", _event("told") | padding, RECEIVER_KEY)
        assert (told.status_code, Path(database.shown).name in told.text) == (503, False)
        assert ("size limit" in told.text) is (full == "limit")
        ready = _page(service, "/readyz")
        assert (ready.status_code, "cannot be written" in ready.text) == (503, True)
        assert "destinations_store_writable 0.0" in _page(service, "/metrics").text
        service.repair()
        assert (list(service.urls), service.needs_repair) == (["one"], True)
    database.limit_size(3_000_000)
    now[0] += 60
    service.repair()  # nobody has to send for that
    assert (list(service.urls), service.needs_repair) == (["one"], False)
    assert _page(service, "/metrics").text.count("destinations_store_writable 1.0") == 1
    service._probed = (float("-inf"), ())
    assert _page(service, "/readyz").text == "ready\n"
    lines = [line for line in _logged(caplog) if line.startswith("store ")]
    assert len(lines) == 2
    assert lines[0].startswith("store not writable, events refused until it is")
    assert lines[1] == "store writable again"
    records = [each for each in caplog.records if each.getMessage() in lines]
    assert [each.levelname for each in records] == ["ERROR", "WARNING"]


def test_a_full_store_is_worked_off(start: Start, configure: Configure, partner: Partner) -> None:
    """What was acknowledged is delivered, which makes room for more."""
    partner.is_down = True
    service = start(configure("one", store={"path": "s.sqlite3", "maxBytes": 1_100_000}))
    accepted: list[str] = []
    while _post(service, "one", f"m{len(accepted)}", size=20_000) == 200:
        accepted.append(f"m{len(accepted)}")
        assert len(accepted) < 200
    partner.is_down = False
    partner.wait_for(*accepted)
    _until(lambda: _post(service, "one", "more", size=20_000) == 200)
    partner.wait_for("more")
    assert service.stop() == 0
    assert sorted(partner.things) == sorted([*accepted, "more"])


def test_pruning(start: Start, configure: Configure, partner: Partner, path: Path) -> None:
    """What waits is not let go, however short anything is kept; what is finished is."""
    service = start(configure("one", store={"path": "s.sqlite3", "keepDays": 0, "dedupeDays": 0}))
    assert _post(service, "one", "m1") == 200
    _until(lambda: _statuses(path) == [("m1", Outcome.DELIVERED)])
    partner.is_down = True
    assert _post(service, "one", "m2") == 200
    service.prune()
    assert service.stop() == 1
    assert _statuses(path) == [("m2", State.READY)]


@pytest.mark.skipif(os.name != "posix", reason="has other rights")
def test_its_files_are_for_its_owner_alone(
    configure: Configure, start: Start, tmp_path: Path
) -> None:
    """The store and what is beside it: events are in there."""
    folder = tmp_path / "of the store"
    folder.mkdir()
    before = os.umask(0o022)
    try:
        start(configure("one", store={"path": f"{folder}/s.sqlite3"}))
    finally:
        os.umask(before)
    found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}
    ends = ("", "-wal", "-shm", ".lock", ".serving", ".account-1", ".identity")
    assert found == {f"s.sqlite3{end}": 0o600 for end in ends}


def test_a_disk_that_is_not_mounted(
    configure: Configure,
    start: Start,
    observation: Observation,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is made in its place, as that store would know no event; a new one is told of."""
    config = configure("one", store={"path": "mounted/s.sqlite3"})
    with pytest.raises(TemporaryError, match=r"/mounted for the store is not there yet: make it"):
        Service(config, observation).start()
    assert not (tmp_path / "mounted").exists()
    (tmp_path / "mounted").mkdir()
    caplog.set_level(logging.INFO)
    start(config).stop()
    assert caplog.text.count("new store made") == 1
    start(config)
    assert caplog.text.count("new store made") == 1


def test_an_address_for_operators(
    configure: Callable[..., ServeConfig], start: Callable[[ServeConfig], Service]
) -> None:
    """Metrics and health are there, and no longer where events are received; a reload keeps it."""
    config = configure("one", admin={"listen": "127.0.0.1:0"})
    service = start(config)
    public = service.urls["one"].removesuffix("/v1/one")
    assert service.pages_url != public
    for _ in range(2):
        for page in ("/healthz", "/readyz", "/metrics"):
            assert requests.get(service.pages_url + page, timeout=30).status_code == 200
            assert requests.get(public + page, timeout=30).status_code == 404
        assert requests.post(service.pages_url + "/v1/one", json={}, timeout=30).status_code == 404
        service.reload(configure("one"))
    service.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(service.pages_url + "/healthz", timeout=30)
