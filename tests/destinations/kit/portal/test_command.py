"""``destinations portal-check``: what it takes, what it prints, and how it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.portal import CHECKS

KEY = "prv_test_Ab1Cd2Ef3Gh4Ij5"
Write = Callable[[str, Any], Path]


@pytest.fixture
def check(
    endpoint: Any, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Checks the endpoint with the key of a customer."""
    monkeypatch.setenv("PORTAL_KEY", KEY)
    return lambda *more: command("portal-check", endpoint.url, "--key", "env:PORTAL_KEY", *more)


class Given:
    """A reply of the endpoint; see its conftest."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.body, self.cut = status, {"message": message}, False
        self.headers: dict[str, str] = {}


def test_an_endpoint_that_keeps_the_protocol(check: Any, endpoint: Any) -> None:
    """A row for each check, at most 80 columns wide; the messages; how to find the events."""
    done = check()
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == endpoint.url
    assert lines[1].split() == ["check", "sent", "answered", "expected", "verdict"]
    assert [line.split()[0] for line in lines[2 : 2 + len(CHECKS)]] == [one.name for one in CHECKS]
    assert max(map(len, lines)) <= 80
    assert "delete: 501 refused with 501" in lines
    assert f"{len(CHECKS) - 2} ok, 2 notes, 0 faults, 0 skipped" in lines
    mark = lines[-1].rpartition(" ")[2].rstrip(".")
    assert mark.startswith("portal-check-")
    ids = [r.event["messageId"] for r in endpoint.requests if r.type and "messageId" in r.event]
    assert ids
    assert all(one.startswith(f"{mark}-") for one in ids)


def test_a_fault(check: Any, endpoint: Any) -> None:
    """It says what was answered and expected, and why that matters."""
    endpoint.wrong = lambda r, right: Given(200, "") if r.method == "POST" and not r.body else right
    done = check()
    assert done.code == 1
    faults = " ".join(done.out.partition("Faults\n")[2].partition("\n\n")[0].split())
    assert faults == (
        "empty-body: answered 200, expected 400. It was accepted, so the event is lost without a "
        "word."
    )


def test_json(check: Any) -> None:
    """A row for each check, with everything that the table and its sections say."""
    done = check("--json", "--only", "delete", "--only", "repeat")
    assert done.code == 0
    delete, repeat = done.json
    assert delete == {
        "name": "delete",
        "sent": "a request to delete a user",
        "status": 501,
        "statuses": [501],
        "answer": "refused with 501",
        "verdict": "ok",
        "expected": "2xx or 501",
        "message": "",
    }
    assert (repeat["verdict"], repeat["statuses"]) == ("note", [200, 200])
    assert repeat["message"]


# What an answer may repeat of the key.
ECHOES: dict[str, Callable[[], str]] = {
    "the key": lambda: f"no account has {KEY}",
    "its header": lambda: f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()} is wrong",
    "a part of it": lambda: f"the key begins with {KEY[:20]}",
    "a setting": lambda: "a-secret-of-settings is wrong",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_no_secret_is_shown(
    check: Any, endpoint: Any, write: Write, echo: Any, form: tuple[str, ...]
) -> None:
    """Whatever an answer repeats: the key and the settings are masked."""
    settings = write("settings.json", {"deep": [{"secret": "a-secret-of-settings"}]})
    endpoint.wrong = lambda *_: Given(400, echo())
    done = check("--settings", settings, "--only", "cut-json", *form)
    assert done.code == 0
    shown = done.out + done.err
    assert "***" in shown
    assert KEY[9:] not in shown
    assert "a-secret" not in shown
    assert base64.b64encode(KEY.encode()).decode()[:12] not in shown


def test_settings(check: Any, endpoint: Any, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read from YAML, with variables, and come with each request."""
    monkeypatch.setenv("SECRET", "s3cret-value")
    settings = write("settings.yaml", "region: eu\nsecret: ${SECRET}\n")
    assert check("--settings", settings, "--only", "track").code == 0
    (request,) = endpoint.requests
    assert request.settings == {"region": "eu", "secret": "s3cret-value"}


def test_a_key_in_a_file(command: Any, endpoint: Any, write: Write) -> None:
    """A line break after it is not part of it."""
    path = write("key", KEY + "\n")
    done = command("portal-check", endpoint.url, "--key", f"file:{path}", "--only", "track")
    assert done.code == 0
    assert endpoint.requests[0].key == KEY


# Arguments, with URL for that of the endpoint; then a part of what is said.
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "the key itself": (("URL", "--key", KEY), "expected env:NAME or file:PATH"),
    "a key without a name": (("URL", "--key", "env:"), "expected env:NAME or file:PATH"),
    "an unset variable": (("URL", "--key", "env:NO_KEY"), "NO_KEY is not set"),
    "an empty variable": (("URL", "--key", "env:EMPTY"), "EMPTY is empty"),
    "two lines": (("URL", "--key", "env:LINES"), "LINES must hold one key on one line"),
    "no such file": (("URL", "--key", "file:no-such-file"), "no-such-file"),
    "no settings": (("URL", "--settings", "no-such-file"), "no-such-file"),
    "no URL": ((), "Missing argument"),
    "no scheme": (("example.com/v1",), "expected https://HOST/PATH"),
    "another scheme": (("ftp://example.com/v1",), "expected https://HOST/PATH"),
    "a broken URL": (("http://[::1",), "expected https://HOST/PATH"),
    "a port too high": (("http://127.0.0.1:99999/",), "ort"),
    "a user": ((f"https://{KEY}:@example.com/v1",), "give the key with --key"),
    "a fragment": (("https://example.com/v1#x",), "must have no fragment"),
    "no such check": (("URL", "--only", "trak"), "'trak' is not one of"),
    "no time": (("URL", "--timeout", "0"), "0"),
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_wrong_usage(
    command: Any,
    endpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    text: str,
) -> None:
    """It is told before anything is sent, and without the key."""
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("LINES", f"{KEY}\n{KEY}")
    monkeypatch.delenv("NO_KEY", raising=False)
    given = [endpoint.url if one == "URL" else one for one in arguments]
    done = command("portal-check", *given)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert KEY not in done.err
    assert endpoint.requests == []


def test_settings_that_are_no_object(check: Any, endpoint: Any, write: Write) -> None:
    """The header has an object."""
    done = check("--settings", write("settings.json", [1]))
    assert done.code == 2
    assert "settings.json:1: must be a mapping" in done.err
    assert endpoint.requests == []


def test_unreachable(command: Any) -> None:
    """It may pass by itself."""
    done = command("portal-check", "http://127.0.0.1:9/v1", "--timeout", "5")
    assert (done.code, done.out) == (75, "")
    assert "cannot reach http://127.0.0.1:9/v1: no connection" in done.err


def test_http_elsewhere(command: Any) -> None:
    """The key would be sent unencrypted: a warning, also if nothing is reached."""
    done = command("portal-check", "http://portal.invalid/v1", "--timeout", "5")
    assert done.code == 75
    assert done.err.startswith("warning: the key is sent unencrypted")


def test_list(command: Any) -> None:
    """It shows every check, and needs no URL."""
    done = command("portal-check", "--list")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()[2:] if line] == [
        check.name for check in CHECKS
    ]


def test_progress(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows how many checks are made, and nothing of that is left."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    done = check("--only", "track", "--only", "get")
    assert "2 of 2 checks" in done.err
    assert done.err.endswith("\r\x1b[2K")
    assert json.dumps(done.out)
