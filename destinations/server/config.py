"""Read the configuration of ``destinations serve`` from YAML, JSON or TOML."""

from __future__ import annotations

import contextlib
import json
import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from destinations.definition.connection import Connection
from destinations.definition.document import LARGEST_NUMBER, TOO_LARGE, Document, read_document
from destinations.definition.input_files import path_issue, read_text_input
from destinations.definition.schema_issues import schema_issues
from destinations.definition.secret_sources import (
    NAME_IT,
    NAME_ONE,
    SourceError,
    SourceMissingError,
    Sources,
    names_a_secret,
)
from destinations.definition.settings import filled_settings
from destinations.errors import (
    DefinitionError,
    Issue,
    SecretMissingError,
    UsageError,
    did_you_mean,
)
from destinations.http.loopback import is_loopback
from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.lease import LeaseTimes
from destinations.postgres import PostgresAddress, StoreAddress, check_path_text, is_postgres
from destinations.runtime.account_identity import checked_name
from destinations.secrets import Secret, reveal
from destinations.segment.json_pointer import pointer, value_at
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
from destinations.server.source_calls import PATHS
from destinations.store import RecentBounds, sealing_key_fault
from destinations.telemetry.alerts import AlertConfig

__all__ = [
    "config_of_text",
    "config_to_check",
    "config_to_show",
    "named_secrets",
    "read_alert_config",
    "read_config",
]

_CAPITAL: Final = re.compile("[A-Z]")
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BYTES: Final[Mapping[str, int]] = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
_LEAST_ATTEMPT_BYTES: Final = 65_536
_PASSED_PLACE: Final = re.compile(r"/alerts/\d+/to(/\d+)?/command/env/\d+")
_SHORTEST_PASSED: Final = 8
_SECRET_PLACE: Final = re.compile(
    r"(/destinations/\d+/receiver/(keys|signatureSecrets)/\d+|/sources/\d+/keys/\d+"
    r"|/sealing/(key|formerKeys/\d+)|/api/keys/\d+"
    r"|/alerts/\d+/to(/\d+)?/(webhook/secret|slack/url))(?=/|$)"
)
_DSN_PLACE: Final = "/store/postgres/dsn"
_DSN_WORDS: Final = (
    "must be postgresql://USER@HOST:PORT/DATABASE without a password, or name what holds the whole "
    "address: {env: NAME}, {file: PATH} or ${NAME}"
)


def read_config(
    path: Path,
    environment: Mapping[str, str],
    *,
    secrets: bool | Collection[str] = True,
    to_show: bool = False,
    for_console: bool = False,
) -> ServeConfig:
    """Return the configuration in a file: by its ending TOML or JSON, else YAML.

    Without ``secrets``, for who does not serve, nothing is looked up that is only named there:
    settings and receivers are left empty, and there is no sealing. ``secrets`` may also be names of
    destinations: then only their settings are looked up, and ``sealing`` if customers send to one.
    ``to_show`` is for who shows what a server would send: settings that cannot be had are
    ``absent``, and nothing else is looked up, but for the keys of the API ``for_console``.

    Raises `DefinitionError` with every issue, also if the file cannot be read; `SecretMissingError`
    if all that is wrong is that secrets are not there yet; `MissingExtraError` for ``sealing``
    without its extra.
    Whether the settings fit their destinations is not looked at.
    """
    document = _read(path)
    issues = [_in_words(document, issue) for issue in schema_issues(document, "serve")]
    issues += [] if issues else _no_store(document)
    if issues:
        raise DefinitionError(issues)
    reader = _Reader(
        *(document, path.resolve().parent, environment, secrets),
        to_show=to_show,
        for_console=for_console,
    )
    config = replace(reader.config(), path=path.resolve(), document=document)
    config = replace(config, variables=reader.variables)
    issues = [
        *reader.issues,
        *_names(document),
        *_origins(document),
        *_strangers(document, config),
        *_same_keys(document, config),
    ]
    if len(issues) > len(reader.missing):
        raise DefinitionError(issues)
    if issues:
        raise SecretMissingError(issues)
    if config.sealing is not None:
        config.sealing.sealer()  # so that a missing library is known at once
    return config


def config_to_check(path: Path, environment: Mapping[str, str]) -> ServeConfig | None:
    """Return what a file says without its secrets, whatever `read_config` finds wrong with it.

    None if it does not fit its schema. It is only for checks of what else is wrong.
    """
    try:
        document = _read(path)
    except DefinitionError:
        return None
    if any(schema_issues(document, "serve")) or any(_no_store(document)):
        return None
    reader = _Reader(document, path.resolve().parent, environment, secrets=False, to_show=False)
    config = replace(reader.config(), path=path.resolve(), document=document)
    return replace(config, variables=reader.variables)


