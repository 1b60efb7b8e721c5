"""Secrets show themselves to the transport alone."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.secrets import MASK, Masker, Secret, query_pieces, shown_url

KEY = "prv_test_äb/c+d e\"f'"


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(KEY)),
        f"{Secret(KEY)}",
        "%s" % Secret(KEY),  # noqa: UP031 - one of the ways to print
        "{}".format(Secret(KEY)),  # noqa: UP032 - one of the ways to print
        repr(Secret(KEY)).strip("'"),
        repr([Secret(KEY)])[2:-2],
    ],
)
def test_a_printed_secret_is_masked(shown: str) -> None:
    """No way to print a secret gives its value."""
    assert shown == MASK


def test_a_format_applies_to_the_mask() -> None:
    """A width is the mask's."""
    assert f"{Secret(KEY):>5}|" == "  ***|"


def test_a_secret_is_its_text_to_code() -> None:
    """Requests and mappings work on a secret as on any text."""
    secret = Secret(KEY)
    assert secret == KEY
    assert hash(secret) == hash(KEY)
    assert "".join(secret) == KEY
    assert secret.encode() == KEY.encode()
    assert json.loads(json.dumps({"key": secret})) == {"key": KEY}
    assert "Bearer " + secret == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "again",
    [
        Secret(Secret(KEY)),
        copy.copy(Secret(KEY)),
        copy.deepcopy({"key": Secret(KEY)})["key"],
        pickle.loads(pickle.dumps(Secret(KEY))),  # noqa: S301 - our own
    ],
    ids=["of a secret", "copy", "deepcopy", "pickle"],
)
def test_a_secret_of_a_secret(again: Secret) -> None:
    """It is the same secret: never its mask, which would be sent as a key."""
    assert "".join(again) == KEY
    assert f"{again}" == MASK


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"Unauthenticated: {KEY}.",
        json.dumps({"key": KEY}),
        json.dumps({"key": KEY}, ensure_ascii=False),
        f"https://example.com/?key={quote(KEY)}",
        f"https://example.com/?key={quote(KEY, safe='')}",
        f"https://example.com/?{urlencode({'key': KEY})}",
        f"{KEY}{KEY}",
    ],
)
def test_a_secret_is_masked_in_texts(text: str) -> None:
    """A secret that is echoed, plain or in a known encoding, is replaced by the mask."""
    masked = Masker([Secret(KEY)]).text(text)
    assert MASK in masked
    for part in (KEY, "prv_test", "test_"):
        assert part not in masked


@given(
    before=st.binary(max_size=10),
    secret=st.text(st.characters(codec="utf-8"), min_size=8, max_size=40),
    after=st.binary(max_size=10),
)
def test_a_secret_is_masked_in_base64(before: bytes, secret: str, after: bytes) -> None:
    """Base64 of a text with a secret in it, as in HTTP Basic, cannot be turned back into it."""
    text = base64.b64encode(before + secret.encode() + after).decode()
    masked = Masker([secret]).text(text)
    kept = sum(map(len, masked.split(MASK)))
    # What is left belongs to the text around it, and to at most one character on each side.
    assert MASK in masked
    assert kept <= -(-len(before) * 8 // 6) + 1 + -(-len(after) * 8 // 6) + 3


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        ([], "nothing", "nothing"),
        (["abc"], "abc", "abc"),
        ([""], "abc", "abc"),
        (["abcd"], "xabcdx", "x***x"),
        (["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***"),
        (["a.c*"], "abcc a.c*", "abcc ***"),
    ],
)
def test_what_is_masked(secrets: list[str], text: str, masked: str) -> None:
    """A longer secret goes first; texts too short to be one, and patterns, are not read as such."""
    assert Masker(secrets).text(text) == masked


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("key 12345678", "key ***"),
        ({"a": ["12345678", 1, None, True]}, {"a": ["***", 1, None, True]}),
        ({"12345678": {"b": "12345678"}}, {"***": {"b": "***"}}),
        (("12345678",), ["***"]),
        (12345678, 12345678),
        (Secret("12345678"), "***"),
        (Secret("other"), "other"),
    ],
)
def test_a_secret_is_masked_in_values(value: Any, masked: Any) -> None:
    """Texts and keys are masked at every depth; nothing else changes."""
    result = Masker(["12345678"]).value(value)
    assert json.dumps(result) == json.dumps(masked)


URL = "https://hooks.example.com/services/T0AAAAAAA/B0BBBBBBB/xYz0123456789"


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("abcdefgh12345678", "see abcdefgh and 5678", "see *** and 5678"),
        ("abcdefgh12345678", "ABCDEFGH1234", "***"),
        ("abcdefgh12345678", "xabcdefgx", "xabcdefgx"),
        ("abcdefgh12345678", "abcdefgh12345678abcdefgh", "***"),
        ("abcdefg", "abcdefg ABCDEFG abcdef", "*** ABCDEFG abcdef"),
        # What everybody knows of a secret is no part of it.
        (URL, "see https://hooks.example.com/docs", "see https://hooks.example.com/docs"),
        (URL, "no hook T0AAAAAAA/B0BBBBBBB", "no hook ***"),
        (URL, URL, "***"),
        ("sk_live_abcdefgh", "keys begin with sk_live_", "keys begin with sk_live_"),
        ("sk_live_abcdefgh", "not sk_live_abcd", "not s***"),
        ("https://user:pass%20word@a.example/", "PASS%20WORD", "***"),
        # Letters that become two in lower case are in their places.
        ("abcdefgh12345678", "\u0130 abcdefgh \u0130", "\u0130 *** \u0130"),
        ("line one\nline two", "line one line two", "***"),
    ],
)
def test_what_is_masked_of_what_others_say(secret: str, text: str, masked: str) -> None:
    """Every part of 8 characters, in any case; our own words keep what is no whole secret."""
    assert Masker([secret]).foreign(text) == masked


