"""The configuration that a server runs with, as its store has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.postgres import open_at
from destinations.server import (
    RunningConfiguration,
    ServeConfig,
    Service,
    destination_changes,
    read_config,
    running_configuration,
)
from destinations.store import SqliteStore

Start = Callable[[ServeConfig], Service]
Configure = Callable[..., ServeConfig]

NAMED = {"name": "Named", "partnerAction": "count", "subscribe": 'type = "track"'}


def _running(config: ServeConfig) -> RunningConfiguration:
    with open_at(config.store.address, read_only=True) as store:
        found = running_configuration(store, {})
    assert found is not None
    return found


def test_what_it_began_with(start: Start, configure: Configure) -> None:
    """It is noted with a start, and stays when the server has stopped and the file was changed."""
    filters = [{"drop": 'event = "x"'}]
    config = configure("one", of={"one": {"subscriptions": [NAMED], "filters": filters}})
    service = start(config)
    configure("other")
    for _ in range(2):
        found = _running(config)
        (one,) = found.config.destinations
        assert found.config.path == config.path
        assert (one.name, one.destination) == ("one", config.destinations[0].destination)
        assert one.connection is not None
        assert [one.connection.subscriptions, one.connection.filters] == [[NAMED], filters]
        assert one.settings.data == {"endpoint": config.destinations[0].settings.data["endpoint"]}
        assert list(one.absent) == ["apiKey"]
        service.stop()


def test_what_it_was_reloaded_with(start: Start, configure: Configure, tmp_path: Path) -> None:
    """The latest one counts; a faulty one changes nothing."""
    config = configure("one")
    service = start(config)
    service.reload(configure("two", of={"two": {"subscriptions": [NAMED]}}))
    assert [one.name for one in _running(config).config.destinations] == ["two"]
    faulty = configure("three")
    (tmp_path / "sample" / "count.yaml").write_text("slug: other", encoding="utf-8")
    with pytest.raises(DefinitionError):
        service.reload(faulty)
    assert [one.name for one in _running(config).config.destinations] == ["two"]


def test_a_definition_that_was_changed_since(
    start: Start, configure: Configure, tmp_path: Path
) -> None:
    """What the server has loaded counts, not what the folder has by now."""
    config = configure("one")
    start(config)
    path = tmp_path / "sample" / "count.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("$.properties.thing", "$.properties.other"), encoding="utf-8")
    found = _running(config)
    (change,) = destination_changes(found.config, config, None, found.definitions).destinations
    assert change.differs == ["definition, still 1.2.3"]
    assert change.before is not None
    assert change.after is not None
    fields = [
        one.definition.actions["count"].fields["properties"]["thing"]["default"]
        for one in (change.before, change.after)
    ]
    assert fields == [{"@path": "$.properties.thing"}, {"@path": "$.properties.other"}]


def test_no_secret_is_noted(start: Start, configure: Configure) -> None:
    """Neither a key for the partner nor one of a receiver: they are only named."""
    config = configure("one", key="the-key-of-receivers", api_key="-0123456789")
    start(config)
    with open_at(config.store.address, read_only=True) as store:
        noted = json.dumps(store.noted("configuration"))
    assert "${KEY_one}" in noted
    for secret in ("the-key-of-receivers", "api-key-one", "0123456789", "RECEIVER"):
        assert secret not in noted


def test_a_store_without_a_server(tmp_path: Path) -> None:
    """None was noted."""
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        assert running_configuration(store, {}) is None


_ONE: dict[str, Any] = {"name": "kana", "destination": "kana", "settings": {"apiKey": "${KEY}"}}
_OTHER = "destination: kana becomes webhook"
_TENANTS = {"receiver": {"tenants": {"key": "apiKey"}}}


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({}, {}, []),
        ({}, {"receiver": {"keys": ["${KEY}"]}}, []),
        ({}, {"settings": {"apiKey": {"env": "OTHER"}}}, ["settings: apiKey"]),
        ({}, {"settings": {**_ONE["settings"], "endpoint": "https://x.y"}}, ["settings: endpoint"]),
        ({}, {"account": "main"}, ["account"]),
        ({}, {"filters": [{"sample": 0.5}]}, ["filters"]),
        ({"from": ["web"]}, {"from": ["web", "app"]}, ["from"]),
        (
            {"subscriptions": [{**NAMED, "partnerAction": "track"}]},
            {"subscriptions": [{**NAMED, "partnerAction": "track"}], "allowOverlap": True},
            ["allowOverlap"],
        ),
        ({}, {"subscriptions": [{**NAMED, "partnerAction": "track"}]}, ["subscriptions"]),
        ({}, {"destination": "webhook", "settings": {}}, [_OTHER, "settings: apiKey"]),
        ({"settings": {}, **_TENANTS}, {}, ["settings: apiKey", "receiver.tenants"]),
    ],
)
def test_what_differs(
    write: Callable[[str, Any], Path],
    before: dict[str, Any],
    after: dict[str, Any],
    differs: list[str],
) -> None:
    """All by which events are planned and sent is compared, and nothing else."""
    old, new = (
        read_config(
            write(
                name,
                {
                    "store": {"path": "s"},
                    "sealing": {"key": {"env": "KEY"}},
                    "sources": [{"name": name, "keys": ["${KEY}"]} for name in ("web", "app")],
                    "destinations": [{**_ONE, **more}],
                },
            ),
            {},
            to_show=True,
        )
        for name, more in (("old.json", before), ("new.json", after))
    )
    (change,) = destination_changes(old, new, None).destinations
    assert change.differs == differs
    assert change.state == "kept"
