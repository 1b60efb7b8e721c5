"""Messages as they arrive: signed, in time, without secrets, and what went wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.secrets import Secret
from destinations.telemetry import Masks
from destinations.telemetry.alerts import (
    CommandSink,
    Message,
    Sink,
    SinkError,
    SinkSender,
    SlackSink,
    WebhookSink,
    shown_sink,
    webhook_secret_fault,
    why_unreachable,
)

MakeMessage = Callable[..., Message]

KEY: Final = bytes(range(32))
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()
NOW: Final = 1_700_000_000.0


@dataclass
class Receiver:
    """A webhook receiver on this machine; ``answer`` is its status and headers."""

    port: int = 0
    answer: tuple[int, Mapping[str, str]] = (200, {})
    hangs: threading.Event | None = None
    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks/path-of-the-hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.got.append((self.path, headers, body))
            if found.hangs is not None:
                found.hangs.wait(30)
                return
            status, more = found.answer
            self.send_response(status)
            for name, value in {"Content-Length": "0", **more}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    if found.hangs is not None:
        found.hangs.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sender() -> Iterator[Callable[..., SinkSender]]:
    """What sends to a sink, with its secrets masked."""
    made = []

    def make(sink: Sink, **more: Any) -> SinkSender:
        secrets = [SECRET, *more.pop("secrets", ())]
        masks = Masks(secrets)
        made.append(SinkSender(sink, server="host-1", mask=masks.foreign, now=lambda: NOW, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _webhook(url: str, timeout: float = 5.0, *, allow_private: bool = True) -> WebhookSink:
    return WebhookSink("page", Secret(url), Secret(SECRET), allow_private, timeout)


def test_a_webhook(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """It has the form of Standard Webhooks; the signature is checked as their page says."""
    sender(_webhook(receiver.url)).send(message())
    ((path, headers, body),) = receiver.got
    assert path == "/hooks/path-of-the-hook"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == "1700000000"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    digest = hmac.new(KEY, signed.encode(), hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    payload = json.loads(body)
    assert payload == {
        "type": "alert.opened",
        "timestamp": "2023-11-14T22:13:20.500Z",
        "data": {
            "alert": "a1",
            "rule": "dead",
            "condition": "dead",
            "destination": "kana",
            "subscription": None,
            "tenant": None,
            "since": "2023-11-14T22:13:20.500Z",
            "summary": "Alert: kana: 14 deliveries dead within 15m (more than 10)",
            "figures": {"value": 14, "over": 10, "within": 900},
            "command": "destinations deliveries list --outcome dead --destination kana",
            "server": "host-1",
        },
    }


def test_the_signature_is_of_the_specification(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """One byte more or less in the body, and it is another one."""
    sender(_webhook(receiver.url)).send(message())
    sender(_webhook(receiver.url)).send(message(what="15 deliveries dead within 15m"))
    first, second = (headers["webhook-signature"] for _, headers, _ in receiver.got)
    assert first != second


def test_slack(receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage) -> None:
    """The text names the rule and the command, and nothing in it is a link or a mention."""
    sink = SlackSink("slack", Secret(receiver.url), allow_private=True)
    sender(sink).send(message(what="<!channel> & co"))
    ((_, headers, body),) = receiver.got
    assert "webhook-signature" not in headers
    (text,) = json.loads(body).values()
    assert text.splitlines() == [
        "*Alert: kana: &lt;!channel&gt; &amp; co (more than 10)*",
        "rule dead",
        "`destinations deliveries list --outcome dead --destination kana`",
    ]


@pytest.mark.parametrize(
    ("answer", "error", "after"),
    [
        ((500, {}), "HTTP 500", None),
        ((404, {}), "HTTP 404", None),
        ((302, {"Location": "http://127.0.0.1:1/"}), "HTTP 302", None),
        ((429, {"Retry-After": "77"}), "HTTP 429", 77.0),
        ((503, {"Retry-After": "soon"}), "HTTP 503", None),
    ],
)
def test_what_is_not_taken(
    receiver: Receiver,
    sender: Callable[..., SinkSender],
    message: MakeMessage,
    answer: tuple[int, Mapping[str, str]],
    error: str,
    after: float | None,
) -> None:
    """The status is told, and when the receiver wants to be asked again."""
    receiver.answer = answer
    with pytest.raises(SinkError) as caught:
        sender(_webhook(receiver.url)).send(message())
    assert (str(caught.value), caught.value.retry_after) == (error, after)
    assert len(receiver.got) == 1


def test_a_date_to_ask_again(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """Retry-After may be a date."""
    receiver.answer = (429, {"Retry-After": formatdate(time.time() + 100, usegmt=True)})
    with pytest.raises(SinkError) as caught:
        sender(_webhook(receiver.url)).send(message())
    assert caught.value.retry_after is not None
    assert 90 < caught.value.retry_after <= 101


def test_a_receiver_that_hangs(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """It has its time, and no more."""
    receiver.hangs = threading.Event()
    with pytest.raises(SinkError, match=r"took longer|timed out"):
        sender(_webhook(receiver.url, 0.2)).send(message())


def test_a_server_that_stops(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """A message under way is given up at once."""
    receiver.hangs = threading.Event()
    found = sender(_webhook(receiver.url, 30.0))
    threading.Timer(0.2, found.close).start()
    began = time.monotonic()
    with pytest.raises(SinkError):
        found.send(message())
    assert time.monotonic() - began < 10


def test_nothing_leads_into_the_network(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """Without allowPrivate no request goes to this machine; the error names the key."""
    with pytest.raises(SinkError, match="allowPrivate: true allows it"):
        sender(_webhook(receiver.url, allow_private=False)).send(message())
    assert receiver.got == []


def test_no_secret_is_in_a_message(
    receiver: Receiver, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """Whatever a secret stands in, it is masked before it leaves."""
    secret = "sk_live_0123456789abcdef"
    one = message(
        what=f"refused {secret}",
        command=f"destinations x {secret}",
        numbers={"why": f"key {secret}"},
    )
    sender(_webhook(receiver.url), secrets=[secret]).send(one)
    slack = SlackSink("slack", Secret(receiver.url), allow_private=True)
    sender(slack, secrets=[secret]).send(one)
    for _, headers, body in receiver.got:
        assert secret.encode() not in body
        assert b"***" in body
        assert secret not in str(headers)
        assert SECRET not in str(headers)


# -- commands ----------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """The arguments of a program that runs these lines of Python."""

    def make(text: str) -> tuple[str, ...]:
        path = tmp_path / "program.py"
        path.write_text("import json, os, sys, time\n" + text, "utf-8")
        return (sys.executable, "-I", str(path), "$HOME; echo", "*")

    return make


def test_a_command(
    tmp_path: Path,
    program: Callable[[str], tuple[str, ...]],
    sender: Callable[..., SinkSender],
    message: MakeMessage,
) -> None:
    """It gets the same JSON on its standard input, its arguments as they are, and little else."""
    out = tmp_path / "out.json"
    argv = program(
        "found = [json.load(sys.stdin), sys.argv[1:], sorted(os.environ)]\n"
        f"open({str(out)!r}, 'w').write(json.dumps(found))\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/h", "API_KEY": "x", "PAGER_KEY": "y"}
    sink = CommandSink("page", argv, ("PAGER_KEY", "UNSET"))
    sender(sink, environment=environment).send(message(kind="closed", at=NOW + 90))
    payload, arguments, names = json.loads(out.read_text("utf-8"))
    assert payload["type"] == "alert.closed"
    assert payload["data"]["summary"] == ("Over, after 1m 30s: kana: 14 deliveries dead within 15m")
    assert arguments == ["$HOME; echo", "*"]
    assert set(names) - {"LC_CTYPE"} == {"PATH", "HOME", "PAGER_KEY"}


def test_a_command_that_fails(
    program: Callable[[str], tuple[str, ...]],
    sender: Callable[..., SinkSender],
    message: MakeMessage,
) -> None:
    """The first line of its complaint is told, without secrets."""
    argv = program(f"print('no pager for {SECRET}\\nmore', file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(SinkError) as caught:
        sender(CommandSink("page", argv)).send(message())
    assert str(caught.value).endswith("ended with 3: no pager for ***")


@pytest.mark.parametrize("begins", ["", "os.setsid(); "])
def test_a_command_that_leaves_something_behind(
    begins: str,
    program: Callable[[str], tuple[str, ...]],
    sender: Callable[..., SinkSender],
    message: MakeMessage,
) -> None:
    """What it has started is not waited for, nor what it says without end; it need not read."""
    argv = program(
        f"if os.fork() == 0: {begins}time.sleep(25)\nsys.stderr.write('x' * 1_000_000)\n"
    )
    began = time.monotonic()
    sender(CommandSink("page", argv, timeout=30.0)).send(message())
    assert time.monotonic() - began < 20


def test_a_command_that_hangs(
    tmp_path: Path,
    program: Callable[[str], tuple[str, ...]],
    sender: Callable[..., SinkSender],
    message: MakeMessage,
) -> None:
    """It is ended, with what it has started."""
    out = tmp_path / "pid"
    argv = program(
        f"child = os.fork()\nif child: open({str(out)!r}, 'w').write(str(child))\ntime.sleep(60)"
    )
    with pytest.raises(SinkError, match="took longer than 2 s"):
        sender(CommandSink("page", argv, timeout=2.0)).send(message())
    pid, waited = int(out.read_text("utf-8")), threading.Event()
    for _ in range(500):
        if not _runs(pid):
            return
        waited.wait(0.02)
    raise AssertionError("what the command has started goes on")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_a_command_ends_with_its_server(
    tmp_path: Path, program: Callable[[str], tuple[str, ...]]
) -> None:
    """Nothing of it goes on when the server was killed, which then can end nothing."""
    pids = tmp_path / "pids"
    argv = program(
        f"child, out = os.fork(), {str(pids)!r}\n"
        "if child: open(out, 'w').write(f'{os.getpid()} {child} ')\n"
        "time.sleep(60)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, *argv],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        _until(lambda: pids.exists() and pids.read_text("utf-8").endswith(" "))
        found = [int(one) for one in pids.read_text("utf-8").split()]
        assert [_runs(one) for one in found] == [True, True]
    finally:
        server.kill()
        server.wait(30)
    _until(lambda: not any(map(_runs, found)))


_SERVER = """
import sys, threading
from destinations.telemetry.alerts import CommandSink, Message, SinkSender
sink = CommandSink("page", tuple(sys.argv[1:]), timeout=50.0)
message = Message("msg_1", "test", 0.0, "", "test", None, "", "what", since=0.0)
sender = SinkSender(sink, server="here", mask=str)
thread = threading.Thread(target=sender.send, args=(message,))
thread.start()
thread.join()
"""


def _until(holds: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(1_500):
        if holds():
            return
        waited.wait(0.02)
    raise AssertionError("it does not come about")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("os.kill(os.getpid(), 15)", "ended with -15"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        ("os.execv('/dev/null', ['x'])", "ended with 1: "),
    ],
)
def test_how_a_command_ends(
    text: str,
    told: str,
    program: Callable[[str], tuple[str, ...]],
    sender: Callable[..., SinkSender],
    message: MakeMessage,
) -> None:
    """A signal that ends it is told as such."""
    with pytest.raises(SinkError, match=told):
        sender(CommandSink("page", program(text))).send(message())


def test_a_file_that_is_no_program(
    tmp_path: Path, sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """It is named, with the reason."""
    with pytest.raises(SinkError, match=r"cannot run .*: Permission denied"):
        sender(CommandSink("page", (str(tmp_path),))).send(message())


def _runs(pid: int) -> bool:
    """Return whether a process runs, and has not only not been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False


