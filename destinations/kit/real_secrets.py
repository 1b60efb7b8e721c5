"""Tell what looks like a real secret from placeholders, in texts that others read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.document import Document, read_document
from destinations.errors import DefinitionError, Issue
from destinations.kit.testing.case_reading import CASES_FOLDER, case_files
from destinations.segment.json_pointer import pointer

__all__ = ["has_token", "keys_in", "secrets_in_cases"]

# The forms of keys that partners give out: a known beginning, and a value that is not a
# placeholder.
_KEY: Final = re.compile(
    r"\b(?:prv|pub|sk|pk|rk|whsec)_(?:(?:live|test|prod)_)?(?=[A-Za-z_]*\d)[A-Za-z0-9_]{8,}\b"
    r"|\b(?:prv|sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{3,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bgh[pousr]_\w{20,}|\bAKIA[0-9A-Z]{16}\b|\bSG\.[\w-]{16,}\.[\w-]{16,}"
    r"|\bAIza[\w-]{30,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"
    r"|hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_TOKEN: Final = re.compile(r"(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{20,}")
_PLACEHOLDERS: Final = frozenset(
    ["api", "example", "here", "key", "placeholder", "sample", "secret", "token", "value", "your"]
)
_NOT_REAL: Final = frozenset(["example", "here", "placeholder", "sample", "your"])
"""Words that no real secret has."""


def keys_in(text: str) -> Iterator[re.Match[str]]:
    """Yield what has the form of a key that a partner gives out, and is no placeholder."""
    for found in _KEY.finditer(text):
        rest = re.compile(r"[\w-]*").match(text, found.end())
        if not _is_placeholder(found[0] + (rest[0] if rest else "")):
            yield found


def _is_placeholder(key: str) -> bool:
    """Return whether what follows a key's beginning are words: prv_test_YOUR_KEY, sk_live_xxxx."""
    parts = re.split(r"[_-]", key)[1:]
    while parts and parts[0] in {"live", "test", "prod"}:
        del parts[0]
    are_words = all(part.isalpha() and (part.islower() or part.isupper()) for part in parts if part)
    is_repeated = len(set("".join(parts).lower())) == 1
    says_so = any(part.lower() in _PLACEHOLDERS for part in parts)
    return is_repeated or (are_words and (says_so or "".join(parts).lower().startswith("your")))


def has_token(text: str) -> bool:
    """Return whether a text has a long word of letters and digits."""
    return _TOKEN.search(text) is not None


def secrets_in_cases(
    folder: Traversable, definition: DestinationDefinition
) -> Mapping[str, list[Issue]]:
    """Return what looks like a real secret in the cases of a definition, by the case's name.

    Secret settings are looked at, and all texts for the keys that partners give out.
    """
    found: dict[str, list[Issue]] = {}
    for file in case_files(folder / CASES_FOLDER):
        try:
            document = read_document(file.read_text(encoding="utf-8"), name=str(file))
        except (OSError, UnicodeDecodeError, DefinitionError):
            continue  # whoever reads the case says so
        if issues := list(_secrets_in(document, definition)):
            found[file.name.rpartition(".")[0]] = issues
    return found


def _secrets_in(document: Document, definition: DestinationDefinition) -> Iterator[Issue]:
    data = document.data
    secret = {pointer("settings", key): key for key in definition.secret_settings}
    properties = definition.settings["properties"]
    for place, value in _texts(data):
        key = secret.get(place)
        if key is not None and value not in properties[key].get("examples", ()):
            is_real = _looks_real(value)
        else:
            is_real = any(keys_in(value))
        if is_real:
            where = f"the setting {key}" if key is not None else "the text"
            message = (
                f"{where} holds what looks like a real secret, which the exported tests would show:"
                f" write a placeholder, such as placeholder-{key or 'key'}"
            )
            yield document.issue(place, message)


def _looks_real(value: str) -> bool:
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", value)}
    return any(keys_in(value)) or (not words & _NOT_REAL and has_token(value))


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, place + pointer(key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _texts(one, place + pointer(index))
