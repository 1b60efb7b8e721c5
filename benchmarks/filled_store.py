"""Stores in which deliveries wait already."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from destinations.clock import SystemClock
from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import Round
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.runtime.plugins import find_plugin
from destinations.store import SqliteStore

__all__ = ["fill"]

_CHUNK = 1_000


def fill(
    path: Path, settings: dict[str, str], events: Sequence[bytes], names: Sequence[str] = ("kana",)
) -> None:
    """Accept events for each of these destinations of a server, all of them Kana's."""
    definition = load_definition(find_folder("kana"))
    plugin = find_plugin("kana")
    with SqliteStore(path) as store:
        code = None if plugin is None else plugin.code(store)
        checked = check_settings(definition, Document("settings", settings, {}))
        destination = Destination(definition, checked, code)
        intake, queue = Intake(destination), store.queue(SystemClock())
        for name in names:
            scope = store.accounts().served(name, identity_of(destination))
            for start in range(0, len(events), _CHUNK):
                digest, now = intake.digest, time.time()
                planned = [plan(destination, raw) for raw in events[start : start + _CHUNK]]
                queue.commit(
                    Round(
                        arrivals=[
                            (
                                scope,
                                intake.arrival(
                                    one, digest, message_id=one.message_id, accepted_at=now
                                ),
                            )
                            for one in planned
                        ]
                    )
                )
