"""Whatever is kept in a store in whatever order, it is there as its model has it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from destinations.errors import UsageError
from destinations.outcome import ManualChange
from destinations.postgres.address import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.store import Store
from destinations.store import SqliteStore, broken_rules
from tests.example_counts import examples
from tests.memory import folder_in_memory
from tests.postgres_server import give_back_stores, new_store_address
from tests.stores import AnyStore

SCOPES = (("kana", "rule"), ("kana", "note"), ("other", "rule"))
PARTNERS = ("kana http://a/", "kana http://b/")
ACCOUNTS = ("one", "two")

scopes = st.sampled_from(SCOPES)
names = st.sampled_from(["a", "b", "c"])
partners = st.sampled_from(PARTNERS)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
subjects = st.sampled_from(["ann", "bob", "cleo"])
fields = st.dictionaries(st.sampled_from(["email", "name"]), st.sampled_from(["x", "y"]))
settled = st.frozensets(st.sampled_from(["email", "name"]))


@dataclass
class Model:
    """Documents in their order, answers, and the fields to set by account and user."""

    documents: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def note(self, account: str, change: ManualChange) -> None:
        """Note what is left to be done for a user; one that has something new goes to the end."""
        waiting = self.changes.setdefault(account, {})
        before = waiting.get(change.subject, {})
        kept = {name: value for name, value in before.items() if name not in change.settled}
        after = {**kept, **change.fields}
        if after == before:
            return
        waiting.pop(change.subject, None)
        if after:
            waiting[change.subject] = after


class StoreMachine(RuleBasedStateMachine):
    """A store beside its model; each store has a machine that says how it is opened."""

    store: Store
    accounts: Sequence[int]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    @rule(scope=scopes, added=st.lists(st.tuples(names, values), max_size=3))
    def add_documents(self, scope: tuple[str, str], added: Sequence[tuple[str, Any]]) -> None:
        """All are kept or none: a name that is taken, or given twice, is an error."""
        known = self.model.documents.setdefault(scope, {})
        given = [name for name, _ in added]
        documents = self.store.documents(*scope)
        if len(set(given)) < len(given) or known.keys() & set(given):
            with pytest.raises(UsageError, match="already"):
                documents.add(*added)
        else:
            documents.add(*added)
            known |= dict(added)

    @rule(scope=scopes, name=names)
    def remove_document(self, scope: tuple[str, str], name: str) -> None:
        """One that is not there is an error."""
        known = self.model.documents.setdefault(scope, {})
        documents = self.store.documents(*scope)
        if name in known:
            documents.remove(name)
            del known[name]
        else:
            with pytest.raises(UsageError, match=f"unknown {scope[1]} '{name}'"):
                documents.remove(name)

    @rule(partner=partners, request=names, answer=values)
    def keep_answer(self, partner: str, request: str, answer: Any) -> None:
        """The latest answer counts."""
        self.store.answers(partner)[request] = answer
        self.model.answers.setdefault(partner, {})[request] = answer

    @rule(partner=partners, request=names)
    def forget_answer(self, partner: str, request: str) -> None:
        """It is asked for again."""
        known = self.model.answers.setdefault(partner, {})
        assert self.store.answers(partner).pop(request, "none") == known.pop(request, "none")

    @rule(account=st.integers(0, 1), subject=subjects, values=fields, done=settled)
    def note_change(
        self, account: int, subject: str, values: dict[str, str], done: frozenset[str]
    ) -> None:
        """Of each field the latest change waits, until the field is settled."""
        change = ManualChange(subject, values, done)
        self.store.manual_changes([self.accounts[account]]).note(change)
        self.model.note(ACCOUNTS[account], change)

    @invariant()
    def documents_are_there(self) -> None:
        """In the order in which they were added, and each kind for itself."""
        for scope in SCOPES:
            documents = self.store.documents(*scope)
            known = self.model.documents.get(scope, {})
            assert [(one.name, one.content) for one in documents.entries()] == list(known.items())

    @rule(scope=scopes, value=values)
    def versions_tell(self, scope: tuple[str, str], value: Any) -> None:
        """Whoever remembers a version finds out that there is more, or less."""
        documents = self.store.documents(*scope)
        before = documents.version
        assert self.store.documents(*scope).version == before
        documents.add(("passing", value))
        between = documents.version
        documents.remove("passing")
        assert before != between != documents.version

    @invariant()
    def answers_are_there(self) -> None:
        """Each for its partner alone."""
        for partner in PARTNERS:
            assert dict(self.store.answers(partner)) == self.model.answers.get(partner, {})

    @invariant()
    def changes_are_there(self) -> None:
        """Each for its account alone, in the order in which they were noted."""
        for account, name in zip(self.accounts, ACCOUNTS, strict=True):
            waiting = self.store.manual_changes([account]).entries()
            assert list(waiting.items()) == list(self.model.changes.get(name, {}).items())


class DurableStoreMachine(StoreMachine):
    """A store that outlives its process."""

    def open_store(self) -> AnyStore:
        """Open the store, which is empty at first."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        """Make an empty store with two accounts."""
        self.store = self.opened = self.open_store()
        self.accounts = [
            self.opened.accounts().add(AccountIdentity("kana", f"http://{name}/", "", name, name))
            for name in ACCOUNTS
        ]

    @rule()
    def restart(self) -> None:
        """Everything is there for the next process."""
        assert broken_rules(self.opened.database) == []
        self.opened.close()
        self.store = self.opened = self.open_store()

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()


class SqliteStoreMachine(DurableStoreMachine):
    """The store that is a file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=folder_in_memory())

    def open_store(self) -> AnyStore:
        """Open the store, which is empty at first."""
        return SqliteStore(Path(self.folder.name) / "store.sqlite3")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class PostgresStoreMachine(DurableStoreMachine):
    """The store that PostgreSQL keeps."""

    address: PostgresAddress | None = None

    def open_store(self) -> AnyStore:
        """Open the store, which is empty at first."""
        self.address = self.address or new_store_address()
        return PostgresStore(self.address)

    def teardown(self) -> None:
        super().teardown()
        give_back_stores()


TestSqliteStore = SqliteStoreMachine.TestCase
TestSqliteStore.settings = settings(
    max_examples=examples(16), stateful_step_count=25, deadline=None
)
TestPostgresStore = PostgresStoreMachine.TestCase
TestPostgresStore.settings = settings(
    max_examples=examples(8), stateful_step_count=25, deadline=None
)
