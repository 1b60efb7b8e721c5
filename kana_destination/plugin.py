"""The plugin that the entry point names: the code that Kana's definition needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from destinations import Code, Documents, Plugin, Store, UsageError
from destinations.segment.event import Event
from kana_destination.cases import cases
from kana_destination.identify import identify
from kana_destination.mapping_rules import Rule, RuleMapper
from kana_destination.operator_merge import operator_merge
from kana_destination.sandbox_process import SandboxProcess

__all__ = ["SLUG", "KanaPlugin", "StoredRules", "stored_rules"]

SLUG: Final = "kana"


def stored_rules(store: Store) -> Documents:
    """Return the part of the store that holds the mapping rules."""
    return store.documents(SLUG, "rule")


class StoredRules:
    """A mapper that uses the rules in the store, as they are when the event comes.

    So a running server knows a rule as soon as it is added. Several threads may use it.
    """

    def __init__(self, store: Store) -> None:
        self._documents = stored_rules(store)
        self._read: tuple[str, RuleMapper] = ("", RuleMapper(()))

    @property
    def version(self) -> str:
        """The version of the rules; see `destinations.runtime.action.VersionedMapper`."""
        return self._documents.version

    def __call__(self, event: Event, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Map an event by the rules of now; see `RuleMapper`."""
        version = self.version
        known, mapper = self._read
        if version != known:
            entries = self._documents.entries()
            mapper = RuleMapper([Rule(**document.content) for document in entries])
            self._read = (version, mapper)
        return mapper(event, payload)


class KanaPlugin(Plugin):
    """Code, sandbox and commands of the destination ``kana``; see `destinations.Plugin`."""

    def code(self, store: Store | None) -> Code:
        """Return the generators of identify and merge, and the mapper of the rules in ``store``."""
        mapper = RuleMapper(()) if store is None else StoredRules(store)
        return Code({"identify": identify, "merge": operator_merge}, {"rules": mapper})

    def commands(self) -> Sequence[click.Command]:
        """Return the sub-commands of ``destinations kana``."""
        # The commands use the framework's, which look for plugins: they are loaded when called.
        from kana_destination.cli import COMMANDS  # noqa: PLC0415 - a cycle

        return COMMANDS

    def changes_command(self) -> str:
        """Return the command that shows the fields which the API does not change."""
        return "flags --box waiting"

    def console_pages(self) -> Sequence[object]:
        """Return the pages of unmapped events, rules and flagged users."""
        from kana_destination.console import PAGES  # noqa: PLC0415 - needs the extra console

        return PAGES

    def demo_events(self) -> Sequence[Mapping[str, Any]]:
        """Return a user, usage of features that the sandbox has, and usage that a rule must map."""
        return (
            {"type": "identify", "traits": {"email": "ada@example.com", "name": "Ada"}},
            *(
                {"type": "track", "event": event, "properties": {"featureId": feature, "delta": 1}}
                for event, feature in (
                    ("API Called", "api-calls"),
                    ("Report Exported", "exports"),
                    ("Seat Added", "seats"),
                )
            ),
            {"type": "track", "event": "File Uploaded", "properties": {"plan": "pro"}},
        )

    def page_data(self) -> Mapping[str, object]:
        """Return the data of the documentation page: the numbered cases of identify, by number."""
        numbered = {case.number: case for case in cases().values() if case.number is not None}
        return {"cases": [numbered[number] for number in sorted(numbered)]}

    def start_sandbox(
        self, *, seed: Path | None, port: int = 0, db: Path | None = None, api: str = "current"
    ) -> SandboxProcess:
        """Start the sandbox in its own process, so that it can use a core of its own.

        Raises `UsageError` for an unknown ``api``, or if the sandbox cannot start.
        """
        if api not in {"current", "documented"}:
            msg = f"unknown API {api!r} of the Kana sandbox: expected current or documented"
            raise UsageError(msg)
        return SandboxProcess(seed=seed, port=port, db=db, api=api)
