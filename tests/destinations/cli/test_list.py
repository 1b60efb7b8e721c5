"""What cannot be used is told in one line each, and everything else goes on working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.shipped import SHIPPED

Install = Callable[..., Path]
Command = Callable[..., Any]

PLUGIN = "from destinations import Plugin\nclass Acme(Plugin):\n    pass\n"


def test_packages_are_shown(install: Install, command: Command) -> None:
    """Each destination stands there with its package and the version of that."""
    install("acme-destinations", "acme", plugins={"acme": PLUGIN})
    done = command("list", "--json")
    assert (done.code, done.err) == (0, "")
    shown = {one["slug"]: (one["package"], one["package_version"]) for one in done.json}
    assert list(shown) == ["acme", *SHIPPED]
    assert shown["acme"] == ("acme-destinations", "1.5")
    assert "acme-destinations 1.5" in command("list").out


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("import nowhere_at_all", "cannot be imported: ModuleNotFoundError: No module named"),
        ("Acme = 1", "must be a class derived from destinations.Plugin, but is a value of the"),
        (PLUGIN + "    def code(self): ...", "failed in code(): TypeError: Acme.code() takes 1"),
        (PLUGIN + "    def __init__(self): raise SystemExit", "cannot be made: SystemExit"),
        (PLUGIN + "    def code(self, store): raise SystemExit", "failed in code(): SystemExit"),
    ],
)
def test_a_plugin_that_cannot_be_used(
    install: Install, command: Command, tmp_path: Path, plugin: str, message: str
) -> None:
    """Every command of its destination tells so in one line; those of others work."""
    install("acme-destinations", "acme", plugins={"acme": plugin})
    for arguments in (
        ("validate", "acme"),
        ("run", "acme", "--store", tmp_path / "store.sqlite3"),
        ("sandbox", "acme"),
        ("acme", "anything"),
    ):
        if "code()" in message and arguments[0] != "validate":
            continue  # these ask for something else before, or need none of its code
        done = command(*arguments)
        assert (done.code, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith("Error: the plugin of 'acme' (acme_destinations.plugin0:Acme of ")
        assert message in line
    done = command("list", "--json")
    assert done.code == 2
    assert [one["slug"] for one in done.json] == SHIPPED
    (line,) = done.err.splitlines()
    assert line.startswith("acme cannot be loaded: the plugin of 'acme'")
    assert command("validate", "kana").code == 0


def test_two_packages_with_one_name(install: Install, command: Command) -> None:
    """The line names both, wherever the name is used; their folders and the others work."""
    folder = install("acme-destinations", "acme")
    install("other-destinations", "acme")
    for arguments in (("validate", "acme"), ("list", "--json"), ("docs", "build", "acme")):
        done = command(*arguments)
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert "two packages have a destination 'acme': acme-destinations 1.5 (" in line
        assert "and other-destinations 1.5 (" in line
    assert [one["slug"] for one in command("list", "--json").json] == SHIPPED
    done = command("validate", folder / "acme")
    assert done.out == "sync: no plugin has the generator 'sync'; known: none\n"
    assert command("validate", "kana").code == 0


def test_definitions_that_cannot_be_imported(install: Install, command: Command) -> None:
    """A package that fails is told, and the others are listed."""
    install("acme-destinations", "acme", init="import nowhere_at_all")
    done = command("list", "--json")
    assert done.code == 2
    assert [one["slug"] for one in done.json] == SHIPPED
    (line,) = done.err.splitlines()
    assert line.startswith("the definitions in acme_destinations of acme-destinations 1.5 cannot")
