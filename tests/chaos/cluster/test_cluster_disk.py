"""The disk of the database is full for a while: senders wait, and nothing is lost or twice."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.postgres_server as module
from tests.chaos.cluster.fleet import (
    Fleet,
    Senders,
    check,
    until_all_are_ready,
    until_all_flow,
    until_done,
    wait_until,
)
from tests.postgres_server import PostgresServer

pytestmark = [
    pytest.mark.skipif("CHAOS_SEEDS" not in os.environ, reason="for the long form"),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="mounts a disk"),
]
SENDERS, USERS = 4, 3
MEBIBYTES = 160


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={MEBIBYTES}m,mode=1777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    # The server runs as another user, who has to get there.
    for one in place.parents:
        if "pytest-" in str(one):
            one.chmod(one.stat().st_mode | 0o011)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def server(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server whose tables and log are on the small disk."""
    monkeypatch.setattr(module, "folder_in_memory", lambda: disk)
    settings = {"max_wal_size": "48MB", "min_wal_size": "32MB"}
    made = PostgresServer({"fsync": "on", "full_page_writes": "on", **settings})
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


def test_a_full_disk(
    cluster_seed: int, fleet: Callable[..., Fleet], server: PostgresServer, disk: Path
) -> None:
    """Receivers answer 503 meanwhile; the database may end by it, and begins again with room."""
    chance = random.Random(f"disk {cluster_seed}")
    made = fleet(chance, server=server)
    made.start("receive", "receive", "deliver", "deliver")
    wait_until(made.are_lanes_shared)
    senders = Senders(made, chance, SENDERS, USERS)
    wait_until(lambda: len(senders.reached) == SENDERS * USERS)
    for _ in range(2):
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 65_536):
                    pass
            except OSError:
                pass  # it is full
        taken = senders.count
        wait_until(lambda: any(not one.is_ready() for one in made.members))
        filler.unlink()
        if server.process is not None and server.process.poll() is not None:
            server.start()
        until_all_are_ready(made)
        wait_until(lambda before=taken: senders.count > before + SENDERS)  # type: ignore[misc]
        until_all_flow(made)
    senders.stop()
    until_done(made)
    check(made, senders)
