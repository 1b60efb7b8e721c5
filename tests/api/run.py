"""Let schemathesis look for requests that the API of the console answers otherwise than it says.

``python -m tests.api.run`` starts a console on a store with deliveries of each kind, and fails if
schemathesis finds anything. What follows is passed on to it, such as ``--max-examples 500``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from destinations.clock import SystemClock
from destinations.console.app import make_app
from destinations.console.gate import Gate, GateOptions
from destinations.console.guard import HEADERS
from destinations.console.keys import ApiKeys
from destinations.console.problems import API
from destinations.console.stores import Stores
from destinations.console.throttle import Throttle
from destinations.console.verbs import Verbs
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.queue import (
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Secret
from destinations.server import ApiKeyConfig, HttpServer, read_config
from destinations.store import OpenStore, SqliteStore

_KEY: Final = "operate-key-of-the-tests"
_CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
_EVENT: Final = b'{"type": "track", "event": "E", "userId": "u1", "properties": {}}'
_SECONDS: Final = 3_000


class _Patient(Throttle):
    """Lets a program guess as often as it wants."""

    def wait(self, keys: Sequence[Any]) -> int:  # noqa: ARG002 - as `Throttle` has it
        """Let nobody wait."""
        return 0


def main(arguments: Sequence[str]) -> int:
    """Return the exit code of schemathesis."""
    with tempfile.TemporaryDirectory() as folder, _console(Path(folder)) as url:
        command = [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(_CONFIG), "run", f"{url}{API}/openapi.json"),
            *("--header", f"Authorization: Bearer {_KEY}", *arguments),
        ]
        return subprocess.run(command, check=False, cwd=folder, timeout=_SECONDS).returncode


@contextmanager
def _console(folder: Path) -> Iterator[str]:
    """Serve a console, and give its URL."""
    path = folder / "store.sqlite3"
    with SqliteStore(path) as store:
        scope = store.accounts().served("hook", AccountIdentity("webhook", "http://x/", "", "key"))
        for number, status in enumerate([*Outcome, State.READY, State.UNKNOWN, State.HELD] * 20):
            _put(store, scope, number + 1, status)
    file = folder / "serve.yaml"
    file.write_text(
        f"store: {{path: {path}}}\nconsole: {{listen: '127.0.0.1:0'}}\n"
        "destinations:\n"
        "- {name: hook, destination: webhook, settings: {url: 'http://127.0.0.1:9/'}}\n"
    )
    apps: list[Any] = []

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await apps[0](scope, receive, send)

    async def at_once(_seconds: float) -> None:
        return

    server = HttpServer(call, "127.0.0.1", 0, headers=HEADERS)
    stores, clock = Stores(path), SystemClock()
    keys = ApiKeys([ApiKeyConfig("tests", "operate", Secret(_KEY))])
    gate = Gate(GateOptions(server.port), clock=clock, keys=keys, sleep=at_once)
    gate.throttle = _Patient(clock)
    apps.append(make_app(Verbs(stores, read_config(file, {}, to_show=True)), gate))
    server.start()
    try:
        yield server.url
    finally:
        server.close()
        stores.close()


def _put(store: OpenStore, scope: Scope, number: int, status: Status) -> None:
    """Put a delivery into the store, which has come to this status."""
    event = QueuedEvent(f"m{number}", "track", "u1", 1_000.0, _EVENT, number)
    delivery = QueuedDelivery(
        event, SubscriptionKey("Send", "send"), 0, b"{}", "plan", Increment("u1 calls", 5)
    )
    queue = store.queue()
    queue.commit(Round(waiting=[(scope, delivery)]))
    if status is State.READY:
        return
    batch = ClaimedBatch(scope, [delivery], at=2_000.0)
    queue.commit(Round(batches=[batch]))
    delivery.state = State.SENDING
    effect = Effect.APPLIED if status is Outcome.DELIVERED else Effect.NONE
    if status in {State.UNKNOWN, State.HELD}:
        effect = Effect.MAYBE
    shown = {"proposed": "applied"} if status is State.HELD else {}
    result = Result(status, "a reason", attempts=1)
    transition = Transition(delivery, result, "send", 1, effect=effect, evidence=shown)
    queue.commit(Round(transitions=[(scope, transition)], returned=[batch]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
