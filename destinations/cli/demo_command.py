"""``destinations demo``."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import urlsplit

import click
import requests

from destinations.cli.commands import Command
from destinations.cli.opening import installed_destinations, optional_destination_argument
from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.extras import libraries_of
from destinations.opening import check_written, open_definition
from destinations.runtime.plugins import RunningSandbox, find_plugin, plugin_demo_events
from destinations.sandbox.starting import start_sandbox

__all__ = ["command", "demo_event"]

_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_BETWEEN: Final = 0.25
"""Seconds between two events."""
_USERS: Final = 12
_LOST: Final = 62
"""The event before which the partner is asked to lose an answer: soon after all was well."""
_SETTLE_SECONDS: Final = 5
"""After so many seconds the partner is asked about it: in time for somebody who watches."""


@click.command("demo", cls=Command, epilog="Example: destinations demo kana --port 8788")
@optional_destination_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8788,
    help="Serve the console on this port, 8788 by default; 0 takes a free one.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Stop after N seconds; by default when interrupted.",
)
def command(destination: str | None, port: int, seconds: float | None) -> int:
    """Show the console at work: a sandbox, a server, and events that come, some of which fail.

    Within a minute there is each outcome, and an answer that was lost, to be decided on. Everything
    is on this machine, in a temporary folder that is removed at the end. DESTINATION is by default
    the first that has a sandbox of its own.
    """
    with libraries_of("console"):
        import starlette  # noqa: F401, PLC0415 - the server's console needs it: said before it starts
    definition, plugin = open_definition(destination or _first())
    check_written(definition)
    samples = plugin_demo_events(plugin) or _samples(definition)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="destinations-demo-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            sandbox = stack.enter_context(start_sandbox(definition, plugin))
            if not sandbox.leads_here:
                raise UsageError(f"{definition.name} has no setting that leads to a sandbox")
            ports = (_free_port(), port or _free_port(), _free_port())
            key = _configure(folder, definition, sandbox, ports)
            process = stack.enter_context(_serving(folder))
            click.echo(f"Open the console: {_link(folder, process, stopped)}")
            click.echo("Events come in until you press Ctrl-C.")
            url = f"http://127.0.0.1:{ports[0]}/v1/demo"
            _send(samples, url, key, stopped, seconds, _Losing(definition, sandbox))
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return 0


def _first() -> str:
    """Return the destination that is shown unless one is named."""
    known = sorted(installed_destinations())
    if not known:
        raise UsageError("no destination is installed: name the folder of one")
    return next((slug for slug in known if find_plugin(slug) is not None), known[0])


def _samples(definition: DestinationDefinition) -> Sequence[Mapping[str, Any]]:
    with libraries_of("kit"):
        from destinations.kit.partner_page import sample_events  # noqa: PLC0415 - needs the extra
    found = [event for _, event in sample_events(definition)]
    # Users come first, as some partners take the rest only for those that they have.
    return sorted(found, key=lambda event: event.get("type") != "identify")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _configure(
    folder: Path,
    definition: DestinationDefinition,
    sandbox: RunningSandbox,
    ports: tuple[int, int, int],
) -> str:
    """Write the configuration of a server; returns the key of its receiver."""
    key = secrets.token_hex(16)
    settings: dict[str, Any] = {}
    secret = {"receiver-key": key}
    for name, value in sandbox.settings.items():
        if name in definition.secret_settings:
            secret[name] = value
            settings[name] = {"file": name}
        else:
            settings[name] = value
    for name, value in secret.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(value, encoding="utf-8")
    events, console, admin = ports
    document = {
        "listen": {"host": "127.0.0.1", "port": events},
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "console": {"listen": f"127.0.0.1:{console}"},
        "keepAttempts": {"sample": 1},
        "store": {"path": "store.sqlite3"},
        "destinations": [
            {
                "name": "demo",
                "destination": str(definition.slug),
                "settings": settings,
                "receiver": {"keys": [{"file": "receiver-key"}]},
                "delivery": {
                    "deadlineSeconds": 30,
                    "waitForSeconds": 20,
                    # Others may add to the same balances: so the numbers do not decide by
                    # themselves, and a lost answer is held.
                    "soleWriter": False,
                    "settleAfterSeconds": _SETTLE_SECONDS,
                },
            }
        ],
    }
    (folder / "serve.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    return key


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a server, which ends with the block."""
    arguments = ["serve", "--until-eof", "--config", str(folder / "serve.json")]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this Python, and a file of our own
            [sys.executable, "-P", "-m", "destinations", *arguments],
            # Its other end is closed by the end of this process, also if that is killed.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C is for this process, which ends the server when it has sent its last event.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _link(folder: Path, process: subprocess.Popen[bytes], stopped: threading.Event) -> str:
    """Return the login link of the console, which the server writes when that is ready."""
    file = folder / "console-login"
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        if stopped.wait(0.1):
            break
        with contextlib.suppress(OSError):
            if link := file.read_text(encoding="utf-8").strip():
                return link
    log = (folder / "serve.log").read_text(encoding="utf-8", errors="replace").strip()
    raise UsageError(f"the server did not start: {log.splitlines()[-1] if log else 'no log'}")


