"""Bind the destinations of a configuration: definition, settings, code, and who may post."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from destinations.definition import DefinitionFiles, DestinationDefinition
from destinations.definition.connection import connect
from destinations.definition.key_sources import keys_of, same_key, twice_message
from destinations.definition.secret_sources import NAME_IT
from destinations.definition.setting_uses import address_settings
from destinations.definition.settings import (
    Settings,
    check_settings,
    is_url,
    settings_to_show,
)
from destinations.errors import DefinitionError, Issue, UsageError, did_you_mean
from destinations.opening import check_written
from destinations.runtime.account_identity import AccountIdentity, identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import Plugin, find_plugin, plugin_code
from destinations.runtime.store import Store
from destinations.secrets import Secret
from destinations.segment.event import DELETE
from destinations.segment.fql import overlap
from destinations.segment.json_pointer import pointer
from destinations.server.auth import Authenticator
from destinations.server.config_model import DestinationConfig, ServeConfig, TenantsConfig

__all__ = ["Bound", "bind", "bind_to_show", "check_definitions", "connected_definition"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A destination of the configuration, ready to take events."""

    config: DestinationConfig
    destination: Destination
    authenticator: Authenticator
    plugin: Plugin | None = None
    header_settings: frozenset[str] = frozenset()
    """The settings that customers send with each request."""
    fault: str = ""
    """Why its connection does not fit the definition; then ``destination`` is without it."""
    files: DefinitionFiles | None = None
    """What its definition was loaded from."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.config.name

    @property
    def identity(self) -> AccountIdentity:
        """The account at the partner that it delivers to."""
        return identity_of(self.destination, self.config.account)

    @property
    def secrets(self) -> Sequence[Secret]:
        """The secrets of its settings and of its senders."""
        of_settings = [it for it in self.destination.settings.values() if isinstance(it, Secret)]
        return [*of_settings, *self.config.receiver.secrets]

    @property
    def has_tokens(self) -> bool:
        """Whether it gets access tokens, which the store keeps."""
        return self.destination.definition.oauth2 is not None

    @property
    def warnings(self) -> Sequence[str]:
        """The problems that do not keep it from working.

        That is what its definition warns of, and secrets in files that every user can read.
        """
        secret = {pointer("settings", key) for key in self.destination.definition.secret_settings}
        of_definition = [f"{self.name}: {one}" for one in self.destination.definition.warnings]
        return of_definition + [
            f"{self.name}: {place}: every user of this machine can read {path}; only its owner "
            "should be able to (chmod 600); then replace the secret"
            for place, path in self.config.exposed.items()
            if place in secret or not place.startswith("/settings/")
        ]

    @property
    def types(self) -> frozenset[str] | None:
        """The calls that its actions support; None if one of them does not say."""
        definition = self.destination.definition
        methods = [action.method for action in definition.event_actions.values()]
        if not all(methods):
            return None
        deletes: set[str] = set() if definition.deletion is None else {DELETE}
        return frozenset(method for method in methods if method) | deletes


def bind(
    config: ServeConfig,
    store: Store | None,
    *,
    has_fitted: Callable[[DestinationConfig], bool] = lambda _: False,
) -> Sequence[Bound]:
    """Bind all destinations; raises `DefinitionError` with the issues in all of them.

    Without a ``store``, what customers added to a plugin, such as rules, is left out.
    ``has_fitted`` says of a connection that it has fitted an earlier version of the definition: if
    it does not fit any more, that is the `fault` of its destination, and no issue.
    """
    bound: list[Bound] = []
    issues: list[Issue] = []
    for place, found in _defined(config, issues, has_fitted):
        each = found.config
        try:
            if found.definition.oauth2 is not None and not config.has_sealing:
                issues.append(replace(each.settings.issue("", _UNSEALED), path=place))
                continue
            one = _bind(each, found.definition, found.folder, store, found.of_customers)
            bound.append(replace(one, files=found.files, fault=found.fault))
        except DefinitionError as error:
            issues += [_placed(issue, each, place) for issue in error.issues]
        except UsageError as error:
            issues.append(replace(each.settings.issue("", str(error)), path=place))
    issues += _same_account(bound)
    issues += _counted_twice(bound)
    if issues:
        raise DefinitionError(issues)
    return bound


_UNSEALED: Final = (
    "gets access tokens, which the store keeps sealed: add sealing, with a key that destinations "
    "store new-key makes"
)


def check_definitions(config: ServeConfig) -> None:
    """Raise `DefinitionError` for what is wrong whatever the settings are.

    That is a definition with a fault, or one that the connection of its destination does not fit.
    """
    issues: list[Issue] = []
    list(_defined(config, issues))
    if issues:
        raise DefinitionError(issues)


@dataclass(frozen=True, slots=True)
class _Defined:
    """A destination of the configuration with its definition, and the settings of customers."""

    config: DestinationConfig
    definition: DestinationDefinition
    folder: Traversable
    files: DefinitionFiles
    of_customers: frozenset[str]
    fault: str = ""


def _defined(
    config: ServeConfig,
    issues: list[Issue],
    has_fitted: Callable[[DestinationConfig], bool] = lambda _: False,
) -> Iterator[tuple[str, _Defined]]:
    """Yield destinations with their places; ``issues`` gets what is wrong with the others."""
    for index, each in enumerate(config.destinations):
        place = pointer("destinations", index)
        fault = ""
        try:
            folder = find_folder(each.destination)
            files = DefinitionFiles.read(folder)
            try:
                definition = _definition(each, files)
            except DefinitionError as error:
                if each.connection is None or not has_fitted(each):
                    raise
                definition = _definition(replace(each, connection=None), files)
                fault = "; ".join(f"{one.path}: {one.message}" for one in error.issues)
            of_customers = _of_customers(definition, each, place)
        except DefinitionError as error:
            issues += error.issues
        except UsageError as error:
            issues.append(replace(each.settings.issue("", str(error)), path=place))
        else:
            yield place, _Defined(each, definition, folder, files, of_customers, fault)


def bind_to_show(
    config: DestinationConfig,
    store: Store | None,
    files: DefinitionFiles | None = None,
    connected: Callable[[DestinationDefinition], DestinationDefinition] | None = None,
) -> Destination:
    """Return a destination as a server has it, for requests that are only shown.

    Its definition is that in ``files``, if they are given. Settings that are not there, or that
    customers send, have their names as values. With such customers no ``store`` is read, as each
    has rules of its own, but for one whose connection ``connected`` adds: then it is that one's.
    Raises `DefinitionError` and `UsageError` as `bind` does.
    """
    files = files or DefinitionFiles.read(find_folder(config.destination))
    definition = _definition(config, files)
    if connected is not None:
        definition = connected(definition)
    absent, tenants = set(config.absent), config.receiver.tenants
    if tenants is not None:
        absent |= {tenants.key, *_of_customers(definition, config, "")}
    settings, _ = settings_to_show(definition, config.settings, absent)
    plugin = find_plugin(definition.slug, Path(files.path))
    is_of_one = tenants is None or connected is not None
    return Destination(definition, settings, plugin_code(plugin, store if is_of_one else None))


def connected_definition(config: DestinationConfig) -> DestinationDefinition:
    """Return the definition of a destination with the connection of the configuration.

    Raises `DefinitionError` and `UsageError` as `bind` does.
    """
    return _definition(config, DefinitionFiles.read(find_folder(config.destination)))


def _definition(config: DestinationConfig, files: DefinitionFiles) -> DestinationDefinition:
    """Return the definition of a destination with its connection."""
    definition = files.load()
    check_written(definition)
    if config.connection is not None:
        definition = connect(definition, config.connection)
    return definition


def _bind(
    config: DestinationConfig,
    definition: DestinationDefinition,
    folder: Traversable,
    store: Store | None,
    of_customers: frozenset[str],
) -> Bound:
    issues = list(_plain_secrets(definition, config))
    if issues:
        raise DefinitionError(issues)
    if config.delivery.concurrency is not None:
        transport = replace(definition.transport, concurrency=config.delivery.concurrency)
        definition = replace(definition, transport=transport)
    plugin = find_plugin(definition.slug, folder)
    code = plugin_code(plugin, store)
    authenticator = Authenticator(config.receiver.keys, config.receiver.signature_secrets)
    if config.receiver.tenants is None:
        destination = Destination(definition, check_settings(definition, config.settings), code)
        sent = destination
    else:
        settings = _without(definition, config, {config.receiver.tenants.key, *of_customers})
        destination = Destination(definition, settings, code)
        # As a customer would send, with other values in the place of the customer's own.
        names = (config.receiver.tenants.key, *of_customers)
        stand_ins = {name: _stand_in(definition.settings["properties"][name]) for name in names}
        given = Settings({**settings, **stand_ins}, definition.secret_settings)
        sent = destination.with_settings(given, code)
    if unsendable := sent.request_issues():
        raise DefinitionError([config.settings.issue("", issue) for issue in unsendable])
    return Bound(config, destination, authenticator, plugin, of_customers)


def _of_customers(
    definition: DestinationDefinition, config: DestinationConfig, place: str
) -> frozenset[str]:
    """Return the settings, other than the key, that come from customers.

    Raises `DefinitionError` for a key, or a setting, that cannot; ``place`` is the destination's.
    """
    tenants = config.receiver.tenants
    if tenants is None:
        return frozenset()
    issues = [
        tenants.document.issue(place + path, message)
        for path, message in (
            *_wrong_key(definition, config, tenants.key),
            *_wrong_names(definition, tenants),
        )
    ]
    if issues:
        raise DefinitionError(issues)
    # What the configuration says is what counts.
    return frozenset(tenants.settings.from_header).difference(config.settings.data)


def _wrong_names(
    definition: DestinationDefinition, tenants: TenantsConfig
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the names of settings that come in a header, with their places."""
    properties, given = definition.settings["properties"], tenants.settings
    place = pointer("receiver", "tenants", "settings")
    of_addresses = address_settings(definition)
    for index, name in enumerate(given.from_header):
        at = place + pointer("fromHeader", index)
        if name not in properties:
            known = ", ".join(properties)
            near = did_you_mean(name, properties)
            yield at, f"{definition.name} has no setting {name!r}; it has: {known}{near}"
        elif name == tenants.key:
            yield at, f"{name} comes in Authorization: leave it out here"
        elif name in of_addresses and name not in given.allow_urls:
            message = (
                f"URLs, headers or credentials are made of {name}, so that each customer could "
                "choose where requests go: leave it out, or name it in allowUrls as well"
            )
            yield at, message
    for index, name in enumerate(given.allow_urls):
        at = place + pointer("allowUrls", index)
        if name not in given.from_header:
            yield at, f"{name} is not one of fromHeader"
        elif name in properties and name not in of_addresses:
            yield at, f"no URL, header or credential is made of {name}: leave it out"


