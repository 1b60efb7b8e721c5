"""``destinations alerts``: list, test and silence, beside a server or without one."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from destinations.cli.group import cli
from destinations.operations import RefusedCredentials, StoredAlerts, alert_status
from destinations.store import SqliteStore
from destinations.telemetry.alerts import (
    KINDS,
    NARROWED,
    AlertBook,
    AlertRule,
    Condition,
    Figures,
    Finding,
    Kind,
    SinkHealth,
    Windows,
    judged,
)

Command = Callable[..., Any]
Write = Callable[[str, Any], Path]


@pytest.fixture
def config(write: Write, tmp_path: Path) -> Path:
    """A configuration with two rules and two sinks, which are programs."""
    write("page.py", "import sys\nopen(sys.argv[1], 'w').write(sys.stdin.read())\n")
    write("fail.py", "import sys\nprint('no pager', file=sys.stderr)\nsys.exit(3)\n")
    page = [sys.executable, "-I", str(tmp_path / "page.py"), str(tmp_path / "out.json")]
    document = {
        "store": {"path": "s.sqlite3"},
        "destinations": [
            {"name": "kana", "destination": "kana", "settings": {"apiKey": "${NOT_SET_HERE}"}}
        ],
        "alerts": [
            {"when": {"dead": {"over": 10}}, "to": {"name": "pager", "command": page}},
            {
                "name": "waits",
                "when": {"held": {}},
                "to": [
                    {"name": "pager", "command": page},
                    {"command": [sys.executable, "-I", str(tmp_path / "fail.py")]},
                ],
            },
        ],
    }
    return write("c.yaml", json.dumps(document))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose server has one open alert, and a sink that fails."""
    path, now = tmp_path / "s.sqlite3", time.time()
    rule = AlertRule("dead", Condition("dead", 10, 900), ("pager",))
    command = f"destinations deliveries list --outcome dead --destination kana --config {path}"
    what, holds = "14 deliveries dead within 15m", True
    book = AlertBook()
    book.take([rule], [Finding("dead", "kana", holds, what, "more than 10", command)], now - 600)
    health = SinkHealth(now - 7_200, now - 500, 4, "HTTP 500")
    with SqliteStore(path) as opened:
        kept = {"alerts": book.to_json(), "sinks": {"pager": health.to_json()}}
        StoredAlerts(opened).write(kept)
    return path


def test_list(command: Command, config: Path, store: Path) -> None:
    """It shows since when, who was not told yet, the command that shows more, and the sinks."""
    done = command("alerts", "list", "--config", config)
    first, since, waiting, more, *rest = done.out.splitlines()
    assert first == "dead, kana: 14 deliveries dead within 15m (more than 10)"
    assert since.startswith("  open since 20")
    assert waiting == "  not told yet: pager"
    assert more == (
        f"  destinations deliveries list --outcome dead --destination kana --config {store}"
    )
    table = "\n".join(rest)
    assert "fails since 20" in table
    assert "HTTP 500" in table
    assert done.code == 0


def test_list_for_machines(command: Command, config: Path, store: Path) -> None:
    """The same as JSON."""
    command("alerts", "silence", "waits", "--for", "2h", "--config", config)
    found = json.loads(command("alerts", "list", "--json", "--config", config).out)
    assert found["rules"] == ["dead", "waits"]
    (alert,) = found["alerts"]
    assert (alert["rule"], alert["destination"]) == ("dead", "kana")
    assert (alert["waiting"], alert["limit"]) == (["pager"], "more than 10")
    assert [(one["name"], one["failures"]) for one in found["sinks"]] == [("pager", 4)]
    assert found["silenced"]["waits"] > time.time() + 7_000
    without = json.loads(command("alerts", "list", "--json", "--store", store).out)
    assert without["rules"] == []


def test_nothing_to_list(command: Command, config: Path, tmp_path: Path) -> None:
    """It says so, also where there are no rules at all."""
    SqliteStore(tmp_path / "s.sqlite3").close()
    assert command("alerts", "list", "--config", config).out == "No alert is open.\n"
    document = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**document, "alerts": []}), "utf-8")
    done = command("alerts", "list", "--config", config)
    assert done.out == "The configuration has no alerts.\n"