class _Losing:
    """Asks the sandbox to lose the answer to one request that must not be repeated."""

    def __init__(self, definition: DestinationDefinition, sandbox: RunningSandbox) -> None:
        self._requests = [
            name
            for name, one in sorted(
                definition.requests.items(), key=lambda item: item[1].reconcile is None
            )
            if not one.idempotent
        ]
        parts = urlsplit(sandbox.url)
        self._url = f"{parts.scheme}://{parts.netloc}/faults"
        secret = (sandbox.settings.get(name, "") for name in definition.secret_settings)
        self._headers = {"Authorization": next(secret, "")}

    def ask(self) -> None:
        """Let the next such request be carried out, and its answer be lost."""
        for name in self._requests:
            # A sandbox of a plugin may know root fields, one that is made from a definition does
            # requests; it refuses a name that it does not know.
            for kind in ("request", "rootField"):
                rule = {"match": {kind: name}, "drop": "after"}
                with contextlib.suppress(requests.RequestException):
                    done = requests.post(self._url, json=[rule], headers=self._headers, timeout=10)
                    if done.ok:
                        return


def _send(
    samples: Sequence[Mapping[str, Any]],
    url: str,
    key: str,
    stopped: threading.Event,
    seconds: float | None,
    losing: _Losing,
) -> None:
    """Send one event after another, until it is enough; the answer to one of them is lost."""
    ends = None if seconds is None else time.monotonic() + seconds
    number = 0
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        while ends is None or time.monotonic() < ends:
            if number == _LOST:
                losing.ask()
            # What is refused is shown on the console as well.
            with contextlib.suppress(requests.RequestException):
                session.post(url, json=demo_event(samples, number), timeout=10)
            number += 1
            if stopped.wait(_BETWEEN):
                return


def demo_event(samples: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """Return the event of a number: a sample of one of several users; some cannot be delivered.

    Every seventh has no properties, every eleventh has ones of a wrong type, every thirteenth is
    of a user whom the partner does not have, every seventeenth is not meant for anybody, and every
    thirty-first names what the partner does not have.
    """
    event = dict(samples[number // _USERS % len(samples)])
    event |= {"messageId": f"demo-{number}", "userId": f"user-{number % _USERS}"}
    event.pop("timestamp", None)
    if number < _USERS * len(samples):  # at first, all is well
        return event
    event = {**samples[number % len(samples)], **{k: event[k] for k in ("messageId", "userId")}}
    event.pop("timestamp", None)
    if number % 31 == 1:
        return {**event, "properties": _unknown(event.get("properties") or {})}
    if number % 17 == 0:
        return {**event, "integrations": {"All": False}}
    if number % 7 == 0:
        return {**event, "properties": {"plan": "pro"}, "traits": {}}
    if number % 11 == 0:
        return {**event, "properties": {name: [] for name in event.get("properties") or {}}}
    if number % 13 == 0:
        return {**event, "userId": f"stranger-{number}"}
    return event


def _unknown(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties whose texts name nothing that exists."""
    return {
        name: "discontinued" if isinstance(value, str) else value
        for name, value in properties.items()
    }