def test_a_program_that_is_not_there(
    sender: Callable[..., SinkSender], message: MakeMessage
) -> None:
    """It is named."""
    with pytest.raises(SinkError, match="cannot run /nowhere/page: No such file"):
        sender(CommandSink("page", ("/nowhere/page",))).send(message())


# -- what is checked before --------------------------------------------------------------------


def test_whether_it_can_be_reached(receiver: Receiver) -> None:
    """Who listens is reached, and nothing is sent; the others are told why not."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert why_unreachable(_webhook(receiver.url)) is None
    assert "no connection to 127.0.0.1" in (why_unreachable(_webhook(nobody)) or "")
    assert "allowPrivate" in (why_unreachable(_webhook(nobody, allow_private=False)) or "")
    unknown = _webhook("https://nobody.invalid/", allow_private=False)
    assert "no connection to nobody.invalid" in (why_unreachable(unknown) or "")
    assert why_unreachable(CommandSink("c", (sys.executable,))) is None
    assert why_unreachable(CommandSink("c", ("no-such-program",))) is not None
    assert receiver.got == []


@pytest.mark.parametrize(
    ("secret", "is_good"),
    [
        (SECRET, True),
        ("whsec_" + base64.b64encode(bytes(24)).decode(), True),
        ("whsec_" + base64.b64encode(bytes(64)).decode(), True),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), False),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), False),
        (SECRET.removeprefix("whsec_"), False),
        ("whsec_not base64 at all, but long enough", False),
        ("whsec_", False),
    ],
)
def test_secrets(secret: str, *, is_good: bool) -> None:
    """They have the form and the length that Standard Webhooks asks for; none is shown."""
    fault = webhook_secret_fault(secret)
    assert (fault is None) is is_good
    assert fault is None or secret not in fault or secret == "whsec_"


def test_what_is_shown_of_a_sink(receiver: Receiver) -> None:
    """The host, but nothing that may be secret."""
    assert shown_sink(_webhook(receiver.url)) == "webhook 127.0.0.1"
    slack = SlackSink("s", Secret("https://hooks.slack.com/services/T0/B0/xyz"))
    assert shown_sink(slack) == "slack hooks.slack.com"
    assert shown_sink(CommandSink("c", ("/bin/page", "--key=abc"))) == "command /bin/page"
    assert "xyz" not in repr(slack)
    assert SECRET not in repr(_webhook(receiver.url))
