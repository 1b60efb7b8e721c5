from __future__ import annotations

from typing import Any

import pytest

from tests.stores import AnyStore, OpenStore


@pytest.mark.parametrize(
    "answer", [None, False, "", [], {"inputFields": [{"name": "id"}]}], ids=str
)
def test_an_answer_outlives_a_run(store: AnyStore, open_store: OpenStore, answer: Any) -> None:
    """It is there, as it was, for whoever opens the store next; also an empty one."""
    store.answers("kana https://a")["request"] = answer
    with open_store() as later:
        again = later.answers("kana https://a")
        assert "request" in again
        assert again["request"] == answer


def test_the_latest_answer_counts(store: AnyStore) -> None:
    """Asked again, an answer replaces the one before."""
    known = store.answers("kana https://a")
    known["b"], known["a"], known["b"] = 1, 2, 3
    assert dict(known) == {"a": 2, "b": 3}
    assert list(known) == ["a", "b"]
    assert len(known) == 2


def test_endpoints_are_apart(store: AnyStore) -> None:
    """What one endpoint answered says nothing of another."""
    one, two = store.answers("kana https://a"), store.answers("kana https://b")
    one["request"] = 1
    assert "request" not in two
    assert dict(two) == {}


def test_what_is_not_known(store: AnyStore) -> None:
    """As with any mapping: KeyError, and a default where it is asked for."""
    known = store.answers("kana https://a")
    with pytest.raises(KeyError, match="request"):
        known["request"]
    with pytest.raises(KeyError, match="request"):
        del known["request"]
    assert known.get("request", "default") == "default"
    known["request"] = 1
    del known["request"]
    assert "request" not in known
