"""A store that is removed or replaced under a running server takes nothing more."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.operations import back_up
from destinations.server import ServeConfig, Service
from destinations.store import SqliteStore

RECEIVER_KEY = "the-key-of-receivers"

Start = Callable[[ServeConfig], Service]
Configure = Callable[..., ServeConfig]


def _post(service: Service, message: str) -> requests.Response:
    event = {
        "type": "track",
        "event": "E",
        "userId": f"user of {message}",
        "messageId": message,
        "properties": {"by": 1, "thing": message},
    }
    url, headers = service.urls["one"], {"Authorization": RECEIVER_KEY}
    return requests.post(url, json=event, headers=headers, timeout=30)


def _ready(service: Service) -> requests.Response:
    return requests.get(re.sub("/v1/.*", "/readyz", service.urls["one"]), timeout=30)


def _replace_by_a_backup(path: Path) -> None:
    back_up(path, path.with_name("backup"))
    path.with_name("backup").replace(path)


def _replace_by_a_new_one(path: Path) -> None:
    path.unlink()
    SqliteStore(path.with_name("new")).close()
    path.with_name("new").rename(path)


def _replace_the_folder(path: Path) -> None:
    before = path.parent.with_name("before")
    path.parent.rename(before)
    shutil.copytree(before, path.parent)


GONE: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("moved")),
    "replaced by a backup": _replace_by_a_backup,
    "replaced by a new one": _replace_by_a_new_one,
    "a folder of before": _replace_the_folder,
    "its log": lambda path: path.with_name(f"{path.name}-wal").unlink(),
    "its log replaced": lambda path: shutil.move(
        shutil.copy(f"{path}-wal", f"{path}-copy"), f"{path}-wal"
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store."""
    return tmp_path / "s.sqlite3"


@pytest.mark.parametrize("name", GONE)
def test_nothing_is_acknowledged(
    start: Start, configure: Configure, partner: Any, path: Path, name: str
) -> None:
    """Events are answered 503, so that they come again; nothing is sent, and it is not ready."""
    service = start(configure("one"))
    assert _post(service, "m1").status_code == 200
    partner.wait_for("m1")
    assert _ready(service).status_code == 200
    GONE[name](path)
    for message in ("m2", "m3"):
        answer = _post(service, message)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "30")
        assert answer.json()["message"] == "the store is gone; nothing was accepted"
    service._probed = (-1e9, ())  # as a second later
    found = _ready(service)
    assert found.status_code == 503
    assert "was removed or replaced while it was in use" in found.text
    service.stop()
    assert partner.things == ["m1"]


def test_it_stays_gone(start: Start, configure: Configure, path: Path) -> None:
    """Put back, it is used again by the next start: until then it may lack what was written."""
    service = start(configure("one"))
    path.rename(path.with_name("moved"))
    assert _post(service, "m1").status_code == 503
    path.with_name("moved").rename(path)
    assert _post(service, "m2").status_code == 503
    service.stop()
    again = start(configure("one"))
    assert _post(again, "m3").status_code == 200
