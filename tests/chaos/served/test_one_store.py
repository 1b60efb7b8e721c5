"""Two servers of one store, and a server whose store is taken away, while events come in."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.operations import back_up
from destinations.store import SqliteStore

IS_LONG = "CHAOS_SEEDS" in os.environ
ROUNDS = 6 if IS_LONG else 1
EVENTS = 240 if IS_LONG else 30
SENDERS = 3
LATE = 8
"""So many events are sent only after the store was taken away."""

IN_USE = 75
"""The exit code of a server that is refused."""


def test_two_servers_of_one_store(  # noqa: PLR0917 - fixtures
    often_killed_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    senders: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """One that knows it by a link is refused as long as the other one lives, and vice versa.

    Both are started at about the same time, again and again; the one that delivers is killed.
    """
    chance = random.Random(f"two {often_killed_seed}")
    events = traffic(chance, users=9, events=EVENTS)
    kana = partner(events.seed)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.sqlite3"
    link.symlink_to(ledger.path)
    servers = [serving(kana.settings), serving(kana.settings, link=link)]
    first = servers[0]
    sending = senders(first, events.events, chance, SENDERS)

    def received() -> int:
        return sum(len(sender.acknowledged) for sender in sending)

    notes = []
    for nth in range(ROUNDS):
        chance.shuffle(servers)
        processes = [servers[0].spawn()]
        # The first one makes the store.
        if nth == 0 or chance.random() < 0.5:
            until(partial(_has_begun, servers[0], processes[0]))
        processes.append(servers[1].spawn())
        until(partial(_is_one_refused, processes))
        alive = next(nth for nth, one in enumerate(processes) if one.poll() != IN_USE)
        until(partial(_has_begun, servers[alive], processes[alive]))
        first.use(servers[alive].listens_at)
        told = received()
        until(partial(_is_more, received, told, sending))
        first.use(None)
        servers[alive].kill()
        notes.append((alive, told))
    first.start()
    until(lambda: not any(sender.is_alive() for sender in sending))
    until(ledger.is_done)
    assert first.stop() == 0
    print(f"seed {often_killed_seed}: {notes}")
    assert [sender.faults for sender in sending] == [[]] * SENDERS
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}


def _has_begun(server: Any, process: subprocess.Popen[bytes]) -> bool:
    return bool(server.listens_at) or process.poll() is not None


def _is_one_refused(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return IN_USE in {one.poll() for one in processes}


def _is_more(received: Callable[[], int], told: int, sending: Sequence[Any]) -> bool:
    return received() > told or not any(sender.is_alive() for sender in sending)


def _move(path: Path, kept: Path) -> None:
    path.rename(kept)


def _replace_by_a_backup(path: Path, kept: Path) -> None:
    back_up(path, path.with_name("backup"))
    kept.hardlink_to(path)
    path.with_name("backup").replace(path)


def _replace_by_a_new_one(path: Path, kept: Path) -> None:
    SqliteStore(path.with_name("new")).close()
    kept.hardlink_to(path)
    path.with_name("new").replace(path)


TAKEN: Mapping[str, Callable[[Path, Path], None]] = {
    "moved": _move,
    "replaced by a backup": _replace_by_a_backup,
    "replaced by a new one": _replace_by_a_new_one,
}


@pytest.mark.parametrize("how", TAKEN if IS_LONG else ["replaced by a backup"])
def test_a_store_that_is_taken_away(  # noqa: PLR0917 - fixtures
    often_killed_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    senders: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
    how: str,
) -> None:
    """Nothing is acknowledged any more, and all that was is in the store that was taken away.

    Put back, it is gone on with: everything is there once, and counted once.
    """
    chance = random.Random(f"taken away {often_killed_seed} {how}")
    events = traffic(chance, users=9, events=EVENTS)
    kana = partner(events.seed)
    rule = {"match": {"rootField": "recordUsage"}, "delay": 0.02, "times": None}
    kana.sandbox.faults.add(rule)
    server = serving(kana.settings)
    server.start()
    sending = senders(server, events.events[:-LATE], chance, SENDERS)

    def told() -> set[str]:
        return {message for sender in sending for message in list(sender.acknowledged)}

    def have_tried_again() -> Callable[[], bool]:
        before = [sender.again for sender in sending]
        return lambda: all(
            sender.again > since or not sender.is_alive()
            for sender, since in zip(sending, before, strict=True)
        )

    def is_unready() -> bool:
        found = requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=60)
        return found.status_code == 503 and "removed or replaced" in found.text

    enough = chance.randint(1, EVENTS // 3)
    until(lambda: len(told()) >= enough)
    kept = ledger.path.with_name("kept.sqlite3")
    TAKEN[how](ledger.path, kept)
    sending += senders(server, events.events[-LATE:], chance, 1)  # the others may be done by now
    until(is_unready)
    until(have_tried_again())
    acknowledged = told()
    until(have_tried_again())
    assert told() == acknowledged
    assert len(acknowledged) < len(events.messages)
    server.kill()
    kept.replace(ledger.path)  # its log is still in its place
    assert acknowledged <= set(ledger.accepted)
    server.start()
    until(lambda: not any(sender.is_alive() for sender in sending))
    until(ledger.is_done)
    assert server.stop() == 0
    print(f"seed {often_killed_seed}: {how} after {len(acknowledged)} of {len(events.messages)}")
    assert [sender.faults for sender in sending] == [[]] * (SENDERS + 1)
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
