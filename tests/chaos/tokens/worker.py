"""Sends requests with access tokens that a store keeps, and ends itself at a step on the way.

Each line of standard input is a task (JSON), for which a process is forked, so that nothing is
imported again; its id is a line of standard output. A task has the folder of the definition, the
settings, the store's address, the sealing key, how many requests are sent, and the step at which
the process kills itself (0 for never). A step is each call of the store, and each request, before
it and after it. The number of steps, or the message of what failed, goes to the file ``out``. A
line ``{"wait": ID}`` is answered once that process has ended: its exit code, or minus its signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.oauth2 import AccessTokens, KeptToken, holder
from destinations.opening import open_store
from destinations.operations.tokens import StoredTokens
from destinations.postgres import locks  # noqa: F401 - one import for all processes
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.store import SealedValues, Sealer, SealingKey


class Steps:
    """Counts, and kills the process at a step."""

    def __init__(self, last: int) -> None:
        self._last = last
        self.count = 0

    def __call__(self) -> None:
        """Count a step."""
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class Keeper:
    """The store's keeper, with a step before and after each call."""

    def __init__(self, inner: StoredTokens, step: Steps) -> None:
        self._inner = inner
        self._step = step

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """See `TokenKeeper.load`."""
        self._step()
        found = self._inner.load(name)
        self._step()
        return found

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """See `TokenKeeper.save`."""
        self._step()
        found = self._inner.save(name, token, version)
        self._step()
        return found

    def own(self, name: str, owner: str) -> None:
        """See `TokenKeeper.own`."""
        self._inner.own(name, owner)

    @contextmanager
    def renewing(self, name: str, seconds: float) -> Iterator[None]:
        """See `TokenKeeper.renewing`."""
        self._step()
        with self._inner.renewing(name, seconds):
            self._step()
            yield
            self._step()
        self._step()


class Transport:
    """Sends over HTTP, with a step before and after each request."""

    def __init__(self, inner: HttpTransport, step: Steps) -> None:
        self._inner = inner
        self._step = step

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `Transport.send`."""
        self._step()
        found = self._inner.send(request)
        self._step()
        return found

    def close(self) -> None:
        """See `Transport.close`."""
        self._inner.close()


def main(task: dict[str, Any]) -> str:
    """Do a task, and return what is printed."""
    step = Steps(task["step"])
    definition = load_definition(Path(task["folder"]))
    settings = check_settings(definition, Document("settings", task["settings"], {}))
    destination = Destination(definition, settings)
    with open_store(task["store"]) as store:
        sealed = SealedValues(store.database, Sealer(SealingKey.parse(task["key"])))
        destination.keep_tokens(AccessTokens(Keeper(StoredTokens(store, sealed), step)))
        transport = Transport(HttpTransport(definition.transport.timeouts), step)
        sender = Sender(destination, transport)
        # Here tokens are good for a few requests of all processes together: one may have no use
        # left before who got it sends again, which says nothing about the next one.
        vars(holder)["_DOUBTED"] = 0.0
        for _ in range(task["requests"]):
            for _attempt in range(50):
                failure = sender.test_credentials()
                if failure is None or failure.message != "HTTP 401: {}":
                    break
            if failure is not None:
                return failure.message
        transport.close()
    return str(step.count)


def serve() -> None:
    """Fork a process for each task, and wait for those that are asked for."""
    for line in sys.stdin:
        task = json.loads(line)
        if "wait" in task:
            _, status = os.waitpid(task["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if not child:
            code = 1
            try:
                Path(task["out"]).write_text(main(task), encoding="utf-8")
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    serve()
