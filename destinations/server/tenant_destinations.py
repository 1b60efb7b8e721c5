"""Bind a destination to the settings of a customer: a key, and what came with it or with an event.

The settings that belong to a customer's account are kept with the key; others stay with the events
that they came with. What the configuration says is what counts.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from destinations.definition import DestinationDefinition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document
from destinations.definition.setting_uses import host_settings
from destinations.definition.settings import check_settings
from destinations.errors import DefinitionError, SettingsError
from destinations.http.ssrf import is_private_url
from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import EventSettings, Scope
from destinations.pipeline.restored import Gap
from destinations.runtime.destination import Code, Destination
from destinations.secrets import reveal
from destinations.server.header_settings import HeaderSettings
from destinations.server.keys import KeyRefusedError
from destinations.server.postponed_intake import PostponedIntake
from destinations.store import KeptConnection, Tenant, TenantSecrets

__all__ = ["Bound", "TenantDestinations"]

_CONNECTED: Final = 1_000
"""Connections of tenants whose compiled form is kept; several tenants may have the same."""

_KEPT: Final = 20_000
"""Destinations with the settings of a tenant that are kept; the others are made again."""


class Bound(NamedTuple):
    """A destination with the settings of a customer, and what plans its events."""

    destination: Destination
    intake: Intake


class TenantDestinations:
    """One destination for all customers of a partner, each with settings of their own.

    ``base`` has the settings of the configuration, which are ``given``; the setting ``key`` is each
    customer's own, and so is what ``header`` takes from requests. ``code`` gives the plugin's code
    with the rules of a tenant, ``connection`` the connection of its own, if it has one: that goes
    over the one of the configuration. If that does not fit, ``postponed`` has it as the file says:
    then events of all of them wait to be planned. Safe for threads. Methods raise
    `KeyRefusedError` for settings that do not fit.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        base: Destination,
        given: Document,
        key: str,
        *,
        secrets: TenantSecrets,
        code: Callable[[str], Code],
        gap: Gap | None = None,
        header: HeaderSettings | None = None,
        connection: Callable[[Tenant], KeptConnection | None] = lambda _: None,
        postponed: Mapping[str, Any] | None = None,
    ) -> None:
        self._postponed = postponed
        self._base = base
        self._connection = connection
        self._without_required = replace(
            base.definition, settings={**base.definition.settings, "required": []}
        )
        self._given = given
        self._key = key
        self._secrets = secrets
        self._code = code
        self._gap = gap
        self._header = header
        self._lock = threading.Lock()
        # By scope, and the name of settings that came with events; empty for those of the tenant.
        self._bound: OrderedDict[tuple[int, str], Bound] = OrderedDict()
        # By the version of a connection, the base with it; None where it cannot be used.
        self._connected: OrderedDict[str, Destination | None] = OrderedDict()

    def of(self, tenant: Tenant) -> Bound:
        """Return the destination by which a tenant's key is asked about.

        Also that of events which came without settings, while none were taken. What comes with
        each event may be missing.
        """
        known = self._known(tenant, "")
        if known is not None:
            return known
        destination = self.make(self.own(tenant), tenant, is_base=True)
        return self._remember(tenant, "", Bound(destination, self._intake(tenant, destination)))

    def of_events(self, tenant: Tenant, kept: EventSettings, values: Mapping[str, Any]) -> Bound:
        """Return the destination for events that came with these settings."""
        known = self._known(tenant, kept.name)
        if known is not None:
            return known
        stored = self._secrets.settings(tenant)
        own = {**stored, **values, self._key: stored[self._key]}
        destination = self.make(own, tenant)
        bound = Bound(destination, self._intake(tenant, destination, kept))
        # One that was read from the store has nothing to be kept.
        return self._remember(tenant, kept.name, bound) if kept.sealed else bound

    def _known(self, tenant: Tenant, settings: str) -> Bound | None:
        key = (tenant.scope.id, settings)
        with self._lock:
            bound = self._bound.get(key)
            if bound is not None:
                self._bound.move_to_end(key)
            return bound

    def _remember(self, tenant: Tenant, settings: str, bound: Bound) -> Bound:
        with self._lock:
            self._bound[tenant.scope.id, settings] = bound
            while len(self._bound) > _KEPT:
                self._bound.popitem(last=False)
        return bound

    def _intake(
        self, tenant: Tenant, destination: Destination, kept: EventSettings | None = None
    ) -> Intake:
        own = self._connection(tenant)
        said = {} if own is None else own.data
        if self._postponed is not None:
            said = {**self._postponed, **said}
        elif own is None or self._base_with(tenant, own) is not None:
            return Intake(destination, self._gap, kept)
        return PostponedIntake(destination, said.get("subscriptions"), self._gap, kept)

    def fault(self, tenant: Tenant) -> str:
        """Return why the connection of a tenant does not fit the definition; empty if it does."""
        own = self._connection(tenant)
        if own is None or self._base_with(tenant, own) is not None:
            return ""
        try:
            self._with(own)
        except DefinitionError as error:
            return "; ".join(
                f"{one.path}: {one.message}" if one.path else one.message for one in error.issues
            )
        return ""

    def _base_with(self, tenant: Tenant, own: KeptConnection) -> Destination | None:
        """Return the base with the connection of a tenant; None if that does not fit."""
        with self._lock:
            if own.version in self._connected:
                self._connected.move_to_end(own.version)
                return self._connected[own.version]
        try:
            definition = self._with(own)
            found = Destination(definition, self._base.settings, self._code(tenant.id))
            found.keep_tokens(self._base.tokens)
        except DefinitionError:
            found = None
        with self._lock:
            self._connected[own.version] = found
            while len(self._connected) > _CONNECTED:
                self._connected.popitem(last=False)
        return found

    def _with(self, own: KeptConnection) -> DestinationDefinition:
        document = Document("the connection", own.data, {})
        return connect(self._base.definition, Connection.checked(document))

    def forget(self, scope: Scope) -> None:
        """Make the destinations of a tenant again, as its settings are others now."""
        with self._lock:
            for key in [key for key in self._bound if key[0] == scope.id]:
                del self._bound[key]

    def own(self, tenant: Tenant) -> Mapping[str, Any]:
        """Return the key of a tenant, with the settings that belong to its account."""
        return self._secrets.settings(tenant)

    def kept(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is kept with a key of the settings that came with it."""
        # Others come with each event, and stay with that.
        of_account = {} if self._header is None else self._header.in_account(own)
        return {**of_account, self._key: own[self._key]}

    def account_of(self, tenant: Tenant) -> str:
        """Return the settings of a tenant that belong to its account."""
        return self.in_account(self.own(tenant))

    def in_account(self, settings: Mapping[str, Any]) -> str:
        """Return those of settings that belong to an account, as JSON; empty if there are none."""
        return "" if self._header is None else self._header.account_of(settings)

    def make(
        self, own: Mapping[str, Any], tenant: Tenant | None = None, *, is_base: bool = False
    ) -> Destination:
        """Return the destination with the settings of a customer.

        That of a tenant has its rules and its connection; where that does not fit, see `fault`, it
        is only for taking events, and has no filters. As a base for what comes with each event,
        nothing is required of it. Raises `KeyRefusedError` that names what is wrong.
        """
        definition = self._without_required if is_base else self._base.definition
        # What was kept may be of an earlier definition. What the configuration says is what counts.
        known = {name: own[name] for name in own if name in definition.settings["properties"]}
        given = {**known, **self._given.data}
        try:
            document = Document(self._given.name, given, {})
            settings = check_settings(definition, document)
        except SettingsError as error:
            # Without values, which are nobody else's business, and are kept sealed.
            words = "; ".join(
                f"{one.path.lstrip('/')}: {one.message.partition(', got ')[0]}"
                for one in error.issues
            )
            raise KeyRefusedError(400, words) from None
        code = None if tenant is None else self._code(tenant.id)
        chosen = self.chosen(known)
        connection = None if tenant is None else self._connection(tenant)
        base: Destination | None = self._base
        if tenant is not None and connection is not None:
            base = self._base_with(tenant, connection)
        destination = (base or self._base).with_settings(settings, code, public_only=bool(chosen))
        destination.token_owner = None if tenant is None else tenant.scope.full_name
        if base is None or self._postponed is not None:
            destination.filters = None
        if self._header is not None and (issues := destination.request_issues()):
            words = "; ".join(issues)
            if chosen:
                words = f"{', '.join(chosen)}: no request can be made with it; expected a URL, "
                words += "such as https://api.example.com"
            raise KeyRefusedError(400, words)
        texts = {one: reveal(text) for one in chosen if isinstance(text := settings[one], str)}
        private = [one for one, text in texts.items() if is_private_url(text)]
        if private:
            message = "must be an address of the public internet"
            raise KeyRefusedError(400, f"{', '.join(private)}: {message}")
        return destination

    def chosen(self, own: Mapping[str, Any]) -> Sequence[str]:
        """Return the settings by which a customer chooses where requests go."""
        given = own.keys() - self._given.data.keys()
        return sorted(host_settings(self._base.definition) & given)
