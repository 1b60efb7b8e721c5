"""Send one event to the sandbox of a destination, and keep what went over the wire."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from destinations.definition import DestinationDefinition
from destinations.definition.connection import connect
from destinations.definition.document import Document
from destinations.errors import TemporaryError, TransportError, UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport, Transport
from destinations.opening import (
    BoundDestination,
    OpenDestination,
    bind_destination,
    check_written,
    open_definition,
)
from destinations.pipeline.report import Row
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.plugins import Plugin, RunningSandbox
from destinations.sandbox.starting import start_sandbox
from destinations.secrets import Masker
from destinations.server import DestinationConfig
from destinations.store import SqliteStore

__all__ = ["RecordingTransport", "SandboxExchange", "SandboxRow", "SandboxRun", "run_in_sandbox"]

_OUTAGE: Final = 5.0
"""Seconds: a sandbox on this machine answers at once, or never."""
_LONGEST: Final = 16_384
_ONE_AT_A_TIME: Final = threading.Lock()
_PATIENCE: Final = 15.0


@dataclass(frozen=True, slots=True)
class SandboxExchange:
    """A request and its answer, masked; ``error`` says why there is no answer."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: str
    status: int | None
    answer: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class SandboxRow:
    """The outcome of the event in one subscription."""

    subscription: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class SandboxRun:
    """The way of an event in a sandbox, which ended with it; ``stopped`` says why it is short."""

    rows: Sequence[SandboxRow]
    exchanges: Sequence[SandboxExchange]
    stopped: str = ""


class RecordingTransport:
    """A transport that keeps what it sends and gets, masked; for a few requests.

    ``own`` masks the secrets of the configuration, and ``placeholders`` those of the sandbox. The
    latter open nothing: only where one stands as a whole it is masked, as the real one would be,
    and no word that it has a part in common with.
    """

    def __init__(self, inner: Transport, own: Masker, placeholders: Callable[[], Masker]) -> None:
        self._inner = inner
        self._own = own
        self._placeholders = placeholders
        self._lock = threading.Lock()
        self.exchanges: list[SandboxExchange] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        if request.for_token:  # it is all credentials
            return self._inner.send(request)
        try:
            response = self._inner.send(request)
        except TransportError as error:
            self._keep(request, None, "", str(error))
            raise
        self._keep(request, response.status, self._text(response.body), "")
        return response

    def close(self) -> None:
        """See `destinations.http.transport.Transport`."""
        self._inner.close()

    def _keep(self, request: HttpRequest, status: int | None, answer: str, error: str) -> None:
        headers = [(name, self._text(value)) for name, value in request.headers.items()]
        kept = SandboxExchange(
            request.method,
            self._text(request.url),
            headers,
            self._text(request.body or b""),
            status,
            answer,
            self._text(error),
        )
        with self._lock:
            self.exchanges.append(kept)

    def _text(self, data: bytes | str) -> str:
        """Return data as text, masked before it is cut."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        # Placeholders first: one that begins as a secret does would be masked in part else.
        text = self._own.foreign(self._own.text(self._placeholders().text(text)))
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def run_in_sandbox(config: DestinationConfig, event: bytes, masker: Masker) -> SandboxRun:
    """Deliver an event to a new sandbox of a destination of the configuration.

    An event without a messageId gets one, as a receiver would give it one.

    Nothing of it reaches the store or the partner. Raises `TemporaryError` while others do the
    same, and what opening a destination raises.
    """
    if not _ONE_AT_A_TIME.acquire(timeout=_PATIENCE):
        raise TemporaryError("another event is being sent to a sandbox: try again in a moment")
    try:
        return _run(config, event, masker)
    finally:
        _ONE_AT_A_TIME.release()


def _run(config: DestinationConfig, event: bytes, masker: Masker) -> SandboxRun:
    definition, plugin = open_definition(config.destination)
    check_written(definition)
    if config.connection is not None:
        definition = connect(definition, config.connection)
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(start_sandbox(definition, plugin))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="destinations-")))
        store = stack.enter_context(SqliteStore(folder / "store.sqlite3"))
        bound = _bound(config, sandbox.connected(definition), plugin, sandbox, store)
        issues = bound.destination.environment_issues()
        if issues:
            raise UsageError("\n".join(issues))
        http = HttpTransport(bound.destination.definition.transport.timeouts)
        stack.callback(http.close)
        settings = (
            bound.destination.settings
        )  # whose masker knows access tokens once they are there
        transport = RecordingTransport(http, masker, lambda: settings.masker)
        identity = identity_of(bound.destination, "sandbox")
        account = store.accounts().add(identity)
        opened = OpenDestination(
            bound.destination, store, account, identity, transport, outage=_OUTAGE
        )
        event = _with_id(event)
        first = _identify(bound.destination, event)
        done = opened.deliver([event] if first is None else [first, event])
        rows = [
            SandboxRow(
                _subscription(row, is_first=first is not None and row.line == 1),
                row.outcome.value,
                masker.text(bound.destination.settings.masker.text(row.reason)),
            )
            for row in done
        ]
        stopped = "" if done.stopped is None else masker.text(done.stopped.message)
        return SandboxRun(rows, transport.exchanges, stopped)


def _with_id(event: bytes) -> bytes:
    """Return an event with a messageId: its name in a file, which is asked for else, is none."""
    value = json.loads(event)
    if not isinstance(value, dict) or value.get("messageId"):
        return event
    return json.dumps({**value, "messageId": "tried-event"}).encode()


def _identify(destination: Destination, event: bytes) -> bytes | None:
    """Return an identify of an event's user, which a new sandbox does not know; None without need.

    Some partners take usage only of users that they have.
    """
    planned = plan(destination, event)
    if not planned.user or planned.type == "identify":
        return None
    made = json.dumps({"type": "identify", "userId": planned.user, "messageId": "first-identify"})
    found = plan(destination, made.encode())
    return made.encode() if any(one.payload is not None for one in found.deliveries) else None


def _subscription(row: Row, *, is_first: bool) -> str:
    name = "" if row.key is None else row.key.name
    return f"{name} (an identify of the user, which the sandbox gets first)" if is_first else name


def _bound(
    config: DestinationConfig,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    sandbox: RunningSandbox,
    store: SqliteStore,
) -> BoundDestination:
    """Bind to the settings of the sandbox, and those of the configuration that may be any."""
    own: Mapping[str, str] = sandbox.settings
    free = {name: value for name, value in own.items() if name in sandbox.free_settings}
    known = definition.settings["properties"]
    given = {
        name: value
        for name, value in config.settings.data.items()
        if name in known and (name not in own or name in free)
    }
    values = {**own, **given}
    return bind_destination(
        definition, plugin, Document("settings of the sandbox", values, {}), store
    )
