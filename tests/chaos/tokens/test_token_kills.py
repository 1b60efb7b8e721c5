"""Processes are killed while they replace a refresh token, and two of them do so side by side.

The partner takes a refresh token once. It still takes the one before as long as nobody has used
what replaced it, as partners do that know of lost answers: whoever has used a token had it durable,
so that no kill at any point leads to a refusal.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from destinations.oauth2 import KeptToken
from destinations.opening import open_store
from destinations.operations.tokens import StoredTokens
from destinations.store import SealedValues, Sealer, SealingKey, make_sealing_key
from tests.oauth2_samples import SETTINGS, write_oauth2
from tests.postgres_server import new_store_address

WORKER = Path(__file__).parent / "worker.py"


@dataclass
class Partner:
    """A token endpoint and an API; ``forgives`` says whether lost answers are thought of."""

    forgives: bool = True
    uses: int = 10**9
    refresh: str = SETTINGS["refreshToken"]
    before: str = ""
    token: str = ""
    left: int = 0
    is_used: bool = True
    number: int = 0
    refused: list[str] = field(default_factory=list)
    asking: int = 0
    most_asking: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def replace(self, refresh: str) -> dict[str, Any] | None:
        """Return new tokens; None for a refresh token that is not taken."""
        with self.lock:
            forgiven = self.forgives and not self.is_used and refresh == self.before
            if refresh != self.refresh and not forgiven:
                self.refused.append(refresh)
                return None
            if not forgiven:
                self.before = refresh
            self.number += 1
            self.refresh, self.token = f"refresh-{self.number:06}", f"access-{self.number:06}"
            self.is_used, self.left = False, self.uses
            return {
                "access_token": self.token,
                "refresh_token": self.refresh,
                "expires_in": 3600,
            }

    def takes(self, token: str) -> bool:
        """Whether a token is good; each is so often."""
        with self.lock:
            if token != self.token or self.left <= 0:
                return False
            self.is_used = True
            self.left -= 1
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    partner: Partner

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_POST(self) -> None:
        """Replace a refresh token."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        partner = self.partner
        with partner.lock:
            partner.asking += 1
            partner.most_asking = max(partner.most_asking, partner.asking)
        try:
            made = partner.replace(dict(parse_qsl(body.decode()))["refresh_token"])
            threading.Event().wait(0.002)  # two that are not kept apart meet here
        finally:
            with partner.lock:
                partner.asking -= 1
        self._answer(200 if made else 400, made or {"error": "invalid_grant"})

    def do_GET(self) -> None:
        """Say whether a token is good."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self._answer(200 if self.partner.takes(token) else 401, {})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Bench:
    """A partner on this machine, a store, and the processes that use both."""

    def __init__(self, path: Path, kind: str) -> None:
        self.partner = Partner()
        handler = type("Handler", (_Handler,), {"partner": self.partner})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._folder = write_oauth2(path / "ledgerly", "refreshToken")
        self._path, self._kind, self._number = path, kind, 0
        self.key = make_sealing_key().reveal()
        self.store = ""
        self._tasks = 0
        self._outs: dict[int, Path] = {}
        self._log = (path / "log").open("wb")
        self._forks = subprocess.Popen(
            [sys.executable, "-P", "-W", "error", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.renew_store()

    def renew_store(self) -> None:
        """Begin with an empty store, and a partner that has replaced nothing."""
        self._number += 1
        place = self._path / f"s{self._number}.sqlite3"
        self.store = str(place) if self._kind == "sqlite" else str(new_store_address())
        fresh = Partner(forgives=self.partner.forgives, uses=self.partner.uses)
        self.partner.__dict__.update(fresh.__dict__)

    def start(self, requests: int = 1, step: int = 0) -> int:
        """Start a process that sends so many requests, and kills itself at a step; return it."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return self._told(
            {
                "folder": str(self._folder),
                "settings": {**SETTINGS, "endpoint": url},
                "store": self.store,
                "key": self.key,
                "requests": requests,
                "step": step,
                "out": str(self._out()),
            }
        )

    def wait(self, process: int) -> tuple[int, str]:
        """Return how a process ended, and what it said."""
        end = self._told({"wait": process})
        assert end in (0, -signal.SIGKILL), (self._path / "log").read_text()
        path = self._outs.pop(process)
        return end, path.read_text() if path.exists() else ""

    def run(self, requests: int = 1, step: int = 0) -> tuple[int, str]:
        """Return how a process ended, and what it said."""
        return self.wait(self.start(requests, step))

    def _told(self, task: Any) -> int:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(json.dumps(task) + "\n")
        self._forks.stdin.flush()
        found = int(self._forks.stdout.readline())
        if "out" in task:
            self._outs[found] = Path(task["out"])
        return found

    def _out(self) -> Path:
        self._tasks += 1
        return self._path / f"out-{self._tasks}"

    def kept(self) -> KeptToken | None:
        """Return the token that the store keeps."""
        with open_store(self.store) as store:
            sealed = SealedValues(store.database, Sealer(SealingKey.parse(self.key)))
            names = sealed.names("oauth2/")
            return StoredTokens(store, sealed).load(names[0])[0] if names else None

    def close(self) -> None:
        """Stop the partner, and the process that makes the others."""
        self._forks.communicate()
        self._log.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A partner, and a store of each kind."""
    made = Bench(tmp_path, request.param)
    yield made
    made.close()


NOTED, ANSWERED, KEPT = 6, 8, 10
"""Steps: the renewal is noted, and not begun; its answer has come; what came is durable."""


@pytest.mark.parametrize("forgives", [True, False])
def test_a_kill_at_every_step(bench: Bench, forgives: bool, is_long: bool) -> None:
    """Whatever was going on, the next process goes on with the token that the store keeps.

    With a partner that forgives nothing this holds unless the answer had not been kept yet: then
    the refusal says that it was lost.
    """
    bench.partner.forgives = forgives
    _, steps = bench.run()
    assert int(steps) > 12
    lost = 0
    short = (NOTED, ANSWERED, ANSWERED + 1, KEPT) if not forgives else (ANSWERED + 1, KEPT)
    for step in range(1, int(steps) + 1) if is_long else short:
        bench.renew_store()
        assert bench.run(step=step)[0] == -signal.SIGKILL
        kept = bench.kept()
        is_lost = bench.partner.number > 0 and (
            kept is None or kept.refresh_token != bench.partner.refresh
        )
        bench.partner.left = 0  # another token is due in any case
        end, said = bench.run()
        assert end == 0
        if is_lost and not forgives:
            lost += 1
            assert "the answer to an earlier renewal was lost" in said
        else:
            assert said.isdigit(), (step, said)
            assert bench.partner.refused == []
    # Between the answer of the partner and its commit.
    assert lost == (0 if forgives else 2)


def test_two_processes_side_by_side(bench: Bench, is_long: bool) -> None:
    """Each token is good a few times: they replace it again and again, never both at once."""
    bench.partner.uses = 3
    count = 40 if is_long else 9
    processes = [bench.start(requests=count) for _ in range(2)]
    ends = [bench.wait(process) for process in processes]
    assert all(end == 0 and said.isdigit() for end, said in ends), ends
    assert bench.partner.refused == []
    assert bench.partner.most_asking == 1
    assert bench.partner.number >= 2 * count // 3


def test_two_processes_of_which_some_are_killed(
    bench: Bench, often_killed_seed: int, is_long: bool
) -> None:
    """Processes come and go, killed at any moment: no refresh token is lost or used twice."""
    bench.partner.uses = 2
    draw = random.Random(often_killed_seed + 7)
    killed = 0
    rounds = 6 if is_long else 2
    for _ in range(rounds):
        pair = [bench.start(requests=12, step=draw.randrange(4, 80)), bench.start(requests=12)]
        for end, said in [bench.wait(process) for process in pair]:
            killed += end == -signal.SIGKILL
            assert end or said.isdigit(), said
    assert killed >= rounds // 2
    assert bench.partner.refused == []
    assert bench.partner.number > 3 * rounds