def read_alert_config(path: Path, environment: Mapping[str, str]) -> AlertConfig:
    """Return the alerts of the configuration in a file, with their secrets and no others.

    Raises as `read_config`.
    """
    document = _read(path)
    issues = [_in_words(document, issue) for issue in schema_issues(document, "serve")]
    if issues:
        raise DefinitionError(issues)
    reader = _Reader(document, path.resolve().parent, environment, True, to_show=False)  # noqa: FBT003 - as `read_config` has it
    alerts = reader.alerts()
    if len(reader.issues) > len(reader.missing):
        raise DefinitionError(reader.issues)
    if reader.issues:
        raise SecretMissingError(reader.issues)
    return alerts


def config_to_show(
    data: Mapping[str, Any],
    name: str,
    folder: Path,
    environment: Mapping[str, str],
    store: StoreAddress,
) -> ServeConfig:
    """Return the configuration that ``data`` is, which was checked before, for who shows it.

    ``name`` is how issues call it, paths in it are relative to ``folder``, and ``store`` is the
    place of its store, which it does not say. See `read_config`
    with ``to_show``. Raises `DefinitionError` with every issue.
    """
    reader = _Reader(Document(name, dict(data), {}), folder, environment, True, to_show=True)  # noqa: FBT003 - as `read_config` has it
    config = reader.config(StoreConfig(store))
    if reader.issues:
        raise DefinitionError(reader.issues)
    return config


def config_of_text(text: str, current: ServeConfig, environment: Mapping[str, str]) -> ServeConfig:
    """Return the configuration in a text, YAML or JSON, that someone proposes for ``current``.

    Whoever wrote it may not see the files and variables of this machine: only what ``current``
    names as well is looked up for its settings, all other settings are ``absent``. Its definitions
    are installed ones or those of ``current``. Raises `DefinitionError` with every issue.
    """
    document = read_document(text, name="the configuration")
    issues = [_in_words(document, issue) for issue in schema_issues(document, "serve")]
    if issues:
        raise DefinitionError(issues)
    folder = Path() if current.path is None else current.path.parent
    sources = _KnownSources(environment, folder, current)
    reader = _Reader(document, folder, environment, True, to_show=True, sources=sources)  # noqa: FBT003 - as above
    known = {one.destination for one in current.destinations}
    issues = []
    for index, spec in enumerate(document.data["destinations"]):
        if is_folder(spec["destination"]):
            spec["destination"] = reader.folder_of(spec["destination"])
            if spec["destination"] not in known:
                place = pointer("destinations", index, "destination")
                message = "is a folder that the server's configuration does not have"
                issues.append(document.issue(place, f"{message}: expected an installed name"))
    config = replace(reader.config(StoreConfig(current.store.address)), document=document)
    issues += [
        *reader.issues,
        *_names(document),
        *_origins(document),
        *_strangers(document, config),
        *_same_keys(document, config),
    ]
    if issues:
        raise DefinitionError(issues)
    return config


def named_secrets(document: Document, sources: Sources) -> list[str]:
    """Return the secrets that a configuration names beside settings, as far as they can be had.

    Variables that the program of an alert is given count as such.
    """
    found: list[str] = []
    for place, given in _places(document.data, ""):
        if _SECRET_PLACE.fullmatch(place) and names_a_secret(_source(given)):
            with contextlib.suppress(SourceError):
                found.append(reveal(sources.value(_source(given))))
        elif _PASSED_PLACE.fullmatch(place) and isinstance(given, str):
            # What a program is given is for it alone; a short value would be masked by chance.
            with contextlib.suppress(SourceError):
                value = str(sources.value({"env": given}))
                found += [value] if len(value) >= _SHORTEST_PASSED else []
    return found


def _source(given: Any) -> Any:
    """Return where a key is, of one that may stand beside a role and a name."""
    if not isinstance(given, dict):
        return given
    return {key: given[key] for key in ("env", "file") if key in given}


