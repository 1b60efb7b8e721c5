from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kana_destination.sandbox import Sandbox

KEYS = ["prv_test_right", "prv_live_right"]


@pytest.fixture
def partner() -> Iterator[Sandbox]:
    """A partner that knows one test key and one live key."""
    with Sandbox({"apiKeys": KEYS}) as sandbox:
        yield sandbox


@pytest.fixture
def check(
    command: Callable[..., Any], write: Callable[[str, Any], Path], partner: Sandbox
) -> Callable[..., Any]:
    """Checks settings that lead to the partner, changed as given."""

    def run(*arguments: str, **changes: str) -> Any:
        values = {"apiKey": KEYS[0], "endpoint": partner.url, **changes}
        settings = write("settings.json", values)
        return command("check", "kana", "--settings", settings, *arguments)

    return run


DOWN = "http://127.0.0.1:9/graphql"

# Settings and arguments; then the exit code, the status and a part of what is said.
CASES: dict[str, tuple[dict[str, str], tuple[str, ...], int, str, str]] = {
    "a test key": ({}, (), 0, "valid", "do not reach live customers"),
    "a live key": ({"apiKey": "prv_live_right"}, (), 0, "valid", "Kana (live): valid."),
    "a live key for live": ({"apiKey": "prv_live_right"}, ("--live",), 0, "valid", "live"),
    "a test key for live": (
        {},
        ("--live",),
        2,
        "wrong environment",
        "wrong credentials (test): expected live ones, as --live requires.",
    ),
    "a wrong key": (
        {"apiKey": "prv_test_wrong"},
        (),
        2,
        "refused",
        "The partner refuses these credentials: Unauthenticated",
    ),
    "a wrong live key for live": ({"apiKey": "prv_live_x"}, ("--live",), 2, "refused", "refuses"),
    "unreachable": ({"endpoint": DOWN}, (), 2, "unreachable", f"{DOWN}: no connection"),
    "unreachable, for live": ({"endpoint": DOWN}, ("--live",), 2, "unreachable", DOWN),
}


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "status", "text"), CASES.values(), ids=CASES
)
def test_what_is_found(
    check: Callable[..., Any],
    changes: dict[str, str],
    arguments: tuple[str, ...],
    code: int,
    status: str,
    text: str,
) -> None:
    """Each has its own status and words, and no key is shown; only valid ones exit 0."""
    done = check(*arguments, **changes)
    assert done.code == code
    assert text in (done.err if code else done.out)
    assert f": {status}." in done.out + done.err
    found = check(*arguments, "--json", **changes)
    assert found.code == code
    assert found.json["status"] == status
    key = changes.get("apiKey", KEYS[0])
    assert key not in done.out + done.err + found.out + found.err


@pytest.mark.parametrize(
    ("key", "environments"), [("prv_test_right", ["test"]), ("prv_live_right", ["live"])]
)
def test_the_environment(check: Callable[..., Any], key: str, environments: list[str]) -> None:
    """It is read from the key, and said."""
    found = check("--json", apiKey=key).json
    assert found == {"status": "valid", "message": "", "environments": environments}


REFUSED = {
    "a client key": ({"apiKey": "pub_test_x"}, "client API key"),
    "no key": ({"apiKey": ""}, "/apiKey"),
    "an endpoint that is none": ({"endpoint": "kana"}, "/endpoint"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_that_are_refused(
    check: Callable[..., Any], partner: Sandbox, changes: dict[str, str], message: str
) -> None:
    """They are told before anything is sent, with their place in the file."""
    done = check(**changes)
    assert (done.code, done.out) == (2, "")
    assert "settings.json:" in done.err
    assert message in done.err
    assert partner.requests.count == 0


# What the partner answers, and the status that this means.
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "busy": ({"status": 503}, "failed"),
    "no answer": ({"drop": "before"}, "unreachable"),
    "a page": ({"body": "<html>"}, "failed"),
    "not found": ({"status": 404}, "failed"),
    "an error": ({"errors": {"*": {"message": "no", "code": "BAD_USER_INPUT"}}}, "failed"),
    "forbidden": ({"status": 401}, "refused"),
}


@pytest.mark.parametrize(("fault", "status"), ANSWERS.values(), ids=ANSWERS)
def test_what_the_partner_may_answer(
    check: Callable[..., Any], partner: Sandbox, fault: dict[str, Any], status: str
) -> None:
    """It is asked once: who waits for the answer wants to know now."""
    partner.faults.add({"times": None, **fault})
    done = check("--json")
    assert (done.code, done.json["status"]) == (2, status)
    assert partner.url in done.json["message"] or status == "refused"
    assert partner.requests.count == 1


def test_no_settings(command: Callable[..., Any]) -> None:
    """It says which setting is missing, and which option would give it."""
    done = command("check", "kana")
    assert done.code == 2
    assert "--settings" in done.err
    assert "apiKey" in done.err


def test_a_destination_without_credentials(command: Callable[..., Any], kana_folder: Path) -> None:
    """There is nothing to test, and it says so."""
    path = kana_folder / "destination.yaml"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition("authentication:\n")
    _, _, after = rest.partition("\n\n")
    path.write_text(f"{before}{after}", encoding="utf-8")
    done = command("check", kana_folder)
    assert done.code == 2
    assert "Kana has no authentication test, so its credentials cannot be checked" in done.err


def test_nothing_is_written(check: Callable[..., Any], home: Path) -> None:
    """A check leaves no store behind."""
    check()
    assert not home.exists()
    assert json.loads(check("--json").out)["status"] == "valid"
