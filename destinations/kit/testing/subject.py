"""The destination under test: folder, definition, and plugin code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from destinations.definition import DestinationDefinition, Preset, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import Settings, check_settings
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import (
    CASES_FOLDER,
    ReadCases,
    read_cases,
    readable_cases,
)
from destinations.runtime.destination import Code, Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import Plugin, RunningSandbox, find_plugin, plugin_code
from destinations.sandbox.starting import start_sandbox

__all__ = ["Subject", "open_subject", "subject_in"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A destination under test."""

    folder: Traversable
    definition: DestinationDefinition
    code: Code
    plugin: Plugin | None = None

    @property
    def slug(self) -> str:
        """Return the destination's slug."""
        return self.definition.slug

    def cases(self, folder: Traversable | None = None) -> list[Case]:
        """Return the cases in ``folder``, by default those next to the definition.

        Raises `DefinitionError` with every issue in every file.
        """
        return read_cases(folder or self.folder / CASES_FOLDER, self.definition)

    def readable_cases(self, folder: Traversable | None = None) -> ReadCases:
        """Return the cases that this version can replay, and issues for the newer ones.

        ``folder`` and errors are those of `cases`.
        """
        return readable_cases(folder or self.folder / CASES_FOLDER, self.definition)

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Check settings; raises `SettingsError` with every issue."""
        return check_settings(self.definition, Document("settings", dict(values), {}))

    def start_sandbox(self, seed: Path | None = None) -> RunningSandbox:
        """Start a stand-in for the partner, which the caller closes; see `start_sandbox`."""
        return start_sandbox(self.definition, self.plugin, seed=seed)

    def reaching(self, sandbox: RunningSandbox) -> Subject:
        """Return the same destination, whose requests go to the sandbox."""
        return replace(self, definition=sandbox.connected(self.definition))

    def bind(
        self,
        settings: Settings,
        presets: tuple[Preset, ...] | None = None,
        *,
        with_tokens: bool = False,
    ) -> Destination:
        """Return the destination with these settings and, if given, other subscriptions.

        Without ``with_tokens`` no access token is asked for: its place is in the requests.
        """
        definition = self.definition
        if presets is not None:
            definition = replace(definition, presets=presets)
        destination = Destination(definition, settings, self.code)
        if not with_tokens:
            destination.keep_tokens(None)
        return destination


def open_subject(destination: str) -> Subject:
    """Return a destination by the slug of an installed definition, or the path of a folder.

    Raises `UsageError` if it is unknown, `DefinitionError` if it has issues.
    """
    return subject_in(find_folder(destination))


def subject_in(folder: Traversable) -> Subject:
    """Return the destination in a folder; raises `DefinitionError` if it has issues."""
    definition = load_definition(folder)
    plugin = find_plugin(definition.slug, folder)
    return Subject(folder, definition, plugin_code(plugin, None), plugin)
