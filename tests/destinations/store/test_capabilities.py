from __future__ import annotations

from typing import Any

import pytest

from destinations.store import Capabilities, Store


@pytest.mark.parametrize(
    "answer", [None, False, "", [], {"inputFields": [{"name": "id"}]}], ids=str
)
def test_an_answer_outlives_a_run(store: Store, answer: Any):
    """It is there, as it was, for whoever opens the store next; also an empty one."""
    Capabilities(store, "account")["request"] = answer
    again = Capabilities(store, "account")
    assert "request" in again
    assert again["request"] == answer


def test_the_latest_answer_counts(store: Store):
    """Asked again, an answer replaces the one before."""
    known = Capabilities(store, "account")
    known["b"], known["a"], known["b"] = 1, 2, 3
    assert dict(known) == {"a": 2, "b": 3}
    assert list(known) == ["a", "b"]
    assert len(known) == 2


def test_accounts_are_apart(store: Store):
    """What one endpoint answered says nothing of another."""
    one, two = Capabilities(store, "one"), Capabilities(store, "two")
    one["request"] = 1
    assert "request" not in two
    assert dict(two) == {}


def test_what_is_not_known(store: Store):
    """As with any mapping: KeyError, and a default where it is asked for."""
    known = Capabilities(store, "account")
    with pytest.raises(KeyError, match="request"):
        known["request"]
    with pytest.raises(KeyError, match="request"):
        del known["request"]
    assert known.get("request", "default") == "default"
    known["request"] = 1
    del known["request"]
    assert "request" not in known
