"""Two servers share a database, and with it the tokens of an account.

The partner replaces the refresh token each time, and takes a former one no more: one that is used
twice, or lost, would stop both.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.definition import load_definition
from destinations.operations.pauses import missing_tokens, refused_credentials
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.postgres import open_at
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.sandbox.token_issuer import TokenIssuer
from destinations.store import make_sealing_key
from tests.forked import ForkedPopen
from tests.oauth2_samples import SETTINGS, oauth2_files, write_oauth2
from tests.postgres_server import free_port, new_store_address

KEY = "the-key-of-receivers"
Until = Callable[[Callable[[], Any]], None]


class Servers:
    """A partner in this process, and servers that deliver to it from one database."""

    def __init__(self, folder: Path, until: Until, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._until = folder, until
        self.refused = 0
        self.on_use: Callable[[str], None] = lambda _: None
        self._watch(patch)
        definition = write_oauth2(folder / "ledgerly", "refreshToken")
        data = oauth2_files("refreshToken")
        data["requests"]["record"]["idempotent"] = True  # so that a kill leaves nothing to ask
        data["transport"]["concurrency"] = 6
        (definition / "destination.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        self.partner = DefinitionSandbox(load_definition(definition))
        tokens = self.partner.tokens
        assert tokens is not None
        self.tokens: TokenIssuer = tokens
        self.tokens.rotates = True
        self.address = new_store_address()
        self._secrets = {"RECEIVER": KEY, "SEAL": make_sealing_key().reveal()}
        self.all: list[tuple[subprocess.Popen[bytes], int, Path]] = []
        self._number = 0

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        """Count refresh tokens that are refused, and tell of each use of an access token."""
        answer, accepts = TokenIssuer.answer, TokenIssuer.accepts

        def watched_answer(tokens: TokenIssuer, request: Any) -> Any:
            found = answer(tokens, request)
            self.refused += found.status == 400
            return found

        def watched_accepts(tokens: TokenIssuer, token: str) -> bool:
            found = accepts(tokens, token)
            if found:
                self.on_use(token)
            return found

        patch.setattr(TokenIssuer, "answer", watched_answer)
        patch.setattr(TokenIssuer, "accepts", watched_accepts)

    def start(self) -> subprocess.Popen[bytes]:
        """Start one, and return it when it is ready."""
        port = free_port()
        config = {
            "listen": {"port": port},
            "store": {"postgres": {"dsn": str(self.address), "leaseSeconds": 2.0}},
            "sealing": {"key": {"env": "SEAL"}},
            "drainSeconds": 5,
            "destinations": [
                {
                    "name": "usage",
                    "destination": str(self.folder / "ledgerly"),
                    "account": "one",
                    "receiver": {"keys": [{"env": "RECEIVER"}]},
                    "delivery": {"allowPrivate": True},
                    "settings": {
                        "endpoint": self.partner.url,
                        **{name: {"env": name} for name in SETTINGS},
                    },
                }
            ],
        }
        name = self.folder / f"server-{len(self.all)}"
        path, log = name.with_suffix(".json"), name.with_suffix(".log")
        path.write_text(json.dumps(config))
        with log.open("wb") as file:
            process = ForkedPopen[bytes](
                [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **self._secrets, **SETTINGS},
            )
        self.all.append((process, port, log))

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            # It is never ready, as the database of tests is not durable.
            return "receiver started" in log.read_text()

        self._until(is_ready)
        return process

    def post(self, count: int, *, to: int = 0) -> None:
        """Give events to those that run, by turns, from that number on."""
        ports = [port for process, port, _ in self.all[to:] if process.poll() is None]
        for number in range(self._number, self._number + count):
            event = {
                "type": "track",
                "event": "Used",
                "userId": f"u{number}",
                "messageId": f"m{number}",
                "timestamp": "2026-05-01T10:00:00Z",
            }
            url = f"http://127.0.0.1:{ports[number % len(ports)]}/v1/usage"
            assert requests.post(url, json=event, auth=(KEY, ""), timeout=20).status_code == 200
        self._number += count

    def outcomes(self) -> Sequence[Outcome | str]:
        """Return what came of all events."""
        with open_at(self.address) as store:
            return [one.status for one in store.ledger().find(Selection())]

    def finish(self) -> None:
        """Return once all are delivered; fail if the partner refused a refresh token."""
        self._until(lambda: self.outcomes() == [Outcome.DELIVERED] * self._number)
        assert self.refused == 0
        with open_at(self.address) as store:
            assert refused_credentials(store) == {}
            assert missing_tokens(store) == {}

    def close(self) -> None:
        """End what still runs."""
        for process, _, _ in self.all:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.partner.close()


@pytest.fixture
def servers(tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """Return a partner, and what starts servers."""
    made = Servers(tmp_path, until, monkeypatch)
    yield made
    made.close()


def test_both_are_refused_at_once(servers: Servers) -> None:
    """The token is revoked while both deliver, again and again: each time it is replaced once."""
    for _ in range(2):
        servers.start()
    revoked = 0
    for _ in range(3):
        servers.post(20)
        servers.tokens.revoke()
        revoked += 1
        servers.post(20)
        servers.finish()
    # One for the beginning; that it was revoked is only seen by what is sent afterwards.
    assert servers.tokens.issued == 1 + revoked


def test_one_is_killed_as_the_new_token_is_used(servers: Servers) -> None:
    """What replaced the refresh token was durable before: the other one goes on with it."""
    first = servers.start()
    servers.start()
    servers.post(4)
    servers.finish()
    killed = threading.Event()

    def kill(_: str) -> None:
        if not killed.is_set():
            killed.set()
            os.kill(first.pid, signal.SIGKILL)

    servers.tokens.revoke()
    servers.on_use = kill  # the first use of the token that comes next
    servers.post(20, to=1)  # both deliver them
    servers.finish()
    assert killed.is_set()
    servers.tokens.revoke()
    servers.start()
    servers.post(8)
    servers.finish()
    assert servers.tokens.issued == 3
