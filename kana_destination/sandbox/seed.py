"""Seeds: the accounts that a sandbox starts with, as YAML or as a mapping.

Keys, all optional: ``apiKeys``, ``users``, ``features``, ``packages``, ``subscriptions``, ``usage``
(the schema is ``seed.schema.json``). Instead of them ``accounts``: a list of accounts, each with
the same keys, and with its ``apiKey`` in the place of ``apiKeys``.

The defaults: a package's ``status`` is ``PUBLISHED``, a subscription's ``ACTIVE``; a user's
``createdAt`` and a usage's ``at`` are the time at which the sandbox starts. An earlier ``at`` puts
usage into a past period.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jsonschema import FormatChecker

from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.sandbox.schema_issues import schema_issues, shipped_schema
from kana_destination.sandbox.models import (
    Feature,
    Package,
    Subscription,
    User,
    iso,
    parse_iso,
)
from kana_destination.sandbox.seed_rules import rule_issues
from kana_destination.sandbox.state import State

__all__ = ["AccountSeed", "Seed", "apply_seed", "load_seed"]

_EXAMPLE: Final = "example-account.yaml"

_FORMATS: Final = FormatChecker(formats=())


@_FORMATS.checks("moment", raises=ValueError)
def _is_moment(value: object) -> bool:
    if isinstance(value, str):
        parse_iso(value)
    return True


@dataclass(frozen=True, slots=True)
class AccountSeed:
    """One account; ``document`` has the form of the YAML file."""

    api_keys: tuple[str, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seed:
    """A checked seed: one account, or with ``has_keys`` one for each key."""

    accounts: tuple[AccountSeed, ...]
    has_keys: bool


def load_seed(source: Path | Mapping[str, Any] | None) -> Seed:
    """Read and check a seed; None is the example account.

    Raises :class:`~destinations.errors.DefinitionError` with every issue and its place, and
    :class:`~destinations.errors.UsageError` if the file cannot be read.
    """
    if isinstance(source, Mapping):
        read = Document("seed", _with_text_moments(source), {})
    elif source is None:
        example = (files("kana_destination.sandbox") / _EXAMPLE).read_text("utf-8")
        read = _read(example, _EXAMPLE)
    else:
        try:
            read = _read(read_text_input(source, pipes=True), str(source))
        except OSError as error:
            raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise DefinitionError([Issue(f"not UTF-8: {error}", file=str(source))]) from None
    document = {} if read.data is None else read.data
    issues = [read.issue(issue.path, issue.message) for issue in _issues(document)]
    if issues:
        raise DefinitionError(sorted(issues, key=lambda issue: issue.line or 0))
    if "accounts" not in document:
        return Seed((AccountSeed(tuple(document.get("apiKeys", ())), document),), has_keys=False)
    accounts = tuple(AccountSeed((one["apiKey"],), one) for one in document["accounts"])
    return Seed(accounts, has_keys=True)


def _issues(document: object) -> Iterator[Issue]:
    schema = shipped_schema("kana_destination.sandbox", "seed.schema.json", _FORMATS)
    yield from schema_issues(schema, document)
    if isinstance(document, Mapping):
        yield from rule_issues(document)


def _read(text: str, name: str) -> Document:
    return read_document(text, name, max_characters=None, may_be_empty=True)


def _with_text_moments(value: Any) -> Any:
    """Return a copy with each ``datetime`` as text: a mapping may have them, unlike YAML text."""
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else parse_iso(value.isoformat()))
    if isinstance(value, Mapping):
        return {key: _with_text_moments(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_moments(item) for item in value]
    return value


def apply_seed(seed: AccountSeed, state: State, now: datetime) -> None:
    """Put a seed's account into an empty state, with users in the order of their creation."""
    document = seed.document
    moment = iso(now)
    users = [{"createdAt": moment, **user} for user in document.get("users", ())]
    for user in sorted(users, key=lambda user: parse_iso(user["createdAt"])):
        state.put_user(User.from_json(state.next_seq(), user))
    for feature in document.get("features", ()):
        state.put_feature(Feature.from_json(feature))
    for package in document.get("packages", ()):
        made = Package.from_json({"status": "PUBLISHED", **package, "updatedAt": moment})
        state.put_package(made)
    for one in document.get("subscriptions", ()):
        subscription = Subscription(
            state.next_subscription_id(),
            state.users[one["userId"]].seq,
            one["packageId"],
            one.get("status", "ACTIVE"),
        )
        state.add_subscription(subscription)
    for one in document.get("usage", ()):
        days = state.days_to_change(state.users[one["userId"]], one["featureId"])
        days[parse_iso(one.get("at", moment)).toordinal()] = one["used"]
