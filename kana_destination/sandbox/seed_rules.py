"""Check what a seed's schema cannot: unique ids that exist, and the rules of subscribing.

Entries of the wrong form are skipped here: the schema reports them. ``base`` is the place of the
account in the seed, empty for a seed that is one account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.errors import Issue
from destinations.segment.json_pointer import pointer

__all__ = ["rule_issues"]

Entry = tuple[int, Mapping[str, Any]]

_OF_ONE_ACCOUNT: Final = ("apiKeys", "users", "features", "packages", "subscriptions", "usage")


def rule_issues(document: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield every issue that the schema cannot find, account by account, section by section."""
    if "accounts" not in document:
        yield from _account(document, "")
        return
    for section in _OF_ONE_ACCOUNT:
        if section in document:
            yield Issue("must not be beside /accounts: put it into an account", pointer(section))
    first: dict[object, int] = {}
    for index, account in _entries(document, "accounts"):
        place, key = pointer("accounts", index), account.get("apiKey")
        if isinstance(key, str) and first.setdefault(key, index) != index:
            other = pointer("accounts", first[key])
            yield Issue(f"is the key of {other} already", f"{place}/apiKey")
        yield from _account(account, place)


def _account(document: Mapping[str, Any], base: str) -> Iterator[Issue]:
    for section in ("users", "features", "packages"):
        yield from _repeated_ids(document, base, section)
    for index, package in _entries(document, "packages"):
        yield from _package_features(document, base, index, package)
    yield from _subscriptions(document, base)
    yield from _usage(document, base)


def _entries(holder: Mapping[str, Any], key: str) -> Iterator[Entry]:
    found = holder.get(key)
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, Mapping):
            yield index, entry


def _ids(document: Mapping[str, Any], section: str) -> dict[str, Entry]:
    """Return the first entry of each id; the schema reports ids of other types."""
    found: dict[str, Entry] = {}
    for index, entry in _entries(document, section):
        if isinstance(entry.get("id"), str):
            found.setdefault(entry["id"], (index, entry))
    return found


def _repeated_ids(document: Mapping[str, Any], base: str, section: str) -> Iterator[Issue]:
    first = _ids(document, section)
    for index, entry in _entries(document, section):
        identifier = entry.get("id")
        if isinstance(identifier, str) and first[identifier][0] != index:
            other = base + pointer(section, first[identifier][0])
            place = base + pointer(section, index, "id")
            yield Issue(f"{identifier!r} is the id of {other} already", place)


def _unknown(
    document: Mapping[str, Any], base: str, section: str, identifier: object, path: str
) -> Iterator[Issue]:
    if isinstance(identifier, str) and identifier not in _ids(document, section):
        yield Issue(f"{identifier!r} is not an id in {base}/{section}", path)


def _package_features(
    document: Mapping[str, Any], base: str, at: int, package: Mapping[str, Any]
) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, entry in _entries(package, "features"):
        identifier = entry.get("id")
        path = base + pointer("packages", at, "features", index, "id")
        yield from _unknown(document, base, "features", identifier, path)
        if isinstance(identifier, str):
            if identifier in seen:
                yield Issue(f"{identifier!r} is in this package already", path)
            seen.add(identifier)


def _subscriptions(document: Mapping[str, Any], base: str) -> Iterator[Issue]:
    packages = _ids(document, "packages")
    held: dict[str, list[str]] = {}
    for index, entry in _entries(document, "subscriptions"):
        user, package = entry.get("userId"), entry.get("packageId")
        path = base + pointer("subscriptions", index)
        yield from _unknown(document, base, "users", user, f"{path}/userId")
        yield from _unknown(document, base, "packages", package, f"{path}/packageId")
        if not isinstance(user, str) or not isinstance(package, str) or package not in packages:
            continue
        if packages[package][1].get("status") == "DRAFT":
            yield Issue(f"{package!r} is a DRAFT: no user can hold it", f"{path}/packageId")
        if entry.get("status") in ("CANCELLED", "INCOMPLETE_EXPIRED"):
            continue
        others = held.setdefault(user, [])
        bases = [one for one in others if not packages[one][1].get("isAddon")]
        if package in others:
            yield Issue(f"{user!r} holds {package!r} already", path)
        elif bases and not packages[package][1].get("isAddon"):
            message = f"{user!r} holds {bases[0]!r} already: one base package a user"
            yield Issue(message, path)
        others.append(package)


def _usage(document: Mapping[str, Any], base: str) -> Iterator[Issue]:
    seen: dict[tuple[object, object, object], int] = {}
    for index, entry in _entries(document, "usage"):
        user, feature, at = entry.get("userId"), entry.get("featureId"), entry.get("at")
        path = base + pointer("usage", index)
        yield from _unknown(document, base, "users", user, f"{path}/userId")
        yield from _unknown(document, base, "features", feature, f"{path}/featureId")
        if not (isinstance(user, str) and isinstance(feature, str)):
            continue
        day = at[:10] if isinstance(at, str) else None
        first = seen.setdefault((user, feature, day), index)
        if first != index:
            other = base + pointer("usage", first)
            yield Issue(f"the usage of {feature!r} by {user!r} is in {other} already", path)
