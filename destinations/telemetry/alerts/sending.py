"""Send one message to one sink, within a time, and say what went wrong without its secrets."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from destinations.definition import Timeouts
from destinations.errors import TransportError, UnsendableError
from destinations.http.answer import HttpRequest
from destinations.http.envelope import retry_after
from destinations.http.environment import environment_issues, proxy_of
from destinations.http.ssrf import public_addresses
from destinations.http.transport import HttpTransport
from destinations.secrets import Secret, reveal
from destinations.telemetry.alerts.book import Message
from destinations.telemetry.alerts.rules import CommandSink, Sink, SlackSink, WebhookSink
from destinations.telemetry.alerts.wording import message_json, payload_of, slack_text

__all__ = [
    "SinkError",
    "SinkSender",
    "shown_sink",
    "signature",
    "webhook_secret_fault",
    "why_unreachable",
]

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64
"""Bytes of a secret, as Standard Webhooks has it."""

_REACH_SECONDS: Final = 3.0

_ANSWER_BYTES: Final = 64 * 1024
_LEFT_SECONDS: Final = 1.0
_KEPT: Final = 4096
_TOLD: Final = 300
"""Characters of what a program says of its failure."""

_GUARD: Final = str(Path(__file__).with_name("command_guard.py"))

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")


class SinkError(Exception):
    """A message was not taken; it may be sent again after ``retry_after`` seconds if given."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def webhook_secret_fault(value: str) -> str | None:
    """Return why a value is no secret for signatures, without showing it; None if it is one."""
    key = _key(value)
    if value.startswith(_PREFIX) and key is not None and _SHORTEST <= len(key) <= _LONGEST:
        return None
    return (
        f"must be {_PREFIX} and {_SHORTEST} to {_LONGEST} bytes as Base64; "
        f"echo {_PREFIX}$(openssl rand -base64 32) makes a good one"
    )


def _key(secret: str) -> bytes | None:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None


