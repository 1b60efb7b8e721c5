"""What an operator has to mend is named before the first event, by `run`, `check` and `serve`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
KANA = ROOT / "definitions" / "kana"
EVENT = {
    "type": "track",
    "messageId": "m",
    "userId": "u",
    "event": "E",
    "timestamp": "2025-01-01T00:00:00Z",
    "properties": {"featureId": "f"},
}

Write = Callable[[str, Any], Path]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_PROXY".upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


ISSUES: list[tuple[dict[str, str], dict[str, Any], str]] = [
    ({"REQUESTS_CA_BUNDLE": "/not/there"}, {}, "REQUESTS_CA_BUNDLE names /not/there: No such file"),
    ({"SSL_CERT_FILE": "/not/there"}, {}, "SSL_CERT_FILE names /not/there: No such file"),
    ({"SSL_CERT_FILE": str(ROOT / "setup.cfg")}, {}, "setup.cfg, a file without certificates"),
    ({"HTTPS_PROXY": "http://127.0.0.1:99999"}, {}, "the proxy for https requests"),
    ({"ALL_PROXY": "gopher://127.0.0.1"}, {}, "has the scheme 'gopher'"),
    ({}, {"apiKey": "prv_test_\u200bfirst"}, "character 10 is U+200B (ZERO WIDTH SPACE)"),
    ({}, {"apiKey": "prv_test_firs\u0442"}, "must be text in Latin-1"),
    ({}, {"endpoint": 5}, "/endpoint: must be a string, got a number"),
    ({}, {"endpoint": ["https://api.example.com/graphql"]}, "must be a string, got an array"),
    ({}, {"endpoint": "https://api..example.com/graphql"}, "has an empty part"),
    ({}, {"endpoint": "https://api.example.com:99999/graphql"}, "99999"),
]


@pytest.mark.parametrize(("variables", "settings", "message"), ISSUES)
def test_before_the_first_event(
    command: Callable[..., Any],
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    variables: dict[str, str],
    settings: dict[str, Any],
    message: str,
) -> None:
    """The command ends with 2, and no event is charged with it: nothing is in the store."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    values = {"apiKey": "prv_test_first", "endpoint": "https://api.example.com/graphql", **settings}
    store = tmp_path / "store.sqlite3"
    done = command(
        *("run", KANA, "--events", write("e.ndjson", [EVENT]), "--store", store),
        *("--settings", write("s.json", values)),
    )
    assert done.code == 2
    assert message in done.err
    assert "prv_test" not in done.err
    config = {
        "store": {"path": str(tmp_path / "serve.sqlite3")},
        "listen": {"port": 0},
        "destinations": [
            {
                "name": "kana",
                "destination": str(KANA),
                "settings": {**values, "apiKey": "${KANA_KEY}"},
                "receiver": {"keys": ["${RECEIVER}"]},
            }
        ],
    }
    monkeypatch.setenv("KANA_KEY", values["apiKey"])
    monkeypatch.setenv("RECEIVER", "the-key-of-receivers")
    done = command("serve", "--config", write("c.json", json.dumps(config)), "--check")
    assert done.code == 2
    assert message in done.err
    assert "prv_test" not in done.err


def test_nothing_is_wrong(
    command: Callable[..., Any], write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is not used by these requests is left alone."""
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there")
    settings = {"apiKey": "prv_test_first", "endpoint": "http://127.0.0.1:9/graphql"}
    done = command(
        *("run", KANA, "--events", write("e.ndjson", [EVENT]), "--store", tmp_path / "s.sqlite3"),
        *("--settings", write("s.json", settings), "--outage", "0", "--json"),
    )
    assert done.code == 75
    assert done.json["outcomes"]["ready"] == 1
