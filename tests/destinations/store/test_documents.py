from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.runtime.store import Document
from destinations.store.documents import StoredDocuments
from tests.stores import AnyStore, OpenStore


@pytest.fixture
def documents(store: AnyStore) -> Callable[..., StoredDocuments]:
    """Documents of a destination and kind, at a time that goes on by a second with each."""
    time = iter(range(1000, 2000))

    def make(destination: str = "sample", kind: str = "rule") -> StoredDocuments:
        return StoredDocuments(store.database, destination, kind, now=lambda: float(next(time)))

    return make


def test_documents_come_in_the_order_of_their_creation(
    documents: Callable[..., StoredDocuments],
) -> None:
    """Not in that of their names; removed and added again, a document is the youngest."""
    rules = documents()
    rules.add(("b", 1), ("c", 2))
    rules.add(("a", 3))
    assert rules.entries() == [
        Document("b", 1, 1000.0),
        Document("c", 2, 1001.0),
        Document("a", 3, 1002.0),
    ]
    rules.remove("b")
    rules.add(("b", 1))
    assert [document.name for document in rules.entries()] == ["c", "a", "b"]
    rules.remove("b")
    rules.add(("d", 4))
    assert [document.name for document in rules.entries()] == ["c", "a", "d"]


@pytest.mark.parametrize(
    "content", [None, 0, 1.5, "ü\n", [], {}, {"a": [{"b": None}], "ü": True}], ids=str
)
def test_content_comes_back_as_it_was(
    documents: Callable[..., StoredDocuments], content: Any
) -> None:
    """Any JSON value."""
    documents().add(("name", content))
    (document,) = documents().entries()
    assert document.content == content


@pytest.mark.parametrize(
    "added", [[("new", 1), ("old", 2)], [("new", 1), ("new", 2)]], ids=["taken", "twice"]
)
def test_all_are_added_or_none(documents: Callable[..., StoredDocuments], added: Any) -> None:
    """A name that is taken, or given twice, is an error that names it; nothing is added then."""
    rules = documents()
    rules.add(("old", 0))
    with pytest.raises(UsageError, match=f"there is a rule '{added[1][0]}' already"):
        rules.add(*added)
    assert [(document.name, document.content) for document in rules.entries()] == [("old", 0)]


def test_nothing_to_add(documents: Callable[..., StoredDocuments]) -> None:
    """No document is no error."""
    documents().add()
    assert documents().entries() == []


@pytest.mark.parametrize(("names", "known"), [([], "none"), (["b", "a"], "b, a")], ids=str)
def test_removing_what_is_not_there(
    documents: Callable[..., StoredDocuments], names: list[str], known: str
) -> None:
    """An error that tells which there are."""
    rules = documents()
    rules.add(*((name, 0) for name in names))
    with pytest.raises(UsageError, match=f"unknown rule 'x'; known: {known}$"):
        rules.remove("x")
    assert len(rules.entries()) == len(names)


def test_destinations_and_kinds_are_apart(documents: Callable[..., StoredDocuments]) -> None:
    """The same name may stand for another document of another kind or destination."""
    scopes = [("one", "rule"), ("one", "note"), ("two", "rule")]
    for number, scope in enumerate(scopes):
        documents(*scope).add(("name", number))
    assert [documents(*scope).entries()[0].content for scope in scopes] == [0, 1, 2]
    documents("one", "rule").remove("name")
    assert [len(documents(*scope).entries()) for scope in scopes] == [0, 1, 1]


def test_the_version_tells_of_every_change(documents: Callable[..., StoredDocuments]) -> None:
    """It is another after each, never one that was before, and says nothing of other kinds."""
    rules, notes = documents(kind="rule"), documents(kind="note")
    seen = [rules.version]
    changes: list[Callable[[], None]] = [
        lambda: rules.add(("a", 1)),
        lambda: rules.add(("b", 2), ("c", 3)),
        lambda: rules.remove("c"),
        lambda: rules.add(("c", 4)),
        lambda: rules.remove("a"),
    ]
    for change in changes:
        change()
        seen.append(rules.version)
    assert len(set(seen)) == len(seen)
    notes.add(("a", 1))
    assert rules.version == seen[-1] == documents(kind="rule").version


def test_another_process_adds_one(
    documents: Callable[..., StoredDocuments], open_store: OpenStore
) -> None:
    """Whoever looks at the version finds out."""
    rules = documents("kana", "rule")
    before = rules.version
    with open_store() as other:
        other.documents("kana", "rule").add(("a", {"event": "E"}))
    assert rules.version != before
    assert [one.name for one in rules.entries()] == ["a"]
