"""The mutations of users, features, packages and subscriptions.

``given`` is a coerced GraphQL input object: a key that the caller left out is absent, and a null
is None. An update keeps what is absent and clears what is null; ``metadata`` is replaced as a
whole. A mutation that is refused raises :class:`KanaError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from kana_destination.sandbox.errors import KanaError, not_subscribable
from kana_destination.sandbox.lookup import feature_of, package_of, user_of
from kana_destination.sandbox.models import Feature, Package, PackageFeature, Subscription, User
from kana_destination.sandbox.state import State

__all__ = [
    "create_feature",
    "create_package",
    "create_user",
    "held_packages",
    "subscribe",
    "update_feature",
    "update_package",
    "update_user",
]

Given = Mapping[str, Any]
_ENDED = frozenset({"CANCELLED", "INCOMPLETE_EXPIRED"})


def _new_id(kind: str, given: Given, taken: Mapping[str, object]) -> str:
    identifier: str = given["id"]
    if not identifier:
        raise KanaError(f"{kind} id must not be empty")
    if identifier in taken:
        raise KanaError(f"{kind} {identifier!r} already exists")
    return identifier


def _updated(kind: str, given: Given, attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes to replace; a required ``name`` cannot be cleared."""
    if kind != "User" and given.get("name", "") is None:
        raise KanaError(f"{kind} name must not be null")
    return {attribute: given[key] for key, attribute in attributes.items() if key in given}


_USER = {
    "id": "id",
    "billingId": "billing_id",
    "name": "name",
    "email": "email",
    "metadata": "metadata",
}
_FEATURE = {
    "name": "name",
    "unitLabel": "unit_label",
    "unitLabelPlural": "unit_label_plural",
    "metadata": "metadata",
}
_PACKAGE = {"name": "name", "prices": "prices", "metadata": "metadata"}


def create_user(state: State, given: Given, now: datetime) -> User:
    """Create a user; refuse an id that exists (Kana does not document what it does)."""
    _new_id("User", given, state.users)
    user = User(
        state.next_seq(),
        given["id"],
        given.get("billingId"),
        given.get("name"),
        given.get("email"),
        given.get("metadata"),
        now,
    )
    state.put_user(user)
    return user


def update_user(state: State, user_id: str, given: Given) -> User:
    """Change a user. Another ``id`` renames it; it keeps its usage and subscriptions."""
    user = user_of(state, user_id)
    if given["id"] != user.id:
        _new_id("User", given, state.users)
    user = replace(user, **_updated("User", given, _USER))
    state.put_user(user)
    return user


def create_feature(state: State, given: Given) -> Feature:
    """Create a feature."""
    _new_id("Feature", given, state.features)
    feature = Feature.from_json(given)
    state.put_feature(feature)
    return feature


def update_feature(state: State, feature_id: str, given: Given) -> Feature:
    """Change a feature's name, labels or metadata."""
    feature = feature_of(state, feature_id)
    feature = replace(feature, **_updated("Feature", given, _FEATURE))
    state.put_feature(feature)
    return feature


def create_package(state: State, given: Given, now: datetime) -> Package:
    """Create a package; its features must exist."""
    package = Package(
        _new_id("Package", given, state.packages),
        given["name"],
        bool(given.get("isAddon")),
        given.get("status") or "DRAFT",
        now,
        _entries(state, given.get("features") or ()),
        given.get("prices"),
        given.get("metadata"),
    )
    state.put_package(package)
    return package


def update_package(state: State, package_id: str, given: Given, now: datetime) -> Package:
    """Change a package; if ``features`` is given, it replaces the whole list."""
    package = package_of(state, package_id)
    updated = _updated("Package", given, _PACKAGE)
    if given.get("features") is not None:
        updated["features"] = _entries(state, given["features"])
    if given.get("status") is not None:
        updated["status"] = given["status"]
    package = replace(package, updated_at=now, **updated)
    state.put_package(package)
    return package


def _entries(state: State, given: Sequence[Given]) -> dict[str, PackageFeature]:
    entries: dict[str, PackageFeature] = {}
    for item in given:
        entry = PackageFeature.from_json(item)
        feature_of(state, entry.id)
        if entry.id in entries:
            raise KanaError(f"Feature {entry.id!r} is listed twice in the package")
        entries[entry.id] = entry
    return entries


def held_packages(state: State, user: User) -> list[Package]:
    """Return the packages of those subscriptions of the user that have not ended."""
    return [
        state.packages[one.package_id]
        for one in state.subscriptions_by_user.get(user.seq, ())
        if one.status not in _ENDED
    ]


def subscribe(state: State, user_id: str, package_ids: Sequence[str]) -> list[Subscription]:
    """Subscribe a user to all packages or to none.

    Packages must be published, and a user holds each only once, with at most one base package and
    any number of add-ons.
    """
    user = user_of(state, user_id)
    if not package_ids:
        raise not_subscribable("packageIds must name at least one package")
    packages = [package_of(state, package_id) for package_id in package_ids]
    held = held_packages(state, user)
    for package in packages:
        if package.status != "PUBLISHED":
            raise not_subscribable(
                f"Package {package.id!r} is {package.status}; only PUBLISHED ones can be subscribed"
            )
        if any(package.id == other.id for other in held):
            raise not_subscribable(f"User {user_id!r} already holds the package {package.id!r}")
        base = None if package.is_addon else next((p for p in held if not p.is_addon), None)
        if base is not None:
            raise not_subscribable(
                f"User {user_id!r} cannot hold {package.id!r} in addition to {base.id!r}: "
                "one base package a user, any number of add-ons"
            )
        held.append(package)
    made = []
    for package in packages:
        subscription = Subscription(state.next_subscription_id(), user.seq, package.id)
        state.add_subscription(subscription)
        made.append(subscription)
    return made
