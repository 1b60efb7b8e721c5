"""A server that keeps events after their delivery, and one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError
from destinations.operations import Periods, noted_periods, prune
from destinations.postgres import open_at
from destinations.server import ServeConfig, Service, read_config
from destinations.store import RecentBounds

Start = Callable[[ServeConfig], Service]
Configure = Callable[..., ServeConfig]
Write = Callable[[str, Any], Path]
Partner = Any
"""See ``conftest.py``."""


def _post(service: Service, name: str, message: str) -> None:
    event = {
        "type": "track",
        "event": "E",
        "userId": "u1",  # the order of deliveries is that of one user's events
        "messageId": message,
        "properties": {"by": 1, "thing": message},
    }
    headers = {"Authorization": "the-key-of-receivers"}
    done = requests.post(service.urls[name], json=event, headers=headers, timeout=30)
    assert done.status_code == 200


def _kept(config: ServeConfig) -> Sequence[str]:
    with open_at(config.store.address, read_only=True) as store:
        found = store.recent().last(100)
        assert all(json.loads(one.raw)["messageId"] == one.message_id for one in found)
        return [one.message_id for one in found]


def test_what_is_delivered_is_kept(start: Start, configure: Configure, partner: Partner) -> None:
    """As long as the configuration says so; what a reload turns off goes with old data."""
    config = configure("one", keepRecent={"events": 2})
    service = start(config)
    for message in ("m1", "m2", "m3"):
        _post(service, "one", message)
        partner.wait_for(message)
    service.reload(configure("one"))
    assert _kept(config) == ["m2", "m3"]
    _post(service, "one", "m4")
    partner.wait_for("m4")
    service.reload(configure("one"))  # what is under way has ended then
    assert _kept(config) == ["m2", "m3"]
    service.prune()
    assert _kept(config) == []
    service.reload(configure("one", keepRecent={}))
    _post(service, "one", "m5")
    partner.wait_for("m5")
    service.stop()
    assert _kept(config) == ["m5"]


def test_a_run_leaves_what_the_server_keeps(start: Start, configure: Configure) -> None:
    """The bounds are noted for whoever else deletes old data from the store."""
    bounds = {"events": 7, "bytes": 70_000, "hours": 1.5}
    config = configure("one", keepRecent=bounds)
    start(config).stop()
    with open_at(config.store.address) as store:
        periods = noted_periods(store)
    assert periods is not None
    assert periods.recent == RecentBounds(7, 70_000, 1.5)


def test_old_data(start: Start, configure: Configure, partner: Partner) -> None:
    """It is deleted with the rest, and counted among the raw events."""
    config = configure("one", keepRecent={"hours": 1})
    service = start(config)
    _post(service, "one", "m1")
    partner.wait_for("m1")
    service.stop()
    with open_at(config.store.address) as store:
        periods = Periods(recent=RecentBounds(hours=1.0))
        assert prune(store, store.now, periods).raw_events == 0
        assert prune(store, store.now + 3_700.0, periods).raw_events == 1


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        (None, None),
        ({}, RecentBounds(10_000, 50_000_000, 168.0)),
        ({"events": 5}, RecentBounds(5, 50_000_000, 168.0)),
        ({"bytes": 65_536, "hours": 0.5}, RecentBounds(10_000, 65_536, 0.5)),
    ],
)
def test_bounds(write: Write, given: dict[str, Any] | None, bounds: RecentBounds | None) -> None:
    """They are off without the key, and each has a default."""
    one = {"name": "kana", "destination": "kana"}
    more = {} if given is None else {"keepRecent": given}
    path = write("c.json", {"store": {"path": "s"}, "destinations": [one], **more})
    config = read_config(path, {})
    assert config.keep_recent == config.periods.recent == bounds


@pytest.mark.parametrize(
    "given", [True, {"events": 0}, {"bytes": 100}, {"hours": 0}, {"days": 1}, {"events": 1.5}]
)
def test_wrong_bounds(write: Write, given: object) -> None:
    """They are refused with their place."""
    one = {"name": "kana", "destination": "kana"}
    document = {"store": {"path": "s"}, "destinations": [one], "keepRecent": given}
    with pytest.raises(DefinitionError, match="/keepRecent"):
        read_config(write("c.json", document), {})