def _places(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield every value within a document, with its place."""
    yield place, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, place + pointer(key))


class _KnownSources(Sources):
    """Looks up only what a configuration names for its settings."""

    def __init__(self, environment: Mapping[str, str], folder: Path, current: ServeConfig) -> None:
        super().__init__(environment, folder)
        self._known = [
            value for one in current.destinations for value in one.spec.get("settings", {}).values()
        ]

    def value(self, given: Any) -> Any:
        """Return as `Sources.value` does; raises `SourceError` for what is not known."""
        if given not in self._known and (names_a_secret(given) or "${" in str(given)):
            raise SourceError("the configuration of the server does not name it")
        return super().value(given)

    def exposed(self, given: Any) -> None:
        """Look at no file."""


def is_folder(destination: str) -> bool:
    """Return whether a destination is named by a folder, and not as it is installed."""
    return destination.startswith(".") or "/" in destination or "\\" in destination


def _read(path: Path) -> Document:
    try:
        text = read_text_input(path, pipes=True)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise DefinitionError([Issue(message, file=str(path))]) from None
    except UnicodeDecodeError:
        raise DefinitionError([Issue("is not UTF-8", file=str(path))]) from None
    suffix = path.suffix.lower()
    if suffix != ".toml":
        if suffix == ".json":
            _check_json(text, path)
        elif _is_toml(text):
            message = "holds TOML; give it a name that ends in .toml, since others are read as YAML"
            raise DefinitionError([Issue(message, file=str(path))])
        return read_document(text, name=str(path))
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for numbers of thousands of digits
        raise DefinitionError([Issue(f"not TOML: {error}", file=str(path))]) from None
    document = Document(str(path), data, {})
    issues = list(_no_json(document, data, ""))
    if issues:
        raise DefinitionError(issues)
    return document


def _no_json(document: Document, value: object, place: str) -> Iterator[Issue]:
    """Refuse values of TOML that JSON lacks: dates, NaN and infinities."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _no_json(document, item, place + pointer(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _no_json(document, item, place + pointer(index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield document.issue(place, "must be a finite number")
    elif isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
        yield document.issue(place, TOO_LARGE)
    elif not isinstance(value, str | int | float | bool):
        yield document.issue(place, "must be text, a number, true or false; put a date in quotes")


def _check_json(text: str, path: Path) -> None:
    """Raise for a file that is YAML at best, in words of JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at column {error.colno}"
        raise DefinitionError([Issue(message, file=str(path), line=error.lineno)]) from None
    except RecursionError:
        raise DefinitionError([Issue("not JSON: nested too deeply", file=str(path))]) from None
    except ValueError:  # a number of thousands of digits
        raise DefinitionError([Issue(TOO_LARGE, file=str(path))]) from None


def _is_toml(text: str) -> bool:
    """Return whether text can only be meant as TOML: no mapping of YAML is valid TOML."""
    try:
        return bool(tomllib.loads(text))
    except (ValueError, RecursionError):
        return False


def _in_words(document: Document, issue: Issue) -> Issue:
    """Return a schema issue in words for readers who do not know the schema.

    Where a secret should be named, it does not show what stands there.
    """
    secret = _SECRET_PLACE.match(issue.path)
    if secret is not None:
        given = value_at(document.data, secret[0])
        if secret[0].startswith("/api/") and isinstance(given, dict):
            return issue  # which names what is missing beside the key
        both = isinstance(given, dict) and given.keys() == {"env", "file"}
        return replace(issue, message=NAME_ONE if both else NAME_IT)
    if issue.path.startswith(_DSN_PLACE) and "required" not in issue.message:
        return replace(issue, path=_DSN_PLACE, message=_DSN_WORDS)
    return issue


class _Reader:
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
        return frozenset(self._sources.variables)

    def config(self, store: StoreConfig | None = None) -> ServeConfig:
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


def _no_store(document: Document) -> Iterator[Issue]:
    """Find a store that has no place, or two."""
    if ("path" in document.data["store"]) == ("postgres" in document.data["store"]):
        yield document.issue(pointer("store"), "must have exactly one of path and postgres")


def _names(document: Document) -> Iterator[Issue]:
    """Find names that mean two things: of two destinations or sources, or also a path."""
    seen: dict[str, str] = {}
    sources = document.data.get("sources", ())
    for key, specs in (("destinations", document.data["destinations"]), ("sources", sources)):
        for index, spec in enumerate(specs):
            name, place = spec["name"], pointer(key, index, "name")
            if name in seen:
                other = "" if seen[name] == key else ": a destination and a source need two names"
                yield document.issue(place, f"the name {name!r} occurs twice{other}")
            elif key == "destinations" and sources and name in PATHS:
                message = f"cannot be {name!r}: with sources, /v1/{name} is a path of Segment's API"
                yield document.issue(place, message)
            seen[name] = key


def _origins(document: Document) -> Iterator[Issue]:
    """Find destinations that take events from sources that there are not, or cannot."""
    names = list(dict.fromkeys(spec["name"] for spec in document.data.get("sources", ())))
    for index, spec in enumerate(document.data["destinations"]):
        place = pointer("destinations", index, "from")
        if "from" in spec and "tenants" in spec.get("receiver", {}):
            message = (
                "has no effect beside receiver.tenants, as events of a source have no customer's "
                "key: leave one of them out"
            )
            yield document.issue(place, message)
        for at, name in enumerate(spec.get("from", ())):
            if name not in names:
                known = ", ".join(names) or "none"
                near = did_you_mean(name, names)
                message = f"no source is called {name!r}; there are: {known}{near}"
                yield document.issue(place + pointer(at), message)


def _same_keys(document: Document, config: ServeConfig) -> Iterator[Issue]:
    """Find keys that two sources have: only the key says whose event it is."""
    seen: dict[str, str] = {}
    for index, source in enumerate(config.sources):
        for at, key in enumerate(source.keys):
            owner = seen.setdefault(reveal(key), source.name)
            if owner != source.name:
                message = f"is also a key of the source {owner}: give each source its own"
                yield document.issue(pointer("sources", index, "keys", at), message)


def _strangers(document: Document, config: ServeConfig) -> Iterator[Issue]:
    """Find destinations to which any client that reaches the port could post."""
    host = config.listen.host
    if is_loopback(host):
        return
    for index, spec in enumerate(document.data["destinations"]):
        if not spec.get("receiver") and "from" not in spec:
            message = f"lacks keys or signatureSecrets in receiver: other machines can reach {host}"
            yield document.issue(pointer("destinations", index), message)
