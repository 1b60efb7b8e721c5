"""The process as a whole, with workers that only note what is asked of them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError, UsageError
from destinations.operations import Periods, Serving, noted_periods, who_serves
from destinations.queue import Inbox, QueueOptions, Scope, SqliteQueue
from destinations.server import Bound, Resources, ServeConfig, Service, StoreLock, read_config
from destinations.store import ReadOnlyStore, StoreFullError

RECEIVER_KEY = "the-key-of-receivers"
OTHER_KEY = "another-key-of-receivers"
TRACK = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 1, "thing": "t"}}
Write = Callable[[str, Any], Path]


@dataclass
class Workers:
    """Opens workers over real queues that deliver nothing; ``notes`` is what was asked."""

    notes: list[str] = field(default_factory=list)
    on_stop: Callable[[str], None] = lambda _: None
    broken: dict[str, Exception] = field(default_factory=dict)

    def do(self, what: str) -> None:
        """Notes it, and raises what ``broken`` has for it."""
        self.notes.append(what)
        if what in self.broken:
            raise self.broken[what]

    def open(self, bound: Bound, resources: Resources) -> _Worker:
        self.do(f"open {bound.name}")
        scope = Scope(bound.name, "account", "1")
        options = QueueOptions(max_open=resources.config.max_events)
        queue = SqliteQueue(resources.store, resources.writer, scope, {}, options=options)
        return _Worker(self, bound.name, queue)


@dataclass
class _Worker:
    workers: Workers
    name: str
    inbox: Inbox

    def start(self) -> None:
        self.workers.do(f"start {self.name}")

    def stop(self, drain_seconds: float) -> None:
        self.workers.notes.append(f"stop {self.name} {drain_seconds:g}")
        self.workers.on_stop(self.name)
        if f"stop {self.name}" in self.workers.broken:
            raise self.workers.broken[f"stop {self.name}"]


Configure = Callable[..., ServeConfig]


@pytest.fixture
def configure(write: Write, sample: Path) -> Configure:
    """A configuration of destinations by name; ``more`` are its other keys."""
    assert sample.name == "sample"

    def make(*names: str, key: str = RECEIVER_KEY, **more: Any) -> ServeConfig:
        document = {
            "store": {"path": "s.sqlite3"},
            "listen": {"port": 0},
            "drainSeconds": 2,
            "destinations": [
                {
                    "name": name,
                    "destination": "./sample",
                    "settings": {"apiKey": f"${{KEY_{name}}}"},
                    "receiver": {"keys": ["${RECEIVER}"]},
                }
                for name in names
            ],
        } | more
        environment = {f"KEY_{name}": f"api-key-{name}" for name in names} | {"RECEIVER": key}
        return read_config(write("c.yaml", json.dumps(document)), environment)

    return make


@pytest.fixture
def workers() -> Workers:
    """Workers that deliver nothing."""
    return Workers()


@pytest.fixture
def start(workers: Workers) -> Iterator[Callable[[ServeConfig], Service]]:
    """Starts services, and stops them."""
    started: list[Service] = []

    def make(config: ServeConfig) -> Service:
        service = Service(config, workers.open, metrics=lambda: b"")
        service.start()
        started.append(service)
        return service

    yield make
    for service in started:
        service.stop()


def _post(
    service: Service, name: str, message: str, key: str = RECEIVER_KEY, *, size: int = 0
) -> int:
    url = service.urls[name]
    event = {**TRACK, "messageId": message, "context": {"padding": "x" * size}}
    return requests.post(url, json=event, headers={"Authorization": key}, timeout=30).status_code


def test_events_are_in_the_store_and_stay_there(
    start: Callable[..., Service], configure: Configure, workers: Workers
) -> None:
    """What was acknowledged before a stop waits after the next start, and its repeat is known."""
    service = start(configure("one", "two"))
    assert workers.notes == ["open one", "open two", "start one", "start two"]
    assert [_post(service, name, "m1") for name in ("one", "two", "one")] == [200] * 3
    assert service.stop() == 2
    assert sorted(workers.notes[4:]) == ["stop one 2", "stop two 2"]
    again = start(configure("one", "two"))
    assert [_post(again, name, "m1") for name in ("one", "two")] == [200] * 2
    assert again.stop() == 2


def test_a_stop_refuses_events_while_it_drains(
    start: Callable[..., Service], configure: Configure, workers: Workers
) -> None:
    """Senders are told to come again; whoever asks is told that it drains."""
    service = start(configure("one"))
    seen: list[object] = []

    def look(_: str) -> None:
        seen.append(_post(service, "one", "m1"))
        ready = requests.get(service.urls["one"].replace("/v1/one", "/readyz"), timeout=30)
        seen.extend((ready.status_code, ready.text))

    workers.on_stop = look
    assert service.stop() == 0
    assert seen == [503, 503, "draining\n"]


def test_a_reload(start: Callable[..., Service], configure: Configure, workers: Workers) -> None:
    """New ones come, removed ones go and keep their queue, the others go on with new settings."""
    service = start(configure("one", "two"))
    url = service.urls["one"]
    assert _post(service, "one", "m1") == 200
    workers.notes.clear()
    taken: list[int] = []
    workers.on_stop = lambda name: taken.append(_post(service, "two", f"while {name} stops"))
    service.reload(configure("two", "three", key=OTHER_KEY))
    workers.on_stop = lambda _: None
    assert sorted(workers.notes[:2]) == ["stop one 2", "stop two 2"]
    assert workers.notes[2:] == ["open two", "open three", "start two", "start three"]
    assert taken == [200, 200]
    assert list(service.urls) == ["two", "three"]
    assert requests.post(url, timeout=30).status_code == 404
    assert _post(service, "two", "m2") == 401
    assert [_post(service, name, "m2", OTHER_KEY) for name in ("two", "three")] == [200, 200]
    assert service.stop() == 5


def test_a_faulty_reload_changes_nothing(
    start: Callable[..., Service], configure: Configure, workers: Workers, tmp_path: Path
) -> None:
    """What is wrong is raised before anything was stopped."""
    service = start(configure("one"))
    workers.notes.clear()
    config = configure("one", "two")
    (tmp_path / "sample" / "count.yaml").write_text("slug: other", encoding="utf-8")
    with pytest.raises(DefinitionError):
        service.reload(config)
    assert workers.notes == []
    assert _post(service, "one", "m1") == 200


@pytest.mark.parametrize("fault", [StoreFullError("full"), OSError("a disk"), ValueError("x")])
@pytest.mark.parametrize("broken", ["open three", "start three"])
def test_a_reload_that_fails_midway(
    start: Callable[..., Service],
    configure: Configure,
    workers: Workers,
    broken: str,
    fault: Exception,
) -> None:
    """All goes on as before, with the former settings: nothing is taken that nobody delivers."""
    service = start(configure("one", "two"))
    workers.notes.clear()
    workers.broken[broken] = fault
    with pytest.raises(type(fault)):
        service.reload(configure("two", "three", key=OTHER_KEY))
    assert list(service.urls) == ["one", "two"]
    assert service.config.destinations[0].name == "one"
    # What was opened for it is stopped before the same queue is opened again.
    began = workers.notes.index("open two")
    notes = workers.notes[began:]
    assert notes[: notes.index("open one")].count("stop two 2") == 1
    assert notes[-4:] == ["open one", "start one", "open two", "start two"]
    assert [_post(service, name, "m1") for name in ("one", "two")] == [200, 200]
    assert (service.unready(), service.needs_mending) == ((), False)
    workers.broken.clear()
    service.reload(configure("two", "three", key=OTHER_KEY))
    assert [_post(service, name, "m2", OTHER_KEY) for name in ("two", "three")] == [200, 200]


def test_a_destination_that_cannot_be_opened_again(
    start: Callable[..., Service],
    configure: Configure,
    workers: Workers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It refuses events and is named until it is open again; the others go on meanwhile."""
    service = start(configure("one", "two"))
    workers.broken["open one"] = StoreFullError("no room")
    with pytest.raises(StoreFullError):
        service.reload(configure("one", "two"))
    assert service.needs_mending
    service._opened["one"].entrance._patience = 0.0
    assert [_post(service, name, "m1") for name in ("one", "two")] == [503, 200]
    ready = requests.get(service.urls["one"].replace("/v1/one", "/readyz"), timeout=30)
    assert ready.status_code == 503
    assert ready.text.startswith("one cannot be opened: ")
    service.mend()
    assert service.needs_mending
    assert caplog.text.count("one cannot be opened: ") == 1
    workers.broken.clear()
    service.mend()
    assert (service.unready(), service.needs_mending) == ((), False)
    assert [_post(service, name, "m1") for name in ("one", "two")] == [200, 200]
    assert list(service.urls) == ["one", "two"]
    assert workers.notes[-2:] == ["open one", "start one"]