def signature(secret: Secret, identity: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` of a message, version 1 of Standard Webhooks."""
    key = _key(reveal(secret))
    assert key is not None  # noqa: S101 - the configuration was checked
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def shown_sink(sink: Sink) -> str:
    """Return what a sink is, without what may be secret in its URL."""
    if isinstance(sink, CommandSink):
        return f"command {sink.argv[0]}"
    kind = "webhook" if isinstance(sink, WebhookSink) else "slack"
    return f"{kind} {urlsplit(reveal(sink.url)).hostname or ''}"


class SinkSender:
    """Sends messages to one sink; one thread at a time.

    ``server`` is the host that the messages name, ``mask`` masks secrets, ``now`` gives seconds
    since 1970.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        server: str,
        mask: Callable[[str], str],
        now: Callable[[], float] = time.time,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.sink = sink
        self._server = server
        self._mask = mask
        self._now = now
        self._environment = os.environ if environment is None else environment
        self._transport: HttpTransport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._said = ""
        self._is_closed = False
        if not isinstance(sink, CommandSink):
            timeouts = Timeouts(connect=sink.timeout, read=sink.timeout, total=sink.timeout)
            self._transport = HttpTransport(timeouts)

    def send(self, message: Message) -> None:
        """Send a message; raises `SinkError` if it was not taken."""
        try:
            if isinstance(self.sink, CommandSink):
                self._run(self.sink, message)
            else:
                self._post(self.sink, message)
        except SinkError as error:
            raise SinkError(self._mask(str(error)), error.retry_after) from None

    def close(self) -> None:
        """Give up what is under way, and close all connections; any thread may call it."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()
            self._transport.close()
        process = self._process
        if process is not None and process.returncode is None:
            _end_group(process)

    def _post(self, sink: WebhookSink | SlackSink, message: Message) -> None:
        assert self._transport is not None  # noqa: S101 - it is no command
        headers = {"Content-Type": "application/json"}
        if isinstance(sink, WebhookSink):
            body = message_json(payload_of(message, self._server, self._mask))
            at = int(self._now())
            headers |= {
                "webhook-id": message.id,
                "webhook-timestamp": str(at),
                "webhook-signature": signature(sink.secret, message.id, at, body),
            }
        else:
            body = json.dumps({"text": slack_text(message, self._mask)}).encode()
        request = HttpRequest(
            *("POST", reveal(sink.url), headers, body),
            answer_bytes=_ANSWER_BYTES,
            public_only=not sink.allow_private,
        )
        try:
            response = self._transport.send(request)
        except TransportError as error:
            hint = "; allowPrivate: true allows it" if "public internet" in str(error) else ""
            raise SinkError(f"{error}{hint}") from None
        if not 200 <= response.status < 300:
            raise SinkError(f"HTTP {response.status}", retry_after(response))

    def _run(self, sink: CommandSink, message: Message) -> None:
        body = message_json(payload_of(message, self._server, self._mask))
        guarded, guard = socket.socketpair()
        with guarded:
            # The guard has the other end; it ends the program once this process has ended.
            with guard:
                process = self._started(sink, guard)
            self._process = process
            self._wait(sink, process, body)
            if process.returncode == 0:
                return
            guarded.settimeout(0)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                number = guarded.recv(16)
                if number:
                    raise SinkError(f"cannot run {sink.argv[0]}: {os.strerror(int(number))}")
        first = self._mask(self._said)[:_TOLD]
        why = f": {first}" if first else ""
        raise SinkError(f"{sink.argv[0]} ended with {process.returncode}{why}")

    def _started(self, sink: CommandSink, guard: socket.socket) -> subprocess.Popen[bytes]:
        names = (*_PASSED_ON, *sink.env)
        command, environment = list(sink.argv), self._environment
        inherited: tuple[int, ...] = ()
        if os.name == "posix":
            number, inherited = str(guard.fileno()), (guard.fileno(),)
            command = [sys.executable, "-I", "-S", _GUARD, number, ",".join(names), *command]
        else:  # pragma: no cover - tests run elsewhere
            environment = {key: environment[key] for key in names if key in environment}
        try:
            return subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                pass_fds=inherited,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"cannot run {sink.argv[0]}: {why}") from None

    def _wait(self, sink: CommandSink, process: subprocess.Popen[bytes], body: bytes) -> None:
        """Give a program its message and wait for its end; then nothing of it is left."""
        with process:
            said = _Said(process.stderr)
            try:
                if self._is_closed:
                    raise SinkError("the server stops")
                _write(process, body)
                process.wait(sink.timeout)
            except subprocess.TimeoutExpired:
                raise SinkError(f"{sink.argv[0]} took longer than {sink.timeout:g} s") from None
            finally:
                self._process = None
                _end_group(process)
                said.end()
        self._said = said.text


class _Said(threading.Thread):
    """Reads what a program says, so that it can go on, and keeps its first line."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(name="alerts-command", daemon=True)
        assert pipe is not None  # noqa: S101 - it was asked for
        self._pipe = pipe
        self._head = b""
        self._is_over = False
        self.start()

    def run(self) -> None:
        """Read to the end, which comes when the program and what it has started have ended."""
        # Not from the buffer: who closes that would wait for who reads from it.
        descriptor = self._pipe.fileno()
        with contextlib.suppress(OSError):
            while not self._is_over and (piece := os.read(descriptor, 65536)):
                self._head = (self._head + piece)[:_KEPT]

    def end(self) -> None:
        """Wait a moment for the end; a process that the program has left behind may never end."""
        self.join(_LEFT_SECONDS)
        self._is_over = True

    @property
    def text(self) -> str:
        """The first line."""
        return self._head.decode(errors="replace").strip().partition("\n")[0]


def _write(process: subprocess.Popen[bytes], body: bytes) -> None:
    """Give a program its standard input, which it need not read."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(body)
        process.stdin.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it has started, so that nothing of it stays behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # pragma: no cover - tests run elsewhere
            process.kill()


def why_unreachable(sink: Sink) -> str | None:
    """Return why a message would not get to a sink now, as far as it can be seen; None if it would.

    Nothing is sent.
    """
    if isinstance(sink, CommandSink):
        found = shutil.which(sink.argv[0])
        return None if found else f"there is no program {sink.argv[0]} that can be run"
    return _why_no_connection(sink)


def _why_no_connection(sink: WebhookSink | SlackSink) -> str | None:
    url = reveal(sink.url)
    issues = environment_issues([url])
    if issues:
        return issues[0]
    parts = urlsplit(proxy_of(url) or url)
    host, is_direct = parts.hostname or "", proxy_of(url) is None
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if is_direct and not sink.allow_private:
            public_addresses(host, port)
        socket.create_connection((host, port), _REACH_SECONDS).close()
    except UnsendableError as error:
        return f"{error}; allowPrivate: true allows it"
    except OSError as error:
        return f"no connection to {host}: {error.strerror or error}"
    return None