def _stand_in(spec: Mapping[str, Any]) -> object:
    """Return a value in place of the one that each customer sends."""
    return spec.get("default", "https://example.com" if is_url(spec) else "key")


def _wrong_key(
    definition: DestinationDefinition, config: DestinationConfig, key: str
) -> Iterator[tuple[str, str]]:
    """Yield why a setting cannot be a customer's key, with the place of that."""
    place = pointer("receiver", "tenants")
    if key not in definition.secret_settings:
        known = ", ".join(definition.secret_settings) or "none"
        message = f"is {key!r}: expected a secret setting of {definition.name}; it has: {known}"
        yield place + pointer("key"), message
    elif key in config.settings.data:
        message = "is the key that each customer sends (receiver.tenants.key): leave it out here"
        yield pointer("settings", key), message
    elif definition.authentication is None:
        message = (
            f"{definition.name} has no authentication test, by which the keys of customers could "
            "be checked"
        )
        yield place, message


def _without(
    definition: DestinationDefinition, config: DestinationConfig, names: Collection[str]
) -> Settings:
    """Return the settings of the configuration, to which those of each customer come."""
    required = [one for one in definition.settings.get("required", ()) if one not in names]
    without = replace(definition, settings={**definition.settings, "required": required})
    return check_settings(without, config.settings)


