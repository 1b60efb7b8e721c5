"""A server of PostgreSQL that can be killed, and processes that share a store in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster.fleet import Fleet
from tests.chaos.cluster.networks import PARTNER, Network
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

        def make(
            chance: random.Random,
            *,
            server: PostgresServer = postgres,
            network: Network | None = None,
            **options: Any,
        ) -> Fleet:
            host = None if network is None else network.host(PARTNER)
            partner = LoggingPartner(chance, host=host)
            stack.callback(partner.close)
            made = Fleet(tmp_path, server, partner, network=network, **options)
            stack.callback(made.close)
            return made

        yield make
