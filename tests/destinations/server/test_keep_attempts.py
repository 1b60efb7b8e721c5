"""What a server keeps of requests, by its configuration and without any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError
from destinations.operations import noted_periods
from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.ledger import Selection
from destinations.postgres import open_at
from destinations.server import ServeConfig, Service, read_config

Start = Callable[[ServeConfig], Service]
Configure = Callable[..., ServeConfig]
Write = Callable[[str, Any], Path]
Partner = Any
"""See ``conftest.py``."""

DAY = 86_400.0


def _post(service: Service, message: str) -> None:
    event = {
        "type": "track",
        "event": "E",
        "userId": "u1",
        "messageId": message,
        "properties": {"by": 1, "thing": message},
    }
    headers = {"Authorization": "the-key-of-receivers"}
    done = requests.post(service.urls["one"], json=event, headers=headers, timeout=30)
    assert done.status_code == 200


def _kept(config: ServeConfig) -> int:
    with open_at(config.store.address, read_only=True) as store:
        entries = store.ledger().find(Selection(statuses=frozenset({Outcome.DELIVERED})))
        return sum(len(store.attempts().of(one.id)) for one in entries)


def test_a_server_keeps_them(start: Start, configure: Configure, partner: Partner) -> None:
    """As its configuration says, which a reload changes; what is turned off goes with old data."""
    config = configure("one", keepAttempts={"sample": 1})
    service = start(config)
    _post(service, "m1")
    partner.wait_for("m1")
    service.reload(configure("one", keepAttempts={"sample": 0}))
    assert _kept(config) == 1
    _post(service, "m2")
    partner.wait_for("m2")
    service.reload(configure("one", keepAttempts=False))
    assert _kept(config) == 1
    service.prune()
    assert _kept(config) == 0


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (None, AttemptPolicy(30 * DAY, 3_600.0, 0.01, 256_000_000)),
        ({}, AttemptPolicy()),
        (False, None),
        ({"failed": "7d"}, AttemptPolicy(7 * DAY)),
        ({"failed": "1.5h", "delivered": "90s"}, AttemptPolicy(5_400.0, 90.0)),
        ({"delivered": "2w"}, AttemptPolicy(delivered=14 * DAY)),
        ({"sample": 1}, AttemptPolicy(sample=1)),
        ({"sample": 0, "maxBytes": 1_000_000}, AttemptPolicy(sample=0, max_bytes=1_000_000)),
        ({"maxBytes": "256MB"}, AttemptPolicy()),
        ({"maxBytes": "1.5GB"}, AttemptPolicy(max_bytes=1_500_000_000)),
        ({"maxBytes": "100kB"}, AttemptPolicy(max_bytes=100_000)),
    ],
)
def test_the_configuration(write: Write, given: Any, policy: AttemptPolicy | None) -> None:
    """Durations and sizes have their units; what is left out is as by default."""
    one = {"name": "one", "destination": "kana", "settings": {"apiKey": {"env": "KEY"}}}
    more = {} if given is None else {"keepAttempts": given}
    document = {"store": {"path": "s"}, "destinations": [one], **more}
    config = read_config(write("serve.yaml", document), {"KEY": "prv_test_0123456789"})
    assert config.keep_attempts == config.periods.attempts == policy


@pytest.mark.parametrize(
    "given",
    [
        True,
        "30d",
        {"failed": 30},
        {"failed": "30"},
        {"failed": "-1d"},
        {"failed": "1 d"},
        {"delivered": "1y"},
        {"sample": 1.01},
        {"sample": -0.1},
        {"sample": "1%"},
        {"maxBytes": 1},
        {"maxBytes": "1kB"},
        {"maxBytes": "256 MB"},
        {"maxBytes": "256MiB"},
        {"other": 1},
    ],
)
def test_a_configuration_that_cannot_be(write: Write, given: Any) -> None:
    """It is told with its place."""
    one = {"name": "one", "destination": "kana", "settings": {"apiKey": {"env": "KEY"}}}
    document = {"store": {"path": "s"}, "destinations": [one], "keepAttempts": given}
    with pytest.raises(DefinitionError, match="/keepAttempts"):
        read_config(write("serve.yaml", document), {"KEY": "prv_test_0123456789"})


def test_commands_know_what_is_kept(start: Start, configure: Configure) -> None:
    """What a server notes is what runs and store compact keep to."""
    config = configure("one", keepAttempts={"failed": "2d", "sample": 0.5})
    start(config)
    with open_at(config.store.address, read_only=True) as store:
        periods = noted_periods(store)
    assert periods is not None
    assert periods.attempts == AttemptPolicy(2 * DAY, sample=0.5)


def test_none_is_noted_as_well(start: Start, configure: Configure) -> None:
    """It is not the same as a server of an earlier version, which noted nothing."""
    config = configure("one", keepAttempts=False)
    start(config)
    with open_at(config.store.address, read_only=True) as store:
        periods = noted_periods(store)
    assert periods is not None
    assert periods.attempts is None
