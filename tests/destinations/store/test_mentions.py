"""The id of a user is found in texts of any form, as a whole word."""

from __future__ import annotations

import pytest

from destinations.store.mentions import Mentions, ids_in

WAYS = [
    ("user_17", b'{"userId":"user_17"}'),
    ("user_17", b"type=track&userId=user_17&event=x"),
    ("user_17", b"{'userId':'user_17'}"),
    ("user_17", b'{"userId":"user_17'),
    ("user_17", b'{"userId":" user_17"}'),
    ("user_17", b'{"userId":"user_17 "}'),
    ("user_17", b'{"userId":"\\tuser_17\\n"}'),
    ("user_17", b'{"userId":"user\\u005f17"}'),
    ("user_17", b'{"body":"{\\"userId\\":\\"user_17\\"}"}'),
    ("user_17", b"/v1/user%5F17/events"),
    ("user_17", b"\xff\xfe user_17 \xff"),
    ("user_17", b"merged user_17 into into_55"),
    ("17", b'{"userId":17}'),
    ("17", b'{"userId":17.0}'),
    ("anna@x.com", b"renamed anna@x.com, imported from Stripe"),
    ("anna@x.com", b"userId=anna%40x.com"),
    ("anna+x@x.com", b"userId=anna%2Bx%40x.com"),
    ("andr\u00e9", b'{"userId":"andr\\u00e9"}'),
    ("andr\u00e9", b"userId=andr%C3%A9"),
    ("andr\u00e9", "andr\u00e9".encode()),
    ("\U0001f600", b'{"userId":"\\ud83d\\ude00"}'),
    ("a/b", b'{"userId":"a\\/b"}'),
    ('a"b', b'{"userId":"a\\"b"}'),
]
"""Ids, and texts that spell them."""


@pytest.mark.parametrize(("user", "text"), WAYS)
def test_an_id_in_a_text(user: str, text: bytes) -> None:
    """However it is written, and around whatever."""
    assert Mentions(user).is_in(text)
    assert Mentions(f" {user} ").is_in(text)


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("Anna@X.com", b"userId=anna@x.com"),
        ("anna@x.com", b"userId=ANNA@x.com"),
        ("andre\u0301", "andr\u00e9".encode()),
        ("a b", b"userId=a+b"),
        ("a b", b"userId=a%20b"),
    ],
)
def test_what_may_be_the_same_id(user: str, text: bytes) -> None:
    """Case, normalisation and form bodies: rather found once too often."""
    assert Mentions(user).is_in(text)


@pytest.mark.parametrize("text", [b"user_171", b"my_user_17", b"user_1", b"USER17", b"", "", None])
def test_another_id(text: bytes | str | None) -> None:
    """A part of a word is not the id."""
    assert not Mentions("user_17").is_in(text)


@pytest.mark.parametrize(("user", "text"), [one for one in WAYS if one[0] != 'a"b'])
def test_ids_in_a_text(user: str, text: bytes) -> None:
    """A user of whom only a digest is known is found by the words of a text."""
    assert user in ids_in(text)


def test_an_id_that_is_replaced() -> None:
    """Only where it stands as it is, as often as it does."""
    mentions = Mentions("user_17")
    assert mentions.replaced("user_17 (user_17) user_171 USER_17", "x") == "x (x) user_171 USER_17"
    assert Mentions(r"a\1").replaced(r"of a\1", r"\1") == r"of \1"


def test_a_blank_id() -> None:
    """It is not in every text."""
    assert not Mentions(" ").is_in("a  b")