def test_a_reload_opens_what_could_not_be_opened(
    start: Callable[..., Service], configure: Configure, workers: Workers
) -> None:
    """A reload that works ends what one before it that did not has left behind."""
    service = start(configure("one"))
    workers.broken["open one"] = StoreFullError("no room")
    with pytest.raises(StoreFullError):
        service.reload(configure("one"))
    workers.broken.clear()
    service.reload(configure("one"))
    assert _post(service, "one", "m1") == 200
    assert not service.needs_mending


def test_a_worker_that_does_not_stop_in_order(
    start: Callable[..., Service],
    configure: Configure,
    workers: Workers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are stopped and counted all the same, and the log has the fault."""
    service = start(configure("one", "two"))
    assert _post(service, "one", "m1") == 200
    workers.broken["stop one"] = ValueError("x")
    assert service.stop() == 1
    assert sorted(workers.notes[-2:]) == ["stop one 2", "stop two 2"]
    assert "could not be stopped in order" in caplog.text


def test_what_waits_for_nobody(
    start: Callable[..., Service], configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """A destination that was renamed or removed is named, at a reload and at a start."""
    service = start(configure("one", "two"))
    assert [_post(service, "one", message) for message in ("m1", "m2")] == [200, 200]
    assert (service.strays, caplog.text) == ({}, "")
    warning = "'one' is not in the configuration, and deliveries wait for it: 2; give it back"
    service.reload(configure("two", "renamed"))
    assert service.strays == {"one": 2}
    assert warning in caplog.text
    service.stop()
    caplog.clear()
    service = start(configure("two"))
    assert service.strays == {"one": 2}
    assert warning in caplog.text
    service.reload(configure("one", "two"))
    assert service.strays == {}


def test_secrets_that_everybody_can_read(
    start: Callable[..., Service],
    configure: Configure,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the file of a secret, at a start; what is no secret may stand anywhere."""
    config = configure("one")
    (one,) = config.destinations
    places = ("/receiver/keys/0", "/settings/apiKey", "/settings/endpoint")
    exposed = {place: tmp_path / place.rpartition("/")[2] for place in places}
    start(replace(config, destinations=(replace(one, exposed=exposed),)))
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(" can read ")[0] for line in said] == [
        f"one: {place}: every user of this machine" for place in places[:2]
    ]