def _plain_secrets(definition: DestinationDefinition, config: DestinationConfig) -> Iterator[Issue]:
    for key in definition.secret_settings:
        if key in config.in_text:
            yield config.settings.issue(pointer(key), NAME_IT)


def _placed(issue: Issue, config: DestinationConfig, place: str) -> Issue:
    """Return an issue in inline settings with its path in the whole file."""
    if issue.file != config.settings.name:
        return issue
    return replace(issue, path=place + "/settings" + issue.path)


def _same_account(bound: Sequence[Bound]) -> Iterator[Issue]:
    """Yield destinations of one account that do not say so: they would not wait for one another."""
    seen: list[Bound] = []
    for each in bound:
        for other in seen:
            own, others = each.identity, other.identity
            if each.config.receiver.tenants or other.config.receiver.tenants:
                continue  # whose accounts come with the events
            # With the same credentials it is one account, whatever it is called.
            is_same = replace(own, name=None) == replace(others, name=None)
            if is_same and (own.name is None or own.name != others.name):
                message = (
                    f"{each.name} and {other.name} deliver to the same account: let one of them do "
                    "it, with two keys, or say `account: NAME` in both, with the same name"
                )
                yield each.config.settings.issue("", message)
        seen.append(each)


def _counted_twice(bound: Sequence[Bound]) -> Iterator[Issue]:
    """Yield destinations of one account by which one event of a source would be added twice."""
    for one, other in itertools.combinations(bound, 2):
        account = one.identity.name
        sources = sorted({*one.config.sources} & {*other.config.sources})
        is_one = account is not None and account == other.identity.name
        if not is_one or one.identity.slug != other.identity.slug or not sources:
            continue
        if any(each.config.spec.get("allowOverlap") for each in (one, other)):
            yield from _dropped(one, other)
            continue
        found = next(_overlaps(one.destination, other.destination), None)
        if found is not None:
            first, second, _, example = found
            event = "an event" if example is None else json.dumps(example, ensure_ascii=False)
            message = (
                f"{other.name} and {one.name} deliver to the account {account!r}, and of the "
                f"source {sources[0]} {second!r} overlaps with {first!r}: both may receive "
                f"{event}, which would count twice; narrow one of them, or say allowOverlap: true"
            )
            yield other.config.settings.issue("", message)


def _dropped(one: Bound, other: Bound) -> Iterator[Issue]:
    """Yield that the partner would drop what the second destination of an account sends."""
    for first, second, name, _ in _overlaps(one.destination, other.destination):
        if name is not None:
            message = (
                f"{other.name} and {one.name} deliver to the account {one.identity.name!r}:"
                f" {second!r}"
                f" {twice_message(name, first)}"
            )
            yield other.config.settings.issue("", message)
            return


def _overlaps(
    one: Destination, other: Destination
) -> Iterator[tuple[str, str, str | None, Mapping[str, Any] | None]]:
    """Yield names of subscriptions that add to an amount for the same event, and such an event.

    With a request whose idempotency key would be the same, if there is one.
    """
    adding = [
        [it for it in each.subscriptions if each.definition.adds(it.action.definition)]
        for each in (one, other)
    ]
    for first, second in itertools.product(*adding):
        found = overlap(first.fql, second.fql)
        if found is None:
            continue
        keys = [
            (keys_of(each.definition, its.action.definition), its.source)
            for each, its in ((one, first), (other, second))
        ]
        name = same_key(*keys[0], *keys[1])
        yield first.key.name, second.key.name, name, found.example
