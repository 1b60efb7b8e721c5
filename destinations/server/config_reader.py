"""Make the typed configuration of a document: paths, secrets and durations."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from destinations.definition.connection import Connection
from destinations.definition.document import Document
from destinations.definition.input_files import path_issue
from destinations.definition.secret_sources import (
    SourceError,
    SourceMissingError,
    Sources,
    names_a_secret,
)
from destinations.definition.settings import filled_settings
from destinations.errors import Issue, UsageError
from destinations.http.loopback import is_loopback
from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.lease import LeaseTimes
from destinations.postgres import PostgresAddress, StoreAddress, check_path_text, is_postgres
from destinations.runtime.account_identity import checked_name
from destinations.secrets import Secret, reveal
from destinations.segment.json_pointer import pointer
from destinations.server.alert_config import read_alerts
from destinations.server.config_model import (
    AdminConfig,
    ApiKeyConfig,
    ConsoleConfig,
    DeliveryConfig,
    DestinationConfig,
    HeaderSettingsConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    RefusedConfig,
    SealingConfig,
    ServeConfig,
    SourceConfig,
    StoreConfig,
    TenantsConfig,
)
from destinations.server.cors import parse_origin
from destinations.server.network_addresses import is_host, parse_address, parse_network
from destinations.store import RecentBounds, sealing_key_fault
from destinations.telemetry.alerts import AlertConfig

__all__ = ["ConfigReader", "is_folder"]


_CAPITAL: Final = re.compile("[A-Z]")


_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


_BYTES: Final[Mapping[str, int]] = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


_LEAST_ATTEMPT_BYTES: Final = 65_536


def is_folder(destination: str) -> bool:
    """Return whether a destination is named by a folder, and not as it is installed."""
    return destination.startswith(".") or "/" in destination or "\\" in destination


class ConfigReader:
    """Makes the typed configuration of a document that fits the schema; collects issues."""

    def __init__(  # noqa: PLR0913 - what `read_config` is asked for
        self,
        document: Document,
        folder: Path,
        environment: Mapping[str, str],
        secrets: bool | Collection[str],  # noqa: FBT001 - as `read_config` has it
        *,
        to_show: bool,
        for_console: bool = False,
        sources: Sources | None = None,
    ) -> None:
        self.issues: list[Issue] = []
        # Those of them that are secrets which are not there.
        self.missing: list[Issue] = []
        self._document = document
        self._folder = folder
        self._secrets_of = secrets
        self._to_show = to_show
        self._needs_api_keys = for_console or (secrets is True and not to_show)
        self._sources = sources or Sources(environment, folder)

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment that were read."""
        return frozenset(self._sources.variables)

    def config(self, store: StoreConfig | None = None) -> ServeConfig:
        """Return the whole configuration; what is wrong with it is in ``issues``."""
        data = self._document.data
        queue = data.get("queue", {})
        return ServeConfig(
            listen=self._listen(data.get("listen", {})),
            admin=self._admin(data["admin"]) if "admin" in data else None,
            console=self._console(data.get("console")),
            refused=RefusedConfig(**_fields(data.get("refused", {}))),
            log=LogConfig(**_fields(data.get("log", {}))),
            keep_recent=_recent(data),
            keep_attempts=self._attempts(data.get("keepAttempts", {})),
            alerts=self.alerts(),
            sealing=self._sealing(data.get("sealing")),
            store=store or self._store(data["store"]),
            sources=tuple(
                self._source(spec, pointer("sources", index))
                for index, spec in enumerate(data.get("sources", ()))
            ),
            destinations=tuple(
                self._destination(spec, pointer("destinations", index))
                for index, spec in enumerate(data["destinations"])
            ),
            **_fields(queue),
            **_fields({key: data[key] for key in ("drainSeconds",) if key in data}),
        )

    def _attempts(self, spec: Mapping[str, Any] | bool) -> AttemptPolicy | None:  # noqa: FBT001 - as in the file
        if isinstance(spec, bool):
            return None
        fields = dict(spec)
        for name in ("failed", "delivered"):
            if name in fields:
                fields[name] = float(spec[name][:-1]) * _SECONDS[spec[name][-1]]
        if isinstance(spec.get("maxBytes"), str):
            number, unit = spec["maxBytes"][:-2], spec["maxBytes"][-2:]
            fields["maxBytes"] = round(float(number) * _BYTES[unit])
            if fields["maxBytes"] < _LEAST_ATTEMPT_BYTES:
                message = f"must be at least {_LEAST_ATTEMPT_BYTES:,} bytes"
                place = pointer("keepAttempts", "maxBytes")
                self.issues.append(self._document.issue(place, message))
        return AttemptPolicy(**_fields(fields))

    def alerts(self) -> AlertConfig:
        """Return the alerts alone; what is wrong with them is in ``issues``."""

        def tell(place: str, message: str) -> None:
            self.issues.append(self._document.issue(place, message))

        looks_up = self._secrets_of is True and not self._to_show
        return read_alerts(self._document, self._sources, tell, self._issue, secrets=looks_up)

    def _source(self, spec: Mapping[str, Any], place: str) -> SourceConfig:
        origins = []
        for index, text in enumerate(spec.get("cors", ())):
            try:
                origins.append(parse_origin(text))
            except UsageError as error:
                at = place + pointer("cors", index)
                self.issues.append(self._document.issue(at, str(error)))
        if self._to_show or self._secrets_of is not True:  # who does not serve asks for no keys
            spec = {**spec, "keys": ()}
        named = {place + pointer("keys", at): one for at, one in enumerate(spec["keys"])}
        exposed = {at: self._sources.exposed(one) for at, one in named.items()}
        return SourceConfig(
            spec["name"],
            self._secrets(spec, "keys", place),
            tuple(origins),
            spec.get("contextTraits", False),
            {at: path for at, path in exposed.items() if path is not None},
        )

    def _store(self, given: Mapping[str, Any]) -> StoreConfig:
        fields = _fields({key: given[key] for key in given if key not in {"path", "postgres"}})
        fields["address"], fields["exposed"] = self._address(given)
        of_postgres = given.get("postgres", {})
        fields["lease"] = LeaseTimes.of(
            of_postgres.get("leaseSeconds", 15.0), hard_stop=of_postgres.get("hardStop", True)
        )
        fields["is_replicated"] = of_postgres.get("durability", "replicated") == "replicated"
        days = fields.get("keep_days")
        if isinstance(days, Mapping):
            del fields["keep_days"]
            fields["keep_days_by_outcome"] = {Outcome(name): each for name, each in days.items()}
        return StoreConfig(**fields)

    def _address(self, given: Mapping[str, Any]) -> tuple[StoreAddress, Mapping[str, Path]]:
        """Return the place of the store, and the file of its address if others can read that."""
        if "postgres" not in given:
            try:
                check_path_text(given["path"])
            except UsageError as error:
                is_ours = is_postgres(given["path"])
                message = "is the address of a database: write it as postgres: {dsn: ...}"
                message = message if is_ours else str(error)
                self.issues.append(self._document.issue("/store/path", message))
            return self._path(given["path"], "/store/path"), {}
        place, dsn = pointer("store", "postgres", "dsn"), given["postgres"]["dsn"]
        is_named = names_a_secret(dsn)
        exposed = self._sources.exposed(dsn) if is_named else None
        try:
            text = str(self._sources.value(dsn))
            address = PostgresAddress.parse(text, may_have_password=is_named)
        except SourceError as error:
            self._issue(place, error)
        except UsageError as error:
            self.issues.append(self._document.issue(place, str(error)))
        else:
            address = replace(address, config=Path(self._document.name))
            return address, {} if exposed is None else {place: exposed}
        return PostgresAddress(""), {}  # which nobody gets, as there is an issue

    def _listen(self, given: Mapping[str, Any]) -> ListenConfig:
        fields = _fields(given)
        if "host" in fields and not is_host(fields["host"]):
            message = (
                f"invalid host {fields['host']!r}: expected a name or an address, such as 127.0.0.1"
            )
            self.issues.append(self._document.issue(pointer("listen", "host"), message))
        networks = []
        for index, text in enumerate(fields.pop("trusted_proxies", ())):
            try:
                networks.append(parse_network(text))
            except UsageError as error:
                place = pointer("listen", "trustedProxies", index)
                self.issues.append(self._document.issue(place, str(error)))
        return ListenConfig(**fields, trusted_proxies=tuple(networks))

    def _admin(self, given: Mapping[str, Any]) -> AdminConfig | None:
        place = pointer("admin", "listen")
        try:
            address = parse_address(given["listen"])
        except UsageError as error:
            self.issues.append(self._document.issue(place, str(error)))
            return None
        public = ListenConfig(**_fields(self._document.data.get("listen", {})))
        if address.port and (address.host, address.port) == (public.host, public.port):
            message = "is where events are received (listen): expected another port or host"
            self.issues.append(self._document.issue(place, message))
        return AdminConfig(address)

    def _console(self, given: Mapping[str, Any] | None) -> ConsoleConfig | None:
        place = pointer("console")
        if given is None:
            if "api" in self._document.data:
                message = "needs console: the API is at the address of the console (console.listen)"
                self.issues.append(self._document.issue(pointer("api"), message))
            return None
        try:
            address = parse_address(given["listen"])
        except UsageError as error:
            self.issues.append(self._document.issue(place + "/listen", str(error)))
            return None
        users, behind_proxy = given.get("users"), given.get("behindProxy", False)
        is_public = behind_proxy or not is_loopback(address.host)
        if is_public and (users is None or not behind_proxy):
            message = (
                f"other machines can reach {address.host}: expected users, and behindProxy: true "
                "with a proxy in front of it that has TLS"
            )
            self.issues.append(self._document.issue(place + "/listen", message))
        listen = ListenConfig(**_fields(self._document.data.get("listen", {})))
        if address.port and (address.host, address.port) == (listen.host, listen.port):
            message = "is where events are received (listen): expected another port or host"
            self.issues.append(self._document.issue(place + "/listen", message))
        for index, host in enumerate(given.get("hosts", ())):
            if not is_host(host) or ":" in host:
                message = f"invalid host {host!r}: expected a name, such as console.example.com"
                at = place + pointer("hosts", index)
                self.issues.append(self._document.issue(at, message))
        link = given.get("loginLink")
        return ConsoleConfig(
            address,
            None if users is None else self._path(users["file"], place + "/users/file"),
            behind_proxy=behind_proxy,
            hosts=tuple(host.lower() for host in given.get("hosts", ())),
            login_link=None if link is None else self._path(link, place + "/loginLink"),
            keys=tuple(self._api_keys()),
        )

    def _api_keys(self) -> Iterator[ApiKeyConfig]:
        """Yield the keys of programs, where they are needed."""
        if not self._needs_api_keys:
            return
        seen: dict[str, str] = {}
        for index, spec in enumerate(self._document.data.get("api", {}).get("keys", ())):
            place = pointer("api", "keys", index)
            source = {key: spec[key] for key in ("env", "file") if key in spec}
            name = spec.get("name", f"key-{index + 1}")
            try:
                key = self._sources.secret(source)
            except SourceError as error:
                self._issue(place, error)
                continue
            if reveal(key) in seen or name in seen.values():
                other = seen.get(reveal(key), name)
                message = f"has the key, or the name, of {other}: give each its own"
                self.issues.append(self._document.issue(place, message))
            seen[reveal(key)] = name
            yield ApiKeyConfig(name, spec["role"], key, self._sources.exposed(source))

    def _sealing(self, given: Mapping[str, Any] | None) -> SealingConfig | None:
        # Commands that ask a partner need it for access tokens, too; only then it has to be there.
        is_optional = not self._opens_tenants()
        if given is None or self._to_show or (is_optional and self._secrets_of is False):
            return None
        former = given.get("formerKeys", ())
        named = {pointer("sealing", "key"): given["key"]}
        named |= {pointer("sealing", "formerKeys", at): one for at, one in enumerate(former)}
        keys = []
        for place, one in named.items():
            try:
                keys.append(self._sources.secret(one, sealing_key_fault))
            except SourceError as error:
                if not is_optional:
                    self._issue(place, error)
        if len(keys) < len(named):
            return None
        exposed = {place: self._sources.exposed(one) for place, one in named.items()}
        readable = {place: path for place, path in exposed.items() if path is not None}
        return SealingConfig(keys[0], tuple(keys[1:]), readable)

    def _opens_tenants(self) -> bool:
        """Return whether sealed keys of customers are opened: with the settings of their server."""
        if isinstance(self._secrets_of, bool):
            return self._secrets_of
        return any(
            one["name"] in self._secrets_of and "tenants" in one.get("receiver", {})
            for one in self._document.data["destinations"]
        )

    def _destination(self, spec: Mapping[str, Any], place: str) -> DestinationConfig:
        left_out, given, whole = self._left_out(spec["name"]), spec.get("receiver", {}), spec
        spec = {key: spec[key] for key in spec if key not in left_out}
        if "settings" not in left_out and "tenants" in given:  # by which settings are read
            spec["receiver"] = given
        if "account" in spec and "tenants" in given:
            message = (
                "has no effect beside receiver.tenants, as each customer's key has an account of "
                "its own: leave it out"
            )
            self.issues.append(self._document.issue(place + "/account", message))
        receiver, settings = spec.get("receiver", {}), spec.get("settings", {})
        found, absent = self._settings(settings, place + "/settings")
        return DestinationConfig(
            name=spec["name"],
            destination=self._where(spec["destination"], place + "/destination"),
            settings=found,
            in_text=frozenset(key for key, value in settings.items() if not names_a_secret(value)),
            receiver=ReceiverConfig(
                self._secrets(receiver, "keys", place + "/receiver"),
                self._secrets(receiver, "signatureSecrets", place + "/receiver"),
                self._tenants(receiver, place + "/receiver"),
            ),
            delivery=self._delivery(spec.get("delivery", {}), place + "/delivery"),
            account=self._account(spec.get("account"), place + "/account"),
            exposed=dict(self._exposed(spec)),
            connection=self._connection(spec, place),
            absent=absent,
            spec=whole,
            sources=tuple(spec.get("from", ())),
            has_receiver=bool(given),
        )

    def _connection(self, spec: Mapping[str, Any], place: str) -> Connection | None:
        """Return the subscriptions and filters of a destination; None if it has none."""
        if not {"subscriptions", "from"} & spec.keys() and "allowOverlap" in spec:
            message = "has no effect without subscriptions or from: leave it out"
            self.issues.append(self._document.issue(place + "/allowOverlap", message))
        if not {"subscriptions", "filters"} & spec.keys():
            return None
        return Connection.of(self._document, spec, place)

    def _tenants(self, receiver: Mapping[str, Any], place: str) -> TenantsConfig | None:
        given = receiver.get("tenants")
        if given is None:
            return None
        for other in ("keys", "signatureSecrets"):
            if other in receiver:
                message = f"cannot be used with {other}: customers send with keys of their own"
                self.issues.append(self._document.issue(place + "/tenants", message))
        if "sealing" not in self._document.data:
            message = "needs sealing: the keys of customers are kept sealed"
            self.issues.append(self._document.issue(place + "/tenants", message))
        fields = _fields(given)
        names = {key: tuple(each) for key, each in _fields(given.get("settings", {})).items()}
        fields["settings"] = HeaderSettingsConfig(**names)
        return TenantsConfig(**fields, document=self._document)

    def _left_out(self, name: str) -> Collection[str]:
        """Return the keys of a destination of which nothing is looked up."""
        if self._to_show:
            return {"receiver"}
        if self._secrets_of is True:
            return ()
        is_asked = self._secrets_of is not False and name in self._secrets_of
        return {"receiver"} if is_asked else {"receiver", "settings"}

    def _delivery(self, given: Mapping[str, Any], place: str) -> DeliveryConfig:
        fields = _fields(given)
        other = fields.pop("reconcile_after_seconds", None)
        if other is not None and "settle_after_seconds" in fields:
            message = "is another name of settleAfterSeconds: give one of them"
            issue = self._document.issue(place + pointer("reconcileAfterSeconds"), message)
            self.issues.append(issue)
        elif other is not None:
            fields["settle_after_seconds"] = other
        return DeliveryConfig(**fields)

    def _exposed(self, spec: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
        """Yield files of secrets that every user can read, by their place in the destination."""
        receiver = spec.get("receiver", {})
        named = [(pointer("settings", key), it) for key, it in spec.get("settings", {}).items()]
        for key in ("keys", "signatureSecrets"):
            many = receiver.get(key, ())
            named += [(pointer("receiver", key, index), it) for index, it in enumerate(many)]
        for place, given in named:
            path = self._sources.exposed(given)
            if path is not None:
                yield place, path

    def _where(self, destination: str, place: str) -> str:
        """Keep a name; make a folder relative to the configuration's own."""
        path = self._path(destination, place)
        return str(path) if is_folder(destination) else destination

    def folder_of(self, destination: str) -> str:
        """Return the folder of a destination as text, relative to that of the configuration."""
        return str(self._folder / destination)

    def _account(self, given: str | None, place: str) -> str | None:
        """Return the name of an account by the rule that commands have for it."""
        try:
            return None if given is None else checked_name(given)
        except UsageError as error:
            self.issues.append(self._document.issue(place, str(error)))
            return None

    def _path(self, given: str, place: str) -> Path:
        """Return a path relative to the configuration's folder; one that cannot be is an issue."""
        issue = path_issue(given)
        if issue is not None:
            self.issues.append(self._document.issue(place, f"{given!r} {issue}"))
        return self._folder / given

    def _settings(self, given: Mapping[str, Any], place: str) -> tuple[Document, Mapping[str, str]]:
        """Return the settings of a destination, and by name why those that are absent are."""
        values, missing = filled_settings(given, self._sources)
        for key, error in ({} if self._to_show else missing).items():
            self._issue(place + pointer(key), error)
        lines = {
            path.removeprefix(place): line
            for path, line in self._document.lines.items()
            if path == place or path.startswith(place + "/")
        }
        if self._document.lines:  # where there are no settings: the destination
            lines.setdefault("", self._document.lines[place.removesuffix("/settings")])
        absent = {key: str(error) for key, error in missing.items()} if self._to_show else {}
        return Document(self._document.name, values, lines), absent

    def _secrets(self, spec: Mapping[str, Any], key: str, place: str) -> tuple[Secret, ...]:
        found = []
        for index, given in enumerate(spec.get(key, ())):
            try:
                found.append(self._sources.secret(given))
            except SourceError as error:
                self._issue(place + pointer(key, index), error)
        return tuple(found)

    def _issue(self, place: str, error: SourceError) -> None:
        issue = self._document.issue(place, str(error))
        self.issues.append(issue)
        if isinstance(error, SourceMissingError):
            self.missing.append(issue)


def _fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the file as the names of fields: ``maxBytes`` is ``max_bytes``."""
    return {_CAPITAL.sub(lambda m: "_" + m.group().lower(), key): spec[key] for key in spec}


def _recent(data: Mapping[str, Any]) -> RecentBounds | None:
    """Return the bounds of delivered events that are kept: a console shows them."""
    if "keepRecent" in data:
        return RecentBounds(**data["keepRecent"])
    return RecentBounds() if "console" in data else None