_ESCAPED_KEY = "acme_key-1/of us"


def _by(escape: Callable[[str], str], text: str = _ESCAPED_KEY) -> str:
    return "".join(map(escape, text))


@pytest.mark.parametrize(
    "text",
    [
        _by(lambda one: f"\\u{ord(one):04x}"),
        _by(lambda one: f"\\u{ord(one):04X}"),
        "\\u0061" + _ESCAPED_KEY[1:],
        _ESCAPED_KEY.replace("_", "\\u005f"),
        _by(lambda one: f"%{ord(one):02X}"),
        _by(lambda one: f"%25{ord(one):02x}"),
        _by(lambda one: f"\\x{ord(one):02x}"),
        _by(lambda one: f"&#{ord(one)};"),
        _by(lambda one: f"&#x{ord(one):x};"),
        json.dumps(_by(lambda one: f"\\u{ord(one):04x}"))[1:-1],
        _ESCAPED_KEY.encode("utf-16-le").decode()[:-1],
        _ESCAPED_KEY.encode("utf-16-be").decode()[1:],
        _ESCAPED_KEY.encode("utf-32-be").decode()[3:],
    ],
)
def test_secrets_with_escaped_characters(text: str) -> None:
    """Of a foreign text, whatever escapes them; all of it goes, and what is beside it stays."""
    masker = Masker([_ESCAPED_KEY])
    assert masker.foreign(f"k={text}, %41 \\u0042") == f"k={MASK}, %41 \\u0042"
    assert masker.foreign(f"k={text[: len(text) * 3 // 4]}").startswith(f"k={MASK}")


@pytest.mark.parametrize(
    "text", ["", "\\", "%", "%4", "\\u00", "&#;", "\0\0", "\\u0041%42&#67;", "100 % \\n é \udc80"]
)
def test_escapes_of_no_secret(text: str) -> None:
    """They stay as they are."""
    assert Masker([_ESCAPED_KEY]).foreign(text) == text


def test_our_own_words_are_not_masked_by_parts() -> None:
    """A word of ours that is missing would tell that it is in the secret."""
    masker = Masker(["my-receiver-key-1"])
    assert masker.text("the receiver is up") == "the receiver is up"
    assert masker.text("MY-RECEIVER-KEY-1") == MASK


@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=8, max_size=60),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
    at=st.integers(0, 60),
    size=st.integers(8, 60),
)
def test_no_part_of_a_secret_is_left(
    secret: str, before: str, after: str, at: int, size: int
) -> None:
    """Whatever part of it stands wherever, none of 8 characters is left."""
    part = secret[at : at + size]
    masked = Masker([secret]).foreign(before + part + after)
    if len(part) >= 8 and "://" not in secret and "_" not in secret:
        assert part not in masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/graphql", "https://example.com/graphql"),
        ("https://example.com/?token=abc", "https://example.com/?token=***"),
        ("https://example.com/?a=1&b=&c=x%20y;d=2", "https://example.com/?a=***&b=&c=***;d=***"),
        ("https://example.com/?abcdef", "https://example.com/?***"),
        ("https://example.com/?a=b?c=d", "https://example.com/?a=***?c=***"),
        ("https://example.com/#abcdef", "https://example.com/#***"),
        ("https://example.com/a@b?c=d@e", "https://example.com/a@b?c=***"),
        ("HTTP://user:abc@example.com/", "HTTP://***@example.com/"),
        ("//user:abc@def@example.com", "//***@example.com"),
        ("https://user:a?b@example.com/", "https://user:a?***"),
        ("not a url", "not a url"),
    ],
)
def test_a_url_is_shown_without_what_it_may_know(url: str, shown: str) -> None:
    """Its userinfo is masked, and so are the values of its query; with a list, only those of it."""
    assert shown_url(url) == shown
    assert shown_url(shown) == shown
    if "@" not in url:
        assert shown_url(url, query_pieces(url)) == shown
        assert shown_url(url, ()) == url


@pytest.mark.parametrize("user", ["bob", "ann2", "x", ""])
@pytest.mark.parametrize("rest", ["", ":", ":more"])
@pytest.mark.parametrize("secret", ["abcdefgh", "abcdefghij", "k3y-of-14-char"])
def test_nothing_is_left_of_a_secret_within_base64(user: str, rest: str, secret: str) -> None:
    """The characters beside its own hold bits of it, and its length: they go as well."""
    token = base64.b64encode(f"{user}:{secret}{rest}".encode()).decode()
    for mask in (Masker([secret]).text, Masker([secret]).foreign):
        assert mask(f"Authorization: Basic {token}, then more") == (
            "Authorization: Basic ***, then more"
        )
        assert mask(f'{{"Basic": "{token}"}}') == '{"Basic": "***"}'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("\u017fecret-\u017fauce-of-ours", "***"),  # a long s, which the pattern takes for an s
        ("SECRET-sauce-OF-ours é", "*** é"),
        ("SECRET-sauce-OF-ours", "***"),
        (b"secret-sauce-of-ours".hex().upper(), "***"),
        ("none of it", "none of it"),
    ],
)
def test_texts_that_are_not_ascii(text: str, masked: str) -> None:
    """They are masked as others are, also where the quick look for a secret cannot be trusted."""
    assert Masker([Secret("secret-sauce-of-ours")]).text(text) == masked