def test_test(command: Command, config: Path, tmp_path: Path) -> None:
    """Each sink gets a message; one that does not take it is told of. No other secret is needed."""
    done = command("alerts", "test", "--config", config)
    assert done.code == 1
    pager, failing = done.out.splitlines()
    assert pager == f"pager (command {sys.executable}): sent."
    assert failing == (
        f"command {sys.executable}: not sent: {sys.executable} ended with 3: no pager"
    )
    message = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert message["type"] == "alert.test"
    summary = message["data"]["summary"]
    assert summary == "Test: this message only shows that messages about alerts arrive"


def test_test_one_sink(command: Command, config: Path) -> None:
    """Only the one that is named; as JSON if wanted."""
    done = command("alerts", "test", "pager", "--json", "--config", config)
    assert done.code == 0
    found = {"sink": "pager", "is": f"command {sys.executable}", "error": None}
    assert json.loads(done.out) == {"sinks": [found]}


def test_silence(command: Command, config: Path, store: Path) -> None:
    """A server hears of it through the store; the end of it as well."""
    done = command("alerts", "silence", "dead", "--for", "30m", "--config", config)
    assert done.out.startswith("dead: silenced until 20")
    assert "dead is silenced for 30m" in command("alerts", "list", "--config", config).out
    with SqliteStore(store, read_only=True) as opened:
        assert set(StoredAlerts(opened).silenced(time.time())) == {"dead"}
        assert alert_status(opened, time.time() + 1_801).silenced == {}
    ended = ("alerts", "silence", "dead", "--end", "--config", config)
    assert command(*ended).out == "dead: heard again.\n"
    assert command(*ended).out == "dead: not silenced.\n"
    with SqliteStore(store, read_only=True) as opened:
        assert StoredAlerts(opened).silenced(time.time()) == set()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("silence", "ded", "--for", "2h"),
            "no alert rule is called 'ded'; there are: dead, waits",
        ),
        (
            ("silence", "dead", "--for", "2 hours"),
            "invalid duration '2 hours': expected",
        ),
        (("silence", "dead"), "give exactly one of --for"),
        (
            ("silence", "dead", "--for", "2h", "--end"),
            "give exactly one of --for",
        ),
        (("test", "pagr"), "has no sink 'pagr'; it has: pager, command; did you mean pager?"),
    ],
)
def test_wrong_usage(
    command: Command, config: Path, store: Path, words: tuple[str, ...], error: str
) -> None:
    """It says what would be right, and exits with 2."""
    assert store.exists()
    done = command("alerts", *words, "--config", config)
    assert done.code == 2
    assert error in done.err


def test_a_test_without_alerts(command: Command, config: Path) -> None:
    """There is nothing to test."""
    document = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**document, "alerts": []}), "utf-8")
    done = command("alerts", "test", "--config", config)
    assert (done.code, done.err) == (
        *(2, f"Error: {config} has no alerts: there is no sink to test\n"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_of_messages_exist(kind: Kind) -> None:
    """With their options, for each condition; names are quoted."""
    tenant = "Acme & Co" if kind in NARROWED["tenant"] else None
    rule = AlertRule("r", Condition(kind, 0, 900), (), destination="kana", tenant=tenant)
    refused = {"kana": RefusedCredentials(0, "401")}
    for figures in (Figures(0, refused=refused), Figures(0, refused_tenants={"kana": 3})):
        (found,) = judged(rule, ["kana"], figures, Windows(), " --config 'my serve.yaml'")
        _, *words = shlex.split(found.command)
        group: click.Command = cli
        context = click.Context(cli)
        while isinstance(group, click.Group):
            one = group.get_command(context, words.pop(0))
            assert one is not None, found.command
            group, context = one, click.Context(one)
        values, _, _ = group.make_parser(context).parse_args(words)
        assert str(values["config"]) == "my serve.yaml"
        assert values.get("tenant") in {None, tenant}


def test_a_check_warns(command: Command, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``serve --check`` names a sink that cannot be reached; the configuration can be used."""
    monkeypatch.setenv("NOT_SET_HERE", "prv_test_abcdefgh")
    document = json.loads(config.read_text("utf-8"))
    document["alerts"][0]["to"] = {"command": ["no-such-program"]}
    config.write_text(json.dumps(document), "utf-8")
    done = command("serve", "--config", config, "--check")
    assert done.code == 0
    assert done.err == (
        "warning: alerts: the sink command (command no-such-program) cannot be reached: there is "
        "no program no-such-program that can be run\n"
    )
