"""``destinations help`` shows the reference, and what is near where there is no such topic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.cli.definition_text import definition_page
from destinations.definition import DestinationDefinition
from tests.shipped import SHIPPED

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("@path",), "Find a value of the event."),
        (("transport.retry",), "transport.retry.backoff.cap"),
        (("deliveries", "list"), "List deliveries, the oldest first"),
        (("held",), "an operator decides"),
        (("webhook",), "sharedSecret            string, secret  The secret that signs requests."),
        (("Webhook", "send"), "event  yes       object"),
        (("kana",), "Other topics of this name: destinations help destinations kana"),
        (("--search", "sharedSecret"), "  webhook          Settings and actions of Webhook."),
        (("show",), "\n  destinations tenants show     Show"),
        ((), f"of what is installed: {', '.join(SHIPPED)}."),
        (("alerts",), "2 topics are called alerts:\n\n  destinations alerts  "),
        (("--search", "retry-after"), "  transport "),
        ((), "destinations help TOPIC shows one of these"),
        ((), "\n  guide upgrade "),
        (("guide", "upgrade"), "1. Read"),
        (("guarantees",), "See also: destinations help"),
        (("held",), "See also: destinations help guide decide-held"),
        (("--search", "retry-after", "deadline"), "guide "),
        (("--settings",), "topics are called --settings:\n\n  destinations check --settings  "),
        (("gdpr",), "3 topics are called gdpr:\n\n  destinations forget  "),
    ],
)
def test_a_topic(command: Command, arguments: tuple[str, ...], shown: str) -> None:
    """It is printed, without the marks of Markdown."""
    done = command("help", *arguments)
    assert (done.code, done.err) == (0, "")
    assert shown in done.out
    assert "`" not in done.out.replace("`destinations help`", "").replace("```", "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("transprot",), "unknown topic 'transprot'; nearest: 'transport'"),
        (("\x1b[31m",), "unknown topic '\\x1b[31m'"),
        (("transprot",), "`destinations help --search WORDS` finds words in them"),
        (("--search", "zeppelin"), "no page has 'zeppelin'"),
        (("--search", "zeppelin", "route"), "no page has 'zeppelin route'"),
        (("./nowhere",), "unknown topic './nowhere'"),
        (("nginx",), "Pages that have it:\n  guide "),
    ],
)
def test_no_such_topic(command: Command, arguments: tuple[str, ...], error: str) -> None:
    """The error names the nearest ones, and how all are listed."""
    done = command("help", *arguments)
    assert done.code == 2
    assert error in done.err


def test_an_issue_names_its_topic(command: Command, write: Callable[..., Any]) -> None:
    """Who made a mistake in a file learns where to read about it."""
    path = write("serve.yaml", {"store": {"pth": "x"}, "destinations": []})
    done = command("serve", "--config", str(path), "--check")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("Help: destinations help ")


def test_what_forms_know_of_a_field(load: Callable[..., DestinationDefinition]) -> None:
    """The page of a destination says when a field is required or shown, and who has its values."""

    def change(documents: Any) -> None:
        thing = documents["count"]["fields"]["properties"]["thing"]
        thing["x-choices"] = {"pending": "the request of things"}
        by = documents["count"]["fields"]["properties"]["by"]
        named = {"field": "thing", "operator": "is", "value": "a|b"}
        by["x-requiredWhen"] = {"conditions": [named]}
        by["x-dependsOn"] = {"conditions": [{"field": "thing", "operator": "is_not"}]}
        documents["count"]["fields"]["required"] = ["thing"]

    page = definition_page(load(change))
    assert "Required if `thing` is `a\\|b`. Shown if `thing` is there." in page
    assert "The partner has a list of its values: `destinations choices`." in page


def test_a_folder(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a definition is shown as if it were installed; topics go before its name."""
    monkeypatch.chdir(tmp_path)
    assert command("init", "my-partner").code == 0
    shown = command("help", "./my-partner")
    assert (shown.code, shown.err) == (0, "")
    assert "Settings\n\nsetting " in shown.out
    assert command("help", "my-partner").out == shown.out
    assert command("init", "transport").code == 0
    assert command("help", "transport").out.lstrip().startswith("transport\n")
    assert "Settings\n\nsetting " in command("help", "./transport").out


def test_an_installed_package(command: Command, install: Callable[..., Path]) -> None:
    """The destinations of other packages are shown, too; one that cannot be loaded is no topic."""
    folder = install("acme-destinations", "acme", "acme-two")
    (folder / "acme-two" / "destination.yaml").write_text("slug: acme-two\n", encoding="utf-8")
    shown = command("help", "acme")
    assert (shown.code, shown.err) == (0, "")
    assert "Settings\n\nsetting " in shown.out
    assert "destinations explain acme EVENTS" in shown.out
    assert command("help", "acme-two").code == 2
