from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.store.digests import message_digest, packed_id, unpacked_id

UUID = "0b8a1f0e-5d5c-4f0a-9d1f-7a0e6f1c2b3a"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (UUID, 17),
        (UUID.upper(), 17),
        (f"ajs-next-{UUID}", 26),
        (f"ü{UUID}", 19),
        (f"{'x' * 24}{UUID}", 41),
        # As they are: nothing is gained, or they could not be brought back.
        (f"{'x' * 25}{UUID}", None),
        (f"{UUID}x", None),
        (UUID[:-1], None),
        (UUID.replace("-", ""), None),
        (f"{UUID[:8].upper()}{UUID[8:]}", None),
        ("00000000-0000-0000-0000-000000000000", 17),
        (f"a\n{UUID}", None),
        ("", None),
        ("m1", None),
    ],
)
def test_ids_are_kept_short(text: str, size: int | None) -> None:
    """One that ends in a UUID is kept as bytes, any other as it is; both come back."""
    kept = packed_id(text)
    assert unpacked_id(kept) == text
    assert (len(kept) if isinstance(kept, bytes) else None) == size


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(lambda head, one: head + str(one), st.text(max_size=30), st.uuids()),
        st.builds(lambda head, one: head + str(one).upper(), st.text(max_size=3), st.uuids()),
    )
)
def test_every_id_comes_back(text: str) -> None:
    """Whatever it is."""
    assert unpacked_id(packed_id(text)) == text


def test_a_message_is_found_by_scope_and_id() -> None:
    """Another scope, or another id, has another digest, down to the last character."""
    ids = ["m1", "m1 ", "M1", "m", "", "m1\0", "\ud800", str(uuid.UUID(int=0))]
    digests = {message_digest(scope, one) for scope in (1, 2, 11) for one in ids}
    assert len(digests) == 3 * len(ids)
    assert message_digest(1, "1m") != message_digest(11, "m")
    assert message_digest(1, "m1") == message_digest(1, "m1")
    assert {len(one) for one in digests} == {12}
