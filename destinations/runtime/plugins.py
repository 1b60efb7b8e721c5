"""The code of a destination, in addition to its definition: base classes of plugins, and loading.

Group ``destinations.plugins`` of the entry points names, by the destination's slug, a class derived
from `Plugin`, for what data cannot express. Whatever is wrong with one is a `UsageError` of one
line that names the package: other destinations do not need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

import click

from destinations.definition import DestinationDefinition
from destinations.errors import DestinationsError, UsageError
from destinations.runtime.destination import Code
from destinations.runtime.entry_points import PLUGINS, InstalledPoint, installed_points
from destinations.runtime.installed import packages_with
from destinations.runtime.store import Store

__all__ = [
    "Holdings",
    "Plugin",
    "RunningSandbox",
    "find_plugin",
    "plugin_changes_command",
    "plugin_code",
    "plugin_commands",
    "plugin_console_pages",
    "plugin_demo_events",
    "plugin_page_data",
    "plugin_sandbox",
]

T = TypeVar("T")

_METHODS: Final = (
    *("changes_command", "code", "commands", "console_pages", "demo_events"),
    *("page_data", "start_sandbox"),
)


class Holdings(NamedTuple):
    """A table of a partner's data; each row has a value for each column."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


class RunningSandbox(ABC):
    """A stand-in for a partner, serving on this machine at ``url`` until it is closed.

    Derive from it, set ``url``, and override `close` and whatever else differs. Use it as a context
    manager to close it.
    """

    url: str
    leads_here: bool = True
    """Whether the settings alone lead to it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings that connect the destination to it; by default none."""
        return {}

    @property
    def free_settings(self) -> Container[str]:
        """Those of its `settings` that may have any other value; by default none."""
        return ()

    def connected(self, definition: DestinationDefinition) -> DestinationDefinition:
        """Return the definition whose requests go to it, whatever the settings say.

        By default that is the same one, as the settings lead to it.
        """
        return definition

    def snapshot(self) -> Mapping[str, Any]:
        """Return the partner's data in a private form, for a later `holdings`; by default none."""
        return {}

    def holdings(self, before: Mapping[str, Any]) -> Sequence[Holdings]:  # noqa: ARG002 - for those that have data
        """Return tables that compare its data ``before`` with now; by default none."""
        return ()

    def is_running(self) -> bool:
        """Return whether it is still serving; by default it is."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Stop it; safe to repeat."""


class Plugin:
    """The code of a destination, in addition to its definition: subclass it, override what differs.

    A plugin is made without arguments when its destination is used. ``source`` says where it comes
    from, for messages.
    """

    source: str = "a plugin"

    def code(self, store: Store | None) -> Code:  # noqa: ARG002 - for those that have rules
        """Return generators and mappers, by default none; ``store`` holds the rules of customers.

        Without a ``store`` there are no rules.
        """
        return Code()

    def commands(self) -> Sequence[click.Command]:
        """Return the plugin's own commands, for ``destinations SLUG ...``; by default none."""
        return ()

    def changes_command(self) -> str:
        """Return which of its commands shows changes to make by hand, such as ``flags``.

        It takes ``--settings``, ``--store`` and ``--account``. Empty by default: there is none.
        """
        return ""

    def console_pages(self) -> Sequence[object]:
        """Return the plugin's own pages of the console, by default none.

        Each is a `destinations.console.ConsolePage`, at a path that begins with the destination's
        slug, such as ``/kana/rules``.
        """
        return ()

    def demo_events(self) -> Sequence[Mapping[str, Any]]:
        """Return events that its sandbox takes, for ``destinations demo``.

        By default there are none, and the samples of the definition are sent.
        """
        return ()

    def page_data(self) -> Mapping[str, object]:
        """Return tables for the documentation page, ``data`` in its templates; by default none."""
        return {}

    def start_sandbox(
        self,
        *,
        seed: Path | None,  # noqa: ARG002 - for those that have a sandbox, as are the others
        port: int = 0,  # noqa: ARG002
        db: Path | None = None,  # noqa: ARG002
        api: str = "current",  # noqa: ARG002
    ) -> RunningSandbox:
        """Start a stand-in for the partner, filled from the file ``seed``.

        It listens on ``port``, or any free one for 0, keeps its data in the file ``db`` if one is
        given, and speaks the partner's API of the name ``api``. Raises `DefinitionError`
        for an invalid seed. The destination of a plugin that does not override this has the sandbox
        that is made from its definition.
        """
        raise UsageError(f"{self.source} has no sandbox of its own")


def find_plugin(slug: str, folder: Traversable | None = None) -> Plugin | None:
    """Return the installed plugin of a destination; None if it is pure data.

    Where two packages have one, it is that of the package with the definition in ``folder``. Raises
    `UsageError` if neither or each of them holds it, and if the plugin cannot be loaded.
    """
    points = [found for found in installed_points(PLUGINS) if found.point.name == slug]
    if not points:
        return None
    own = points if folder is None or len(points) == 1 else _of_folder(points, folder)
    if len(own) != 1:
        names = " and ".join(str(found.package) for found in points)
        raise UsageError(
            f"two packages have a plugin for {slug!r}: {names}; uninstall one of them, or name the "
            "folder of the definition in one of them"
        )
    ((point, package),) = own
    return _load(point, f"the plugin of {slug!r} ({point.value} of {package})")


