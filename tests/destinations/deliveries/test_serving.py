from __future__ import annotations

from destinations.deliveries import is_served, serving_lock
from destinations.store import Store


def test_whether_a_server_runs(store: Store):
    """Only while somebody holds the lock; to ask does not take it away from a server."""
    assert not is_served(store.path)
    with serving_lock(store.path):
        assert is_served(store.path)
        assert is_served(store.path)
    assert not is_served(store.path)
    with serving_lock(store.path).acquire(timeout=0):
        assert is_served(store.path)
