"""The cache of parsed documents, and the root fields that it finds."""

from __future__ import annotations

from typing import Any

import pytest

from kana_destination.sandbox import documents
from kana_destination.sandbox.documents import Documents, documents_of
from kana_destination.sandbox.graphql_schema import schema_of


@pytest.fixture
def cache() -> Documents:
    """An empty cache."""
    return Documents(schema_of("current"))


@pytest.mark.parametrize(
    ("text", "name", "roots"),
    [
        ("{ users { id } }", None, (("users", "users"),)),
        ("{ a: users { id } users { id } }", None, (("a", "users"), ("users", "users"))),
        ("query Q { users { id } }", None, (("users", "users"),)),
        ("query Q { users { id } }", "Q", (("users", "users"),)),
        ("query Q { users { id } }", "R", ()),
        ("query Q { users { id } } query R { features { id } }", "R", (("features", "features"),)),
        ("query Q { users { id } } query R { features { id } }", None, ()),
        ("{ ... { ...F } } fragment F on Query { x: users { id } }", None, (("x", "users"),)),
        ("{ ...F } fragment F on Query { ...F }", None, ()),
        ("{ ...Missing }", None, ()),
        ("{", None, ()),
    ],
)
def test_root_fields_are_those_of_the_operation(
    cache: Documents, text: str, name: str | None, roots: tuple[tuple[str, str], ...]
) -> None:
    """With aliases, through fragments, and also of documents that are not valid."""
    assert cache.get(text).root_fields(name) == roots


def test_a_text_is_read_once(cache: Documents) -> None:
    """The same document comes back for the same text, also one that cannot be run."""
    for text in ("{ users { id } }", "{ nothing }", "{"):
        assert cache.get(text) is cache.get(text)
    assert cache.get("{ users { id } }").errors == ()
    assert cache.get("{ nothing }").node is None


def test_accounts_share_what_was_read() -> None:
    """All accounts of one form of the API have its documents; another form has its own."""
    text = "{ users { id } }"
    assert documents_of("current").get(text) is documents_of("current").get(text)
    assert documents_of("current").get(text) is not documents_of("documented").get(text)


@pytest.mark.parametrize(("limit", "value"), [("_MAX_DOCUMENTS", 3), ("_MAX_CHARACTERS", 60)])
def test_the_cache_is_bounded(
    cache: Documents, monkeypatch: pytest.MonkeyPatch, limit: str, value: Any
) -> None:
    """By number and by characters; what was used last stays."""
    monkeypatch.setattr(documents, limit, value)
    texts = [f"query Q{number} {{ users {{ id }} }}" for number in range(5)]
    first = cache.get(texts[0])
    for text in texts[1:]:
        cache.get(text)
        assert cache.get(texts[0]) is first
        assert len(cache) <= 3


def test_a_document_beyond_all_bounds_is_still_run(
    cache: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in use is always kept."""
    monkeypatch.setattr(documents, "_MAX_CHARACTERS", 1)
    assert cache.get("{ users { id } }").node is not None
    assert len(cache) == 1