def test_what_a_reload_does_not_change(
    start: Callable[..., Service], configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """Another address or store is for the next start, and the log says so."""
    service = start(configure("one"))
    config = configure("one")
    before = service.config.listen
    service.reload(replace(config, listen=replace(config.listen, port=1)))
    assert service.config.listen == before
    assert "with the next start only" in caplog.text


def test_readiness(start: Callable[..., Service], configure: Configure) -> None:
    """Ready while the store can be written, and not once it is closed."""
    service = start(configure("one"))
    ready = requests.get(service.urls["one"].replace("/v1/one", "/readyz"), timeout=30)
    assert (ready.status_code, ready.text) == (200, "ready\n")
    service._writer.close()
    service._probed = (0.0, ())
    assert service.unready() == ("the store cannot be written: the store is closed",)


def test_a_service_that_has_not_started(configure: Configure, workers: Workers) -> None:
    """It is not ready, and says why."""
    assert Service(configure("one"), workers.open, metrics=lambda: b"").unready() == ("starting",)


def test_one_process_for_one_store(
    start: Callable[..., Service], configure: Configure, tmp_path: Path
) -> None:
    """A second one is refused while the first is there, and may start after it."""
    service = start(configure("one"))
    with pytest.raises(UsageError, match=r"another process delivers from the store .*s\.sqlite3"):
        StoreLock(tmp_path / "s.sqlite3", patience=0)
    service.stop()
    StoreLock(tmp_path / "s.sqlite3", patience=0).release()


def test_a_start_that_fails_leaves_nothing_behind(
    start: Callable[..., Service], configure: Configure, tmp_path: Path
) -> None:
    """After a fault the store is free again."""
    config = configure("one")
    text = (tmp_path / "sample" / "count.yaml").read_text("utf-8")
    (tmp_path / "sample" / "count.yaml").write_text("slug: other", encoding="utf-8")
    with pytest.raises(DefinitionError):
        start(config)
    (tmp_path / "sample" / "count.yaml").write_text(text, encoding="utf-8")
    assert _post(start(config), "one", "m1") == 200


def test_a_queue_that_is_too_long(start: Callable[..., Service], configure: Configure) -> None:
    """Back pressure: 503 from the first event on that would be too many."""
    service = start(configure("one", queue={"maxEvents": 2}))
    assert [_post(service, "one", f"m{number}") for number in range(4)] == [200, 200, 503, 503]


def test_a_full_store(start: Callable[..., Service], configure: Configure) -> None:
    """A store without room refuses events until it has some; what it acknowledged is there."""
    small = {"path": "s.sqlite3", "maxBytes": 1_100_000}
    service = start(configure("one", store=small))
    statuses: list[int] = []
    while 503 not in statuses:
        statuses.append(_post(service, "one", f"m{len(statuses)}", size=20_000))
        assert len(statuses) < 200
    assert set(statuses) == {200, 503}
    assert _post(service, "one", "m0") == 503
    acknowledged = statuses.count(200)
    assert service.stop() == acknowledged
    again = start(configure("one", store={**small, "maxBytes": 3_000_000}))
    assert _post(again, "one", "m0") == 200  # known: it was accepted before
    assert _post(again, "one", "more") == 200
    assert again.stop() == acknowledged + 1


def test_tidying(start: Callable[..., Service], configure: Configure) -> None:
    """What waits is not let go, however short anything is kept."""
    service = start(configure("one", store={"path": "s.sqlite3", "keepDays": 0, "dedupeDays": 0}))
    assert _post(service, "one", "m1") == 200
    service.prune()
    assert service.stop() == 1


def _served(service: Service) -> Serving:
    store = ReadOnlyStore(service.config.store.path)
    try:
        return who_serves(store)
    finally:
        store.close()


def test_what_it_says_of_itself(
    configure: Configure, start: Callable[[ServeConfig], Service], workers: Workers
) -> None:
    """Whose deliveries others must leave alone: noted before they are opened, also by a reload."""
    seen: list[frozenset[str] | None] = []
    service = start(configure("one", "two", store={"path": "s.sqlite3", "keepDays": 90}))
    assert _served(service).names == {"one", "two"}
    workers.on_stop = lambda _: seen.append(_served(service).names)
    service.reload(configure("two", "three"))
    assert seen == [{"one", "two"}] * 2
    assert _served(service).names == {"two", "three"}
    workers.broken["open four"] = StoreFullError("full")
    with pytest.raises(StoreFullError):
        service.reload(configure("four"))
    assert _served(service).names == {"two", "three"}
    service.stop()
    assert _served(service).running is False
    store = ReadOnlyStore(service.config.store.path)
    assert noted_periods(store) == Periods(keep_days=90)
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="has other rights")
def test_its_files_are_for_its_owner_alone(
    configure: Configure, start: Callable[[ServeConfig], Service], tmp_path: Path
) -> None:
    """The store, what is beside it, and the folders that were made for it; events are in there."""
    before = os.umask(0o022)
    try:
        start(configure("one", store={"path": "made/for/s.sqlite3"}))
    finally:
        os.umask(before)
    found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "made").rglob("*")}
    ends = ("", "-wal", "-shm", ".lock", ".serving")
    assert found == {"for": 0o700} | {f"s.sqlite3{end}": 0o600 for end in ends}
