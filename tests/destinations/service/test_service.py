"""The process as a whole, with workers that only note what is asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError, UsageError
from destinations.queue import Inbox, QueueOptions, Scope, SqliteQueue
from destinations.service import Bound, Resources, ServeConfig, Service, StoreLock, read_config

TRACK = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 1, "thing": "t"}}
Write = Callable[[str, Any], Path]


@dataclass
class Workers:
    """Opens workers over real queues that deliver nothing; ``notes`` is what was asked."""

    notes: list[str] = field(default_factory=list)
    on_stop: Callable[[str], None] = lambda _: None

    def open(self, bound: Bound, resources: Resources) -> _Worker:
        self.notes.append(f"open {bound.name}")
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
        self.workers.notes.append(f"start {self.name}")

    def stop(self, drain_seconds: float) -> None:
        self.workers.notes.append(f"stop {self.name} {drain_seconds:g}")
        self.workers.on_stop(self.name)


Configure = Callable[..., ServeConfig]


@pytest.fixture
def configure(write: Write, sample: Path) -> Configure:
    """A configuration of destinations by name; ``more`` are its other keys."""
    assert sample.name == "sample"

    def make(*names: str, key: str = "receiver-key", **more: Any) -> ServeConfig:
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
    service: Service, name: str, message: str, key: str = "receiver-key", *, size: int = 0
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
    service.reload(configure("two", "three", key="another-key"))
    workers.on_stop = lambda _: None
    assert sorted(workers.notes[:2]) == ["stop one 2", "stop two 2"]
    assert workers.notes[2:] == ["open two", "open three", "start two", "start three"]
    assert taken == [200, 200]
    assert list(service.urls) == ["two", "three"]
    assert requests.post(url, timeout=30).status_code == 404
    assert _post(service, "two", "m2") == 401
    assert [_post(service, name, "m2", "another-key") for name in ("two", "three")] == [200, 200]
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