def _of_folder(points: Sequence[InstalledPoint], folder: Traversable) -> Sequence[InstalledPoint]:
    """Return the plugins whose packages hold the definition in ``folder``."""
    holders = packages_with(folder)
    return [found for found in points if found.package in holders]


def plugin_code(plugin: Plugin | None, store: Store | None) -> Code:
    """Return a plugin's generators and mappers; none without a plugin.

    Raises `UsageError` if it fails, or gives something else.
    """
    if plugin is None:
        return Code()
    code = _asked(plugin, "code", lambda: plugin.code(store), Code, "a destinations.Code")
    for kind in ("generators", "mappers"):
        table = getattr(code, kind)
        if not isinstance(table, Mapping) or not all(map(callable, table.values())):
            msg = f"{plugin.source}: {kind} of its code must be functions by their names"
            raise UsageError(msg)
    return replace(code, source=plugin.source)


def plugin_commands(plugin: Plugin) -> Sequence[click.Command]:
    """Return a plugin's commands; raises `UsageError` if it fails, or gives something else."""
    what = "a list of click commands"
    found = _asked(plugin, "commands", plugin.commands, Sequence, what)
    items: Sequence[object] = found
    if not all(isinstance(one, click.Command) and one.name for one in items):
        raise UsageError(f"{plugin.source}: its commands() must return {what}, each with a name")
    return found


def plugin_console_pages(plugin: Plugin) -> Sequence[object]:
    """Return a plugin's pages of the console; raises `UsageError` if it fails, or gives none."""
    what = "a list of destinations.console.ConsolePage"
    return _asked(plugin, "console_pages", plugin.console_pages, Sequence, what)


def plugin_demo_events(plugin: Plugin | None) -> Sequence[Mapping[str, Any]]:
    """Return a plugin's events of the demo; raises `UsageError` if it fails, or gives none."""
    if plugin is None:
        return ()
    return _asked(plugin, "demo_events", plugin.demo_events, Sequence, "a list of events")


def plugin_changes_command(plugin: Plugin | None) -> str:
    """Return the command of `Plugin.changes_command`; raises `UsageError` if it gives no text."""
    if plugin is None:
        return ""
    return _asked(plugin, "changes_command", plugin.changes_command, str, "a text")


def plugin_page_data(plugin: Plugin | None) -> Mapping[str, object]:
    """Return a plugin's tables for the page; raises `UsageError` if it fails, or gives none."""
    if plugin is None:
        return {}
    return _asked(plugin, "page_data", plugin.page_data, Mapping, "tables by their names")


def plugin_sandbox(
    plugin: Plugin | None,
    *,
    seed: Path | None = None,
    port: int = 0,
    db: Path | None = None,
    api: str = "current",
) -> RunningSandbox | None:
    """Start the sandbox that a plugin brings, which the caller closes; None if it brings none.

    See `Plugin.start_sandbox`. Raises `UsageError` if it fails, or gives something else.
    """
    if plugin is None or type(plugin).start_sandbox is Plugin.start_sandbox:
        return None
    return _asked(
        plugin,
        "start_sandbox",
        lambda: plugin.start_sandbox(seed=seed, port=port, db=db, api=api),
        RunningSandbox,
        "a destinations.RunningSandbox",
    )


def _load(point: EntryPoint, source: str) -> Plugin:
    try:
        loaded: object = point.load()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{source} cannot be imported: {_words(error)}") from error
    if not isinstance(loaded, type) or not issubclass(loaded, Plugin):
        what = f"the class {loaded.__name__}" if isinstance(loaded, type) else _kind(loaded)
        msg = f"{source} must be a class derived from destinations.Plugin, but is {what}"
        raise UsageError(msg)
    for name in _METHODS:
        if not callable(getattr(loaded, name)):
            raise UsageError(
                f"{source}: {name} must be a method, but is {_kind(vars(loaded)[name])}"
            )
    try:
        plugin = loaded()
    except (Exception, SystemExit) as error:  # sys.exit() must not end what uses the others
        raise UsageError(f"{source} cannot be made: {_words(error)}") from error
    plugin.source = source
    return plugin


def _asked(plugin: Plugin, method: str, call: Callable[[], T], kind: type[Any], expected: str) -> T:
    """Return what a method of a plugin gives; raises `UsageError` if that is of another kind."""
    try:
        found = call()
    except DestinationsError:
        raise
    except (Exception, SystemExit) as error:  # sys.exit() must not end what uses the others
        raise UsageError(f"{plugin.source} failed in {method}(): {_words(error)}") from error
    if not isinstance(found, kind):
        msg = f"{plugin.source}: its {method}() must return {expected}, but gives {_kind(found)}"
        raise UsageError(msg)
    return found


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a value of the type {type(value).__name__}"


def _words(error: BaseException) -> str:
    """Return an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
