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

from destinations.definition.document import LARGEST_NUMBER, TOO_LARGE, Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.definition.schema_issues import schema_issues
from destinations.definition.secret_sources import (
    NAME_IT,
    NAME_ONE,
    SourceError,
    Sources,
    names_a_secret,
)
from destinations.errors import (
    DefinitionError,
    Issue,
    SecretMissingError,
    did_you_mean,
)
from destinations.http.loopback import is_loopback
from destinations.postgres import StoreAddress
from destinations.secrets import reveal
from destinations.segment.json_pointer import pointer, value_at
from destinations.server.config_model import (
    ServeConfig,
    StoreConfig,
)
from destinations.server.config_reader import ConfigReader, is_folder
from destinations.server.source_calls import PATHS
from destinations.telemetry.alerts import AlertConfig

__all__ = [
    "config_of_text",
    "config_to_check",
    "config_to_show",
    "named_secrets",
    "read_alert_config",
    "read_config",
]

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
    reader = ConfigReader(
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
    folder = path.resolve().parent
    reader = ConfigReader(document, folder, environment, secrets=False, to_show=False)
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
    reader = ConfigReader(document, path.resolve().parent, environment, True, to_show=False)  # noqa: FBT003 - as `read_config` has it
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
    reader = ConfigReader(Document(name, dict(data), {}), folder, environment, True, to_show=True)  # noqa: FBT003 - as `read_config` has it
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
    reader = ConfigReader(document, folder, environment, True, to_show=True, sources=sources)  # noqa: FBT003 - as above
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
