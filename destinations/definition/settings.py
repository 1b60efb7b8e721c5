"""Read a destination's settings from a file, complete them from the environment, check them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from destinations.by_identity import ByIdentity
from destinations.definition import DestinationDefinition
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.definition.secret_sources import SourceError, Sources
from destinations.definition.setting_uses import duration_settings
from destinations.durations import parse_duration
from destinations.errors import SettingsError, UsageError, did_you_mean
from destinations.secrets import Masker, Secret, has_userinfo, query_secrets, reveal
from destinations.segment.javascript.values import article, type_name
from destinations.segment.json_pointer import pointer
from destinations.segment.validation import CompiledSchema, compile_schema

__all__ = [
    "Settings",
    "check_settings",
    "filled_settings",
    "is_url",
    "named_settings",
    "read_present_settings",
    "read_settings",
    "settings_to_show",
]

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


class Settings(dict[str, Any]):
    """Checked settings: a plain mapping for templates; secrets have the type `Secret`."""

    def __init__(self, values: Mapping[str, Any], secrets: tuple[str, ...]) -> None:
        super().__init__(
            {
                key: Secret(value) if key in secrets and isinstance(value, str) else value
                for key, value in values.items()
            }
        )
        self.issued: Callable[[], Sequence[str]] = tuple
        """Returns further secrets that the partner has issued for them, such as access tokens."""

    @property
    def masker(self) -> Masker:
        """A masker of the secrets among them, and of what was issued for them."""
        secrets = (reveal(one) for one in self.values() if isinstance(one, Secret))
        return _masker((*secrets, *self.issued()))

    @property
    def masker_of_answers(self) -> Masker:
        """A masker for what others say: also of the values in the queries of addresses.

        Partners, and proxies before them, repeat the address that they were asked at.
        """
        texts = [reveal(one) for one in self.values() if isinstance(one, str)]
        values = [value for text in texts for value in query_secrets(text)]
        secrets = (reveal(one) for one in self.values() if isinstance(one, Secret))
        return _masker((*secrets, *values, *self.issued()))


@lru_cache(maxsize=64)
def _masker(secrets: tuple[str, ...]) -> Masker:
    """Return a masker, which takes some time to make: the customers of a partner are many."""
    return Masker(secrets)


def read_settings(
    path: Path, environment: Mapping[str, str], *, replaced: Container[str] = ()
) -> Document:
    """Read a YAML or JSON file, and look up the values that it only names (see `secret_sources`).

    Variables are those of ``environment``, paths are relative to the file. Settings in ``replaced``
    will be given other values, so their sources need not exist. Raises `SettingsError` with
    every missing value, `UsageError` for an unreadable file.
    """
    document, found = read_present_settings(path, environment, replaced=replaced)
    if found:
        raise SettingsError(
            [document.issue(pointer(key), str(error)) for key, error in found.items()]
        )
    return document


def read_present_settings(
    path: Path, environment: Mapping[str, str], *, replaced: Container[str] = ()
) -> tuple[Document, Mapping[str, SourceError]]:
    """Read the same file, and return by name why the values of some settings cannot be had.

    The document lacks these. Raises `SettingsError` for a file that is not a mapping, `UsageError`
    for an unreadable one.
    """
    try:
        text = read_text_input(path, pipes=True)
    except OSError as error:
        msg = f"cannot read the settings file {path}: {error.strerror}"
        raise UsageError(msg) from None
    except UnicodeDecodeError:
        msg = f"cannot read the settings file {path}: it is not UTF-8"
        raise UsageError(msg) from None
    document = read_document(text, name=str(path))
    if not isinstance(document.data, dict):
        raise SettingsError([document.issue("", "must be a mapping of settings, such as apiKey")])
    data, found = filled_settings(document.data, Sources(environment, path.parent), replaced)
    return Document(document.name, data, document.lines), found


def filled_settings(
    given: Mapping[str, Any], sources: Sources, replaced: Container[str] = ()
) -> tuple[dict[str, Any], dict[str, SourceError]]:
    """Return settings with what they name in its place, and by name why others cannot be had."""
    values: dict[str, Any] = {}
    missing: dict[str, SourceError] = {}
    for key, value in given.items():
        try:
            values[key] = value if key in replaced else sources.value(value)
        except SourceError as error:
            missing[key] = error
    return values, missing


def check_settings(definition: DestinationDefinition, document: Document) -> Settings:
    """Return settings with their defaults; raises `SettingsError` with every issue.

    Text may stand for a number or boolean, as environment variables hold only text. No other value
    is converted to the type of its setting. No issue shows a secret.
    """
    properties: Mapping[str, Mapping[str, Any]] = definition.settings["properties"]
    given: dict[str, Any] = document.data
    masker = Masker(
        value for key in definition.secret_settings if isinstance(value := given.get(key), str)
    )
    known = ", ".join(properties)
    issues = [
        document.issue(
            pointer(key),
            f"{definition.name} has no such setting; it has: {known}"
            + did_you_mean(key, properties),
        )
        for key in given
        if key not in properties
    ]
    of_other_types = {
        pointer(key): message
        for key, value in given.items()
        if key in properties and (message := _type_issue(properties[key], value))
    }
    of_other_types |= _not_durations(definition, given)
    issues += [
        document.issue(place, masker.text(message)) for place, message in of_other_types.items()
    ]
    with_userinfo = {
        pointer(key)
        for key, value in given.items()
        if isinstance(value, str) and key not in definition.secret_settings and has_userinfo(value)
    }
    advice = _where_credentials_belong(definition)
    issues += [document.issue(place, advice) for place in sorted(with_userinfo)]
    defaults = {key: spec["default"] for key, spec in properties.items() if "default" in spec}
    checked = _schema(ByIdentity(definition)).check({**defaults, **given})
    secret_places = {pointer(key) for key in definition.secret_settings}
    for error in checked.errors:
        if error.path not in of_other_types and error.path not in with_userinfo:
            # A message cuts long values, and a secret that is cut could not be masked.
            words = error.message
            words = words.partition(", got ")[0] if error.path in secret_places else words
            issues.append(document.issue(error.path, masker.text(words)))
    issues += [
        document.issue(
            pointer(key), "must not begin or end with white space or contain line breaks"
        )
        for key in definition.secret_settings
        if isinstance(value := checked.payload.get(key), str) and not _is_one_word(value)
    ]
    for key, spec in properties.items():
        value = checked.payload.get(key)
        if pointer(key) in with_userinfo:
            continue
        if isinstance(value, str) and (key in definition.secret_settings or is_url(spec)):
            issues += [document.issue(pointer(key), issue) for issue in _invisible(value)]
    if issues:
        raise SettingsError(issues)
    return Settings(checked.payload, definition.secret_settings)


def _not_durations(
    definition: DestinationDefinition, given: Mapping[str, Any]
) -> Mapping[str, str]:
    """Return why values are not the durations that they have to be, by their places."""
    found: dict[str, str] = {}
    for key in sorted(duration_settings(definition)):
        value = given.get(key)
        if isinstance(value, str):
            try:
                parse_duration(value)
            except UsageError as error:
                found[pointer(key)] = str(error)
    return found


@lru_cache(maxsize=8)
def _schema(key: ByIdentity[DestinationDefinition]) -> CompiledSchema:
    return compile_schema(dict(key.value.settings))


def _where_credentials_belong(definition: DestinationDefinition) -> str:
    """Return the message for a URL with credentials: only secret settings are masked everywhere."""
    secret = ", ".join(definition.secret_settings)
    cure = f"; credentials belong in {secret}" if secret else ""
    return f"must not have a user or a password before its host{cure}"


def named_settings(definition: DestinationDefinition) -> Settings:
    """Return defaults, with names in place of required values: for requests that are only shown."""
    required = definition.settings.get("required", ())
    values = {
        key: spec.get("default", _named(key, spec))
        for key, spec in definition.settings["properties"].items()
        if "default" in spec or key in required
    }
    return Settings(values, ())


def settings_to_show(
    definition: DestinationDefinition, document: Document, absent: Collection[str]
) -> tuple[Settings, frozenset[str]]:
    """Return checked settings, with names in place of ``absent`` and of required ones not given.

    These are the second result. Such settings are for requests that are only shown. Raises
    `SettingsError` with every issue of the others.
    """
    properties: Mapping[str, Mapping[str, Any]] = definition.settings["properties"]
    required = definition.settings.get("required", ())
    given = {key: value for key, value in document.data.items() if key not in absent}
    unknown = dict.fromkeys(key for key in absent if key not in properties)
    named = {
        key: _named(key, spec)
        for key, spec in properties.items()
        if key in absent or (key in required and key not in given and "default" not in spec)
    }
    schema = {**definition.settings, "required": [key for key in required if key not in named]}
    checked = check_settings(
        replace(definition, settings=schema),
        Document(document.name, {**given, **unknown}, document.lines),
    )
    secrets = tuple(key for key in definition.secret_settings if key not in named)
    return Settings({**checked, **named}, secrets), frozenset(named)


def _named(key: str, spec: Mapping[str, Any]) -> str:
    """Return the name of a setting in place of its value, or its first choice."""
    if spec.get("enum"):
        return str(spec["enum"][0])  # a request may depend on it, as its URL does on a region
    return f"https://<{key}>" if is_url(spec) else f"<{key}>"


_TYPES: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "string": ("a string", (str,)),
    "number": ("a number", (int, float, str)),
    "integer": ("an integer", (int, float, str)),
    "boolean": ("true or false", (bool, str)),
}
"""By the type of a setting: what a message says is expected, and the types accepted."""


def _type_issue(spec: Mapping[str, Any], value: object) -> str:
    """Return why a value has the wrong type, without showing it; empty if the type may be right.

    Null counts as wrong. Whether text holds a number or boolean is for the schema to check.
    """
    if value is None:
        return ""
    expected, types = _TYPES[spec["type"]]
    if isinstance(value, types) and (bool in types or not isinstance(value, bool)):
        return ""
    quoted = spec["type"] == "string" and isinstance(value, int | float)
    advice = "; put it in quotes if it is meant as text" if quoted else ""
    return f"must be {expected}, got {article(type_name(value))}{advice}"


def is_url(spec: Mapping[str, object]) -> bool:
    """Return whether the values of a setting, by its part of the schema, are URLs."""
    return spec.get("format") == "uri" or str(spec.get("pattern", "")).startswith("^http")


def _invisible(value: str) -> Iterator[str]:
    """Yield an issue for an invisible character, as copied texts often have them."""
    for place, character in enumerate(value, 1):
        if unicodedata.category(character) in _INVISIBLE and character not in " \r\n\0":
            name = unicodedata.name(character, "a control character")
            yield (
                f"character {place} is U+{ord(character):04X} ({name}), which is invisible; "
                "delete it, or type the value instead of copying it"
            )
            return


def _is_one_word(value: str) -> bool:
    """Return whether a secret fits in a header: a file's last line break is often part of one."""
    return value == value.strip() and not any(character in value for character in "\r\n\0")
