"""A mistake in a plugin's generator is told as one, wherever the generator is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.partner_page.server import Preview

Install = Callable[..., Path]
Command = Callable[..., Any]

PLUGIN = """
from destinations import Call, Code, Done, Plugin

def sync(payload):
    {body}

class Acme(Plugin):
    def code(self, store):
        return Code({{{name!r}: sync}})
"""
SOURCE = "the plugin of 'acme' (acme_destinations.plugin0:Acme of acme-destinations 1.5)"
EVENT = {"type": "identify", "userId": "u1", "messageId": "m1", "traits": {"email": "a@b.co"}}

FAULTS = pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "yield Call('fnd', payload)",
            "asks for the unknown request 'fnd'; did you mean find?; known: find, create",
        ),
        # A request of the definition that the action does not list: it is not known to be safe.
        (
            "yield Call('count', payload)",
            "asks for the unknown request 'count'; known: find, create",
        ),
        ("yield 'find'", "must yield a destinations.Call, not 'find'"),
        ("raise KeyError('plan'); yield", "failed: KeyError: 'plan'"),
        ("return None", "must be a generator function, but gives None"),
        ("return; yield", "must return a destinations.Done, not None"),
    ],
)


@FAULTS
@pytest.mark.parametrize("words", [("explain", "acme", "event.json"), ("docs", "build", "acme")])
def test_what_plays_it_without_a_partner(
    install: Install,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: tuple[str, ...],
    body: str,
    message: str,
) -> None:
    """One line names the package, the generator and what was expected, with exit code 2."""
    install("acme-destinations", "acme", plugins={"acme": PLUGIN.format(body=body, name="sync")})
    monkeypatch.chdir(tmp_path)
    Path("event.json").write_text(json.dumps(EVENT), encoding="utf-8")
    done = command(*words)
    assert (done.code, done.err) == (2, f"Error: {SOURCE}: the generator 'sync' {message}\n")


@FAULTS
def test_the_preview(install: Install, body: str, message: str) -> None:
    """It shows the line in the place of the page."""
    source = PLUGIN.format(body=body, name="sync")
    folder = install("acme-destinations", "acme", plugins={"acme": source})
    server = Preview(folder / "acme")
    try:
        page = server.page("/")
    finally:
        server._server.server_close()
    assert page is not None
    assert message.partition(";")[0].replace("'", "&#x27;") in page


@FAULTS
def test_made_faults(install: Install, command: Command, body: str, message: str) -> None:
    """`test` names it as why the action cannot be played."""
    install("acme-destinations", "acme", plugins={"acme": PLUGIN.format(body=body, name="sync")})
    done = command("test", "acme")
    assert done.code == 2
    assert f"ends as dead: {SOURCE}: the generator 'sync' {message}; mend the gene" in done.err


@FAULTS
def test_a_run(
    install: Install, command: Command, tmp_path: Path, write: Any, *, body: str, message: str
) -> None:
    """The event ends at once: nothing was asked of the partner, so it is not away."""
    install("acme-destinations", "acme", plugins={"acme": PLUGIN.format(body=body, name="sync")})
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(EVENT) + "\n", encoding="utf-8")
    settings = write("settings.yaml", {"apiKey": "a-key-of-a-test"})
    arguments = ("--settings", settings, "--events", events, "--store", tmp_path / "s.sqlite3")
    done = command("run", "acme", *arguments, "--json")
    assert done.code == 1
    assert "please report it" not in done.err
    assert f"{SOURCE}: the generator 'sync' {message}" in done.out + done.err


def test_a_missing_generator(install: Install, command: Command) -> None:
    """The line names the package and its version, and what the plugin has."""
    source = PLUGIN.format(body="yield", name="sink")
    install("acme-destinations", "acme", plugins={"acme": source})
    done = command("validate", "acme")
    assert done.out == f"sync: {SOURCE} has no generator 'sync'; known: sink\n"


def test_two_packages_of_one_name(install: Install, command: Command) -> None:
    """The folder of each is used with the plugin of its own package."""
    first = install(
        "acme-destinations", "acme", plugins={"acme": PLUGIN.format(body="yield", name="sync")}
    )
    second = install(
        "other-destinations", "acme", plugins={"acme": PLUGIN.format(body="yield", name="sink")}
    )
    assert command("validate", first / "acme").code == 0
    done = command("validate", second / "acme")
    assert "of other-destinations 1.5) has no generator 'sync'; known: sink" in done.out
    # A sandbox that can start serves until it is stopped.
    for arguments in (
        ("sandbox", first / "acme", "--seed", "nothing.yaml"),
        ("explain", first / "acme", "nothing.json"),
    ):
        assert "two packages" not in command(*arguments).err
