"""An event tried against a sandbox whose requests need access tokens: none of them is shown."""

from __future__ import annotations

import json
from pathlib import Path

from destinations.console.pages.sandbox_run import run_in_sandbox
from destinations.secrets import Masker
from destinations.server import read_config
from tests.oauth2_samples import write_oauth2


def test_no_token_is_shown(tmp_path: Path) -> None:
    """The request is there with its token masked; that for the token is not."""
    write_oauth2(tmp_path / "ledgerly")
    path = tmp_path / "serve.json"
    path.write_text(
        json.dumps(
            {
                "store": {"path": "s.sqlite3"},
                "sealing": {"key": "${SEAL}"},
                "destinations": [
                    {
                        "name": "usage",
                        "destination": "./ledgerly",
                        "receiver": {"keys": ["${KEY}"]},
                        "settings": {"clientId": "c", "clientSecret": "${SECRET}"},
                    }
                ],
            }
        )
    )
    environment = {"SEAL": "A" * 43 + "=", "KEY": "k" * 24, "SECRET": "secret-of-the-client"}
    (config,) = read_config(path, environment).destinations
    event = {"type": "track", "event": "Used", "userId": "u1", "messageId": "m1"}
    found = run_in_sandbox(config, json.dumps(event).encode(), Masker())
    assert [row.outcome for row in found.rows] == ["delivered"]
    (exchange,) = [one for one in found.exchanges if one.method == "POST"]
    assert ("Authorization", "Bearer ***") in [tuple(one) for one in exchange.headers]
    assert "sandbox-access" not in str(found)
