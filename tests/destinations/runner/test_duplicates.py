"""Messages are recognised within a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.runner.duplicates import SeenMessages


@pytest.fixture(params=[0, 2, 1000])
def seen(request: pytest.FixtureRequest) -> Iterator[SeenMessages]:
    """An empty set, which keeps so many in memory."""
    messages = SeenMessages(in_memory=request.param)
    yield messages
    messages.close()


def test_an_id_is_new_once(seen: SeenMessages) -> None:
    """The second time it is known; other ids are not, down to case and white space."""
    assert seen.add("m1")
    assert not seen.add("m1")
    assert all(seen.add(other) for other in ("M1", "m1 ", "m", "m1\0", "ž", ""))
    assert seen.has("m1")
    assert not seen.has("m2")


def test_an_id_for_one_action_is_another(seen: SeenMessages) -> None:
    """What is noted for an action is noted for that one alone."""
    assert seen.add("m1", "count")
    assert seen.add("m1", "save")
    assert not seen.add("m1", "save")
    assert not seen.has("m1")
    assert seen.has("m1", "count")


@given(ids=st.lists(st.text(st.characters(codec="utf-8"), max_size=3)), in_memory=st.integers(0, 5))
def test_it_is_a_set(ids: list[str], in_memory: int) -> None:
    """It tells new from known as a set does, wherever it keeps them."""
    messages, known = SeenMessages(in_memory=in_memory), set()
    try:
        for message_id in ids:
            assert messages.add(message_id) is (message_id not in known)
            known.add(message_id)
    finally:
        messages.close()
