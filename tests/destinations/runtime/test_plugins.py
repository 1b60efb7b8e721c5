"""Plugins are found by their entry points; what is wrong with one is told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.runtime.destination import Code
from destinations.runtime.entry_points import plugin_slugs
from destinations.runtime.plugins import (
    Plugin,
    find_plugin,
    plugin_changes_command,
    plugin_code,
    plugin_commands,
    plugin_page_data,
    plugin_sandbox,
)

Install = Callable[..., Path]
PLUGIN = "from destinations import Plugin\nclass Acme(Plugin):\n    "
SOURCE = "the plugin of 'sample' (acme_destinations.plugin0:Acme of acme-destinations 1.5)"


def test_a_plugin_is_found_by_its_slug(install: Install) -> None:
    """Its class is made without arguments; another slug has none, and names load nothing."""
    install("acme-destinations", "sample", plugins={"sample": PLUGIN + "made = True"})
    assert {"kana", "sample"} <= set(plugin_slugs())
    assert find_plugin("other") is None
    assert "acme_destinations.plugin0" not in sys.modules
    plugin = find_plugin("sample")
    assert getattr(plugin, "made", False)
    assert plugin is not None
    assert plugin.source == SOURCE


def test_what_a_plugin_does_by_default(install: Install) -> None:
    """A class that overrides nothing brings nothing, and no sandbox of its own."""
    install("acme-destinations", "sample", plugins={"sample": PLUGIN + "pass"})
    plugin = find_plugin("sample")
    assert plugin is not None
    assert plugin_code(plugin, None) == Code()
    assert plugin_commands(plugin) == ()
    assert plugin_page_data(plugin) == {}
    assert plugin_changes_command(plugin) == ""
    assert plugin_sandbox(plugin) is None
    with pytest.raises(UsageError) as raised:
        plugin.start_sandbox(seed=None)
    assert str(raised.value) == f"{SOURCE} has no sandbox of its own"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nowhere_at_all",
            "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
        ("def (", "cannot be imported: SyntaxError: invalid syntax (plugin0.py, line 1)"),
        ("raise SystemExit", "cannot be imported: SystemExit"),
        ("raise ValueError('first\\nsecond')", "cannot be imported: ValueError: first second"),
        (
            "Other = 1",
            (
                "cannot be imported: AttributeError: module 'acme_destinations.plugin0' has no "
                "attribute 'Acme'"
            ),
        ),
        (
            "class Acme:\n    def code(self, store): ...",
            "must be a class derived from destinations.Plugin, but is the class Acme",
        ),
        (
            "def Acme(): ...",
            "must be a class derived from destinations.Plugin, but is a value of the type function",
        ),
        ("Acme = None", "must be a class derived from destinations.Plugin, but is nothing"),
        (
            "from destinations import Plugin\nAcme = Plugin()",
            "must be a class derived from destinations.Plugin, but is a value of the type Plugin",
        ),
        (PLUGIN + "commands = []", "commands must be a method, but is a value of the type list"),
        (PLUGIN + "code = None", "code must be a method, but is nothing"),
        (
            PLUGIN + "def __init__(self, key): ...",
            (
                "cannot be made: TypeError: Acme.__init__() missing 1 required positional "
                "argument: 'key'"
            ),
        ),
        (PLUGIN + "def __init__(self): raise SystemExit", "cannot be made: SystemExit"),
    ],
)
def test_a_plugin_that_cannot_be_loaded(install: Install, source: str, message: str) -> None:
    """One line names the plugin, its package and the fault; other plugins are found."""
    install("acme-destinations", "sample", plugins={"sample": source})
    with pytest.raises(UsageError) as raised:
        find_plugin("sample")
    assert str(raised.value).removeprefix(SOURCE).lstrip(": ") == message
    assert str(raised.value).startswith(SOURCE)
    assert find_plugin("kana") is not None


def _code(plugin: Plugin) -> object:
    return plugin_code(plugin, None)


def _sandbox(plugin: Plugin) -> object:
    return plugin_sandbox(plugin)


@pytest.mark.parametrize(
    ("method", "ask", "message"),
    [
        (
            "def code(self, store): ...",
            _code,
            ": its code() must return a destinations.Code, but gives nothing",
        ),
        (
            "def code(self, store): return {}",
            _code,
            ": its code() must return a destinations.Code, but gives a value of the type dict",
        ),
        (
            "def code(self): return {}",
            _code,
            (
                " failed in code(): TypeError: Acme.code() takes 1 positional argument but 2 were "
                "given"
            ),
        ),
        (
            (
                "def code(self, store):\n"
                "        from destinations import Code\n"
                "        return Code(generators={'sync': 'name'})"
            ),
            _code,
            ": generators of its code must be functions by their names",
        ),
        (
            "def commands(self): return [print]",
            plugin_commands,
            ": its commands() must return a list of click commands, each with a name",
        ),
        (
            "def commands(self): return iter(())",
            plugin_commands,
            (
                ": its commands() must return a list of click commands, but gives a value of the "
                "type tuple_iterator"
            ),
        ),
        (
            "def page_data(self): return []",
            plugin_page_data,
            (
                ": its page_data() must return tables by their names, but gives a value of the "
                "type list"
            ),
        ),
        (
            "def changes_command(self): return None",
            plugin_changes_command,
            ": its changes_command() must return a text, but gives nothing",
        ),
        (
            "def page_data(self): return 1 / 0",
            plugin_page_data,
            " failed in page_data(): ZeroDivisionError: division by zero",
        ),
        (
            "def start_sandbox(self, **options): return 'http://127.0.0.1'",
            _sandbox,
            (
                ": its start_sandbox() must return a destinations.RunningSandbox, but gives a "
                "value of the type str"
            ),
        ),
        # A plugin that calls sys.exit() must not end the command without a word.
        ("def code(self, store): raise SystemExit", _code, " failed in code(): SystemExit"),
        (
            "def commands(self): raise SystemExit(0)",
            plugin_commands,
            " failed in commands(): SystemExit: 0",
        ),
        (
            "def page_data(self): raise SystemExit('no data')",
            plugin_page_data,
            " failed in page_data(): SystemExit: no data",
        ),
        (
            "def start_sandbox(self, **options): raise SystemExit(3)",
            _sandbox,
            " failed in start_sandbox(): SystemExit: 3",
        ),
    ],
)
def test_a_plugin_that_does_something_else(
    install: Install, method: str, ask: Callable[[Plugin], object], message: str
) -> None:
    """What a method raises, or returns in place of what it should, is told in one line."""
    install("acme-destinations", "sample", plugins={"sample": PLUGIN + method})
    plugin = find_plugin("sample")
    assert plugin is not None
    with pytest.raises(UsageError) as raised:
        ask(plugin)
    assert str(raised.value) == SOURCE + message


def test_an_error_of_its_own_is_told_as_it_is(install: Install) -> None:
    """An error of the public tree says what its author wrote, and keeps its kind."""
    body = (
        "def code(self, store):\n"
        "        from destinations import DefinitionError, Issue\n"
        "        raise DefinitionError([Issue('is wrong', '/rules/0')])"
    )
    install("acme-destinations", "sample", plugins={"sample": PLUGIN + body})
    with pytest.raises(DefinitionError, match="/rules/0: is wrong"):
        plugin_code(find_plugin("sample"), None)


def test_two_plugins_of_one_name(install: Install) -> None:
    """The error names both packages, and neither is loaded."""
    install("acme-destinations", "sample", plugins={"sample": PLUGIN + "pass"})
    install("other-destinations", plugins={"sample": PLUGIN + "pass"})
    with pytest.raises(UsageError) as raised:
        find_plugin("sample")
    assert str(raised.value) == (
        "two packages have a plugin for 'sample': acme-destinations 1.5 and other-destinations "
        "1.5; uninstall one of them, or name the folder of the definition in one of them"
    )
    assert "acme_destinations.plugin0" not in sys.modules
