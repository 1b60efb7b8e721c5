"""A cluster: several processes that deliver from one store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.runtime.destination import Destination
from tests.destinations.pipeline.conftest import with_reconcile
from tests.destinations.postgres.cluster import Cluster


@pytest.fixture
def cluster(bind: Callable[..., Destination]) -> Iterator[Cluster]:
    """A store without members, whose partner can be asked what it counted."""
    made = Cluster(bind(with_reconcile))
    yield made
    made.close()


def _touching(documents: dict[str, Any]) -> None:
    with_reconcile(documents)
    documents["count"]["touches"] = [{"@path": "$.payload.thing"}]


@pytest.fixture
def touching(bind: Callable[..., Destination]) -> Iterator[Cluster]:
    """A store without members; each event touches the account of its thing as well."""
    made = Cluster(bind(_touching))
    yield made
    made.close()


@pytest.fixture
def newer(bind: Callable[..., Destination]) -> Destination:
    """The destination of the cluster with a newer definition, which takes more events."""

    def change(documents: dict[str, Any]) -> None:
        with_reconcile(documents)
        presets = documents["destination"]["presets"]
        (usual,) = [preset for preset in presets if preset["partnerAction"] == "count"]
        presets.append({**usual, "name": "New", "subscribe": 'type = "screen"'})

    return bind(change)
