"""Reading the configuration of a server for what is no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.server import read_config

Write = Callable[[str, Any], Path]


def _document(name: str = "one") -> dict[str, Any]:
    return {
        "listen": {"host": "0.0.0.0"},  # noqa: S104 - nothing listens
        "store": {"path": "s.sqlite3", "keepDays": 3},
        "destinations": [
            {
                "name": name,
                "destination": "./sample",
                "account": "main",
                "settings": {"apiKey": {"env": "NOT_SET"}, "other": "a ${NOT_SET_EITHER}"},
                "receiver": {"keys": [{"file": "/not/there"}]},
            }
        ],
        "sealing": {"key": {"env": "NOT_SET"}, "formerKeys": [{"file": "/not/there"}]},
    }


def test_nothing_is_looked_up(write: Write) -> None:
    """What is only named may be missing: neither variables nor files are needed."""
    path = write("serve.json", json.dumps(_document()))
    config = read_config(path, {}, secrets=False)
    (one,) = config.destinations
    assert (config.store.address, config.store.keep_days) == (path.parent / "s.sqlite3", 3)
    assert (one.name, one.destination) == ("one", str(path.parent / "sample"))
    assert one.account == "main"
    assert config.sealing is None
    assert (one.settings.data, one.receiver.keys, dict(one.exposed)) == ({}, (), {})
    with pytest.raises(DefinitionError, match="NOT_SET"):
        read_config(path, {})


def test_the_rest_is_checked(write: Write) -> None:
    """Issues in the file itself are told all the same."""
    path = write("serve.json", json.dumps(_document("a b")))
    with pytest.raises(DefinitionError, match="/destinations/0/name"):
        read_config(path, {}, secrets=False)
