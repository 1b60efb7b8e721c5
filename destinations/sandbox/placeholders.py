"""Make settings that are not real, for stand-ins, cases and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.document import Document
from destinations.definition.settings import Settings, check_settings
from destinations.errors import SettingsError, UsageError

__all__ = ["placeholder_settings"]

_PLACEHOLDER: Final = "placeholder-{}"
_PLACEHOLDER_URL: Final = "https://placeholder-{}.example.com"


def placeholder_settings(
    definition: DestinationDefinition, given: Mapping[str, Any] | None = None
) -> Settings:
    """Return settings to show, with placeholders for secrets and required values.

    ``given`` are settings to keep, except that only the names of secrets are used. A setting's own
    ``examples`` are preferred. Raises `UsageError` for a setting that no placeholder fits.
    """
    given = given or {}
    secrets = definition.secret_settings
    values = {key: value for key, value in given.items() if key not in secrets}
    needed = [*definition.settings.get("required", ()), *(key for key in secrets if key in given)]
    for key in dict.fromkeys(needed):
        if key not in values and "default" not in definition.settings["properties"][key]:
            values[key] = _placeholder(definition, key)
    return check_settings(definition, Document("settings", values, {}))


def _placeholder(definition: DestinationDefinition, key: str) -> Any:
    spec: Mapping[str, Any] = definition.settings["properties"][key]
    texts = (_PLACEHOLDER.format(key), _PLACEHOLDER_URL.format(key.lower()))
    only = replace(definition, settings={**definition.settings, "required": [key]})
    given = (*spec.get("examples", ()), *spec.get("enum", ()))
    for candidate in (*given, *texts, 1, True):
        try:
            check_settings(only, Document("settings", {key: candidate}, {}))
        except SettingsError:
            continue
        return candidate
    msg = (
        f"no placeholder fits the setting {key!r} of {definition.name}: give it `examples` in "
        "destination.yaml, with a value that is not real"
    )
    raise UsageError(msg)
