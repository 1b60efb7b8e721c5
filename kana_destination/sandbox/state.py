"""The state of an account, in memory, with write-through to a database file.

Not thread-safe: the caller holds one lock for the whole of a request (see ``execution``).
Changes are collected while a request runs, and written by :meth:`State.commit`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from kana_destination.sandbox.models import Feature, Package, Subscription, User
from kana_destination.sandbox.storage import Row, Store, document

__all__ = ["Days", "State"]

Days = dict[int, int]
"""Amount used on each day, by the day's proleptic ordinal (UTC).

Days can be added up to any reset period, also after a package has changed it.
"""

_NO_DAYS: Final[Mapping[int, int]] = MappingProxyType({})


class State:
    """Users, features, packages, subscriptions and usage of one account.

    ``name`` is the account's in ``store``; see `Store`.
    """

    def __init__(self, store: Store | None = None, name: str = "") -> None:
        self._store = store
        self._name = name
        self._clear()
        if store is not None:
            self._load(store)

    def _clear(self) -> None:
        self.users: dict[str, User] = {}
        # Replacing a value keeps its place, so these are in order of creation.
        self.users_by_seq: dict[int, User] = {}
        self.features: dict[str, Feature] = {}
        self.packages: dict[str, Package] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.subscriptions_by_user: dict[int, list[Subscription]] = {}
        self.usage: dict[int, dict[str, Days]] = {}
        self._dirty: dict[tuple[str, str], Callable[[], object]] = {}
        self._dirty_usage: set[tuple[int, str]] = set()

    @property
    def is_empty(self) -> bool:
        """Whether the account holds nothing at all, as a new database file does."""
        return not (self.users or self.features or self.packages)

    def next_seq(self) -> int:
        """Return the number of the next new user."""
        return len(self.users_by_seq) + 1

    def next_subscription_id(self) -> str:
        """Return the id of the next subscription: counted, so that repeated tests see the same."""
        return f"sub_{len(self.subscriptions) + 1:04d}"

    def put_user(self, user: User) -> None:
        """Add a user, or replace the one that has its ``seq``, whatever its id was."""
        old = self.users_by_seq.get(user.seq)
        if old is not None and old.id != user.id:
            del self.users[old.id]
        self.users[user.id] = self.users_by_seq[user.seq] = user
        self._mark("user", str(user.seq), user.to_json)

    def put_feature(self, feature: Feature) -> None:
        """Add or replace a feature."""
        self.features[feature.id] = feature
        self._mark("feature", feature.id, feature.to_json)

    def put_package(self, package: Package) -> None:
        """Add or replace a package."""
        self.packages[package.id] = package
        self._mark("package", package.id, package.to_json)

    def add_subscription(self, subscription: Subscription) -> None:
        """Add a subscription."""
        self.subscriptions[subscription.id] = subscription
        self.subscriptions_by_user.setdefault(subscription.user_seq, []).append(subscription)
        self._mark("subscription", subscription.id, subscription.to_json)

    def days(self, user: User, feature_id: str) -> Mapping[int, int]:
        """Return the user's usage of the feature, by day; do not change it."""
        features = self.usage.get(user.seq)
        return _NO_DAYS if features is None else features.get(feature_id, _NO_DAYS)

    def days_to_change(self, user: User, feature_id: str) -> Days:
        """Return :meth:`days` to be changed; the next commit writes the change."""
        if self._store is not None:
            self._dirty_usage.add((user.seq, feature_id))
        return self.usage.setdefault(user.seq, {}).setdefault(feature_id, {})

    def commit(self) -> None:
        """Write what has changed since the last commit; it is on disk when this returns.

        Raises ``sqlite3.Error`` if it cannot be written. The state is then read from the file
        again, as if the request had never come.
        """
        if self._store is None or not (self._dirty or self._dirty_usage):
            return
        try:
            self._store.write(self._rows(), self._name)
        except Exception:
            self._clear()
            self._load(self._store)
            raise
        self._dirty.clear()
        self._dirty_usage.clear()

    def _mark(self, kind: str, key: str, to_json: Callable[[], object]) -> None:
        if self._store is not None:
            self._dirty[kind, key] = to_json

    def _rows(self) -> list[Row]:
        rows = [Row(kind, key, document(make())) for (kind, key), make in self._dirty.items()]
        rows.extend(
            Row(
                "usage",
                document([seq, feature_id]),
                document({str(day): used for day, used in self.usage[seq][feature_id].items()}),
            )
            for seq, feature_id in self._dirty_usage
        )
        return rows

    def _load(self, store: Store) -> None:
        readers: dict[str, Callable[[str, Any], None]] = {
            "user": lambda key, doc: self.put_user(User.from_json(int(key), doc)),
            "feature": lambda _key, doc: self.put_feature(Feature.from_json(doc)),
            "package": lambda _key, doc: self.put_package(Package.from_json(doc)),
            "subscription": lambda _key, doc: self.add_subscription(Subscription.from_json(doc)),
            "usage": self._load_usage,
        }
        for kind, key, text in store.load(self._name):
            readers[kind](key, json.loads(text))
        self._dirty.clear()

    def _load_usage(self, key: str, doc: dict[str, int]) -> None:
        seq, feature_id = json.loads(key)
        days = {int(day): used for day, used in doc.items()}
        self.usage.setdefault(seq, {})[feature_id] = days
