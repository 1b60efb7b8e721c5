"""A server of PostgreSQL that can be killed, and processes that share a store in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster.fleet import Fleet
from tests.chaos.cluster.partner import LoggingPartner
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server of these tests alone, as it is killed."""
    # Servers are ready only if what they acknowledge outlives a crash.
    server = PostgresServer({"fsync": "on", "full_page_writes": "on"})
    server.make()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def fleet(tmp_path: Path, postgres: PostgresServer) -> Iterator[Callable[..., Fleet]]:
    """Makes a fleet without processes, with a partner of its own."""
    with ExitStack() as stack:

        def make(chance: random.Random, **options: Any) -> Fleet:
            partner = LoggingPartner(chance)
            stack.callback(partner.close)
            made = Fleet(tmp_path, postgres, partner, **options)
            stack.callback(made.close)
            return made

        yield make
