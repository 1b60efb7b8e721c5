"""Segment's SDKs for servers: what they send arrives at every destination, once, as it was sent."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

WRITE_KEY: Final = "write-key-0123456789-0123456789"
PACKAGES_VARIABLE: Final = "SDKS_PACKAGES"
PHP_VARIABLE: Final = "SDKS_PHP"
CALLS: Final = {"identify", "track", "page", "screen", "group", "alias"}


@dataclass(frozen=True)
class Sdk:
    """An SDK: its snippet, what runs that, where it posts to, and as what it shows itself.

    With a text of the snippet replaced by ``refused``, the SDK sends an event that the server
    refuses, with a code. ``imports`` replaces the snippet's own import.
    """

    name: str
    snippet: str
    file: str
    command: tuple[str, ...]
    path: str
    library: str
    gzip: bool
    refused: tuple[str, str, str]
    imports: tuple[str, str] | None = None
    repeats_what_is_not_answered: bool = True
    tells_of_each_attempt: bool = False
    wants_tls: bool = False


_PYTHON: Final = (sys.executable, "-P")
_HALF: Final = ('"user_0042", "API', r'"\ud83d", "API', "ID_NOT_TEXT")
SDKS: Final = (
    Sdk(
        *("segment-analytics-python", "python", "program.py", _PYTHON),
        *("/v1/batch", "analytics-python"),
        gzip=True,
        refused=_HALF,
    ),
    Sdk(
        *("analytics-python", "python", "program.py", _PYTHON),
        *("/v1/batch", "analytics-python"),
        gzip=True,
        refused=_HALF,
        imports=("import segment.analytics as analytics", "import analytics"),
    ),
    Sdk(
        *("analytics-node", "node", "program.mjs", ("node",)),
        *("/v1/batch", "@segment/analytics-node"),
        gzip=False,
        refused=("userId, event", r"userId: '\ud83d', event", "ID_NOT_TEXT"),
    ),
    Sdk(
        *("analytics-ruby", "ruby", "program.rb", ("ruby",)),
        *("/v1/import", "analytics-ruby"),
        gzip=False,
        refused=("event: 'API", "message_id: 'm' * 101, event: 'API", "MESSAGE_ID_TOO_LONG"),
        wants_tls=True,
    ),
    Sdk(
        *("analytics-php", "php", "program.php", ("php", "-d", "curl.cainfo=proxy.pem")),
        *("/v1/batch", "analytics-php"),
        gzip=True,
        refused=(
            "'event' =>",
            "'messageId' => str_repeat('m', 101), 'event' =>",
            "MESSAGE_ID_TOO_LONG",
        ),
        repeats_what_is_not_answered=False,
        tells_of_each_attempt=True,
        wants_tls=True,
    ),
)


def _prepare_node(folder: Path) -> None:
    packages = os.environ.get(PACKAGES_VARIABLE)
    if not packages:
        pytest.skip("needs Node and packages of npm: run `tox -e sdks`")
    (folder / "node_modules").symlink_to(Path(packages).resolve() / "node_modules")


def _prepare_ruby(_: Path) -> None:
    if shutil.which("ruby") is None:
        pytest.skip("Ruby is missing (https://www.ruby-lang.org)")
    loads = ["ruby", "-r", "segment/analytics", "-e", ""]
    if subprocess.run(loads, capture_output=True, check=False).returncode:
        pytest.skip("Ruby lacks the SDK: gem install analytics-ruby, or name its lib in RUBYLIB")


def _prepare_php(folder: Path) -> None:
    if shutil.which("php") is None:
        pytest.skip("PHP is missing (https://www.php.net)")
    packages = os.environ.get(PHP_VARIABLE)
    if not packages:
        pytest.skip(
            f"{PHP_VARIABLE} names no folder with `composer require segmentio/analytics-php`"
        )
    (folder / "vendor").symlink_to(Path(packages).resolve() / "vendor")


_PREPARE: Final[dict[str, Callable[[Path], None]]] = {
    "python": lambda _: None,
    "node": _prepare_node,
    "ruby": _prepare_ruby,
    "php": _prepare_php,
}


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest, tmp_path: Path) -> Sdk:
    """Each SDK that this machine has."""
    found: Sdk = request.param
    _PREPARE[found.snippet](tmp_path)
    return found


@pytest.fixture
def snippet(sdk: Sdk, program: Callable[..., Any]) -> Any:
    """The program that uses it."""
    made = program(sdk.snippet, sdk.command, sdk.file)
    return made if sdk.imports is None else made.changed(*sdk.imports)


@pytest.fixture
def front(
    sdk: Sdk,
    proxy: Callable[..., Any],
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Starts what the SDK sends to, before a server."""
    shutil.copy(certificate, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return lambda serving: proxy(serving, certificate if sdk.wants_tls else None)


def _patience(sdk: Sdk, before: Any) -> contextlib.AbstractContextManager[None]:
    """Return what lets an SDK wait that gives up after seconds, which a start may take here."""
    return contextlib.nullcontext() if sdk.repeats_what_is_not_answered else before.holding()


def _assert_sent(done: Any) -> None:
    assert (done.code, "not sent" in done.output) == (0, False), done.output


def test_all_calls(sdk: Sdk, snippet: Any, serving: Any, front: Callable[..., Any]) -> None:
    """Each call arrives as it was sent, once at each destination, and the SDK sees a success."""
    before = front(serving)
    _assert_sent(snippet.run(before.url))
    sent = before.events
    assert {one.path for one in before.posts} == {sdk.path}
    assert {one.headers.get("content-encoding") == "gzip" for one in before.posts} == {sdk.gzip}
    arrived = serving.assert_delivered_once(list(sent))
    assert sorted(one["type"] for one in arrived) == sorted(CALLS)
    for one in arrived:
        original = sent[one["messageId"]]
        assert one["context"]["library"]["name"] == sdk.library
        # The clock of the SDK is that of the server, so its time is not set right by much.
        assert one["originalTimestamp"] == original.pop("timestamp")
        assert one["timestamp"][:16] <= one["receivedAt"][:16]
        assert {key: one[key] for key in original} == original


def test_a_server_that_is_restarted(
    sdk: Sdk, snippet: Any, serving: Any, front: Callable[..., Any]
) -> None:
    """Events arrive once, also if the server took them and was stopped before it could answer."""
    before = front(serving)
    if sdk.repeats_what_is_not_answered:
        before.in_place_of_an_answer = serving.stop
    else:
        serving.stop()
    process = snippet.start(before.url)
    before.wait_for(lambda: any(one.is_lost or not one.status for one in before.posts))
    with _patience(sdk, before):
        serving.start()
    done = process.ended()
    assert (done.code, "not sent" in done.output) == (0, sdk.tells_of_each_attempt), done.output
    taken = [one.is_lost for one in before.posts if one.status == 200]
    assert taken == ([True, False] if sdk.repeats_what_is_not_answered else [False])
    assert len(serving.assert_delivered_once(list(before.events))) == len(CALLS)


def test_a_server_that_stops(
    sdk: Sdk,
    snippet: Any,
    serving: Any,
    front: Callable[..., Any],
    partner: Any,
) -> None:
    """What a server refuses with 503 while it stops is sent again, and arrives once."""
    if PACKAGES_VARIABLE not in os.environ:
        pytest.skip("waits for the seconds of Retry-After: run `tox -e sdks`")
    before = front(serving)
    event = {"type": "track", "event": "E", "userId": "u", "messageId": f"held-{sdk.name}"}
    partner.held.add(event["messageId"])
    answer = requests.post(
        f"http://127.0.0.1:{serving.port}/v1/track", json=event, auth=(WRITE_KEY, ""), timeout=30
    )
    assert answer.json() == {"success": True}
    partner.wait_for_events([event["messageId"]])
    serving.begin_to_stop()
    process = snippet.start(before.url)
    before.wait_for(lambda: before.posts)
    with _patience(sdk, before):
        partner.release()
        serving.stop()
        serving.start()
    done = process.ended()
    assert (done.code, "not sent" in done.output) == (0, sdk.tells_of_each_attempt), done.output
    assert before.posts[0].status == 503
    ids = [*before.events, event["messageId"]]
    assert len(serving.assert_delivered_once(ids)) == len(CALLS) + 1


def test_a_wrong_write_key(snippet: Any, serving: Any, front: Callable[..., Any]) -> None:
    """The SDK says that its events were not sent, and does not try again."""
    before = front(serving)
    done = snippet.run(before.url, "another-key-0123456789-0123456789")
    assert "not sent" in done.output
    assert "401" in done.output
    assert [one.status for one in before.posts] == [401]


def test_a_refused_event(sdk: Sdk, snippet: Any, serving: Any, front: Callable[..., Any]) -> None:
    """The others of its batch arrive, the SDK is content, and the server keeps it with a reason."""
    before = front(serving)
    old, new, code = sdk.refused
    _assert_sent(snippet.changed(old, new).run(before.url))
    assert {one.status for one in before.posts} == {200}
    (refused,) = (one for one in before.events.values() if one["type"] == "track")
    others = [id_ for id_ in before.events if id_ != refused["messageId"]]
    assert len(serving.assert_delivered_once(others)) == len(CALLS) - 1
    kept = serving.wait_for_refused(refused["messageId"])
    assert (kept["code"], kept["source"]) == (code, "app")
