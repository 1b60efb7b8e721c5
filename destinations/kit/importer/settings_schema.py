"""Convert Segment's options to the settings of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.segment_model import SegmentOption
from destinations.kit.importer.titles import NO_DESCRIPTION, title_of

__all__ = ["settings_schema"]

_TYPES: Final[Mapping[str, str]] = {
    "string": "string",
    "text": "string",
    "password": "string",
    "select": "string",
    "datetime": "string",
    "color": "string",
    "boolean": "boolean",
    "checkbox": "boolean",
    "number": "number",
    "integer": "integer",
}
_PYTHON: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
}
_LOOKS_SECRET: Final = re.compile(
    r"(key|secret|token|password|passphrase|credentials?)$", re.IGNORECASE
)


def settings_schema(options: Sequence[SegmentOption] | None, findings: Findings) -> dict[str, Any]:
    """Return the JSON Schema of the settings; other options are noted and left out.

    A setting is text, a number or a boolean. Secrets are options of the type password, and texts
    named like secrets (``apiKey``, ``clientSecret``, ``accessToken``); they have no default.
    """
    properties: dict[str, Any] = {}
    required = []
    for option in options or ():
        kind = _TYPES.get(option.type)
        if option.name in properties:
            findings.issue(option.path, f"is another option {option.name!r}: keep one")
        elif kind is None:
            message = (
                f"the option {option.name!r} is of the type {option.type}, and settings are text, "
                "numbers or booleans: left out"
            )
            findings.note(option.path, message)
        elif option.name:
            properties[option.name] = _setting(option, kind, findings)
            required += [option.name] if option.required else []
    _drop_unknown(options or (), properties, findings)
    schema: dict[str, Any] = {"type": "object"}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False, "properties": properties}


def _drop_unknown(
    options: Sequence[SegmentOption], properties: dict[str, Any], findings: Findings
) -> None:
    """Take out conditions on settings that are not imported."""
    for option in options:
        spec = properties.get(option.name, {})
        for keyword, key in (("x-dependsOn", "depends_on"), ("x-requiredWhen", "required")):
            conditions = spec.get(keyword, {}).get("conditions", ())
            unknown = [one["field"] for one in conditions if one["field"] not in properties]
            if unknown:
                message = f"its conditions name {unknown[0]!r}, which is no setting here: left out"
                findings.note(f"{option.path}/{key}", message)
                del spec[keyword]


def _setting(option: SegmentOption, kind: str, findings: Findings) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "title": option.label or title_of(option.name),
        "description": option.description or NO_DESCRIPTION,
        "type": kind,
    }
    is_text = kind == "string"
    is_secret = is_text and (option.type == "password" or bool(_LOOKS_SECRET.search(option.name)))
    spec |= option.form
    if is_secret:
        if "format" in option.form and option.form["format"] != "password":
            findings.note(f"{option.path}/format", "is a secret, so its format is password")
        spec["format"] = "password"
    values = [
        choice["value"] if isinstance(choice, dict) and "value" in choice else choice
        for choice in option.choices
    ]
    labels = [
        choice.get("label") if isinstance(choice, dict) and "value" in choice else None
        for choice in option.choices
    ]
    if values:
        spec["enum"] = values
    if any(label not in (None, str(value)) for label, value in zip(labels, values, strict=True)):
        spec["x-labels"] = labels
    default, place = option.default, f"{option.path}/{option.default_key}"
    if default is None or default == "":
        return spec
    if not isinstance(default, _PYTHON[kind]) or (isinstance(default, bool) != (kind == "boolean")):
        message = f"is {json_type(default)} and the option is of the type {option.type}: left out"
        findings.note(place, message)
    elif is_secret:
        findings.note(
            place,
            "default not imported: a secret must not have one",
        )
    elif values and default not in values:
        findings.note(place, "is not one of the choices: left out")
    else:
        spec["default"] = default
    return spec
