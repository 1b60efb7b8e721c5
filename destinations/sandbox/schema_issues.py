"""Check what the users of a stand-in write, such as fault rules, against schemas that ship."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from destinations.errors import Issue
from destinations.segment.json_pointer import pointer

__all__ = ["schema_issues", "shipped_schema"]


def schema_issues(schema: Draft202012Validator, document: object) -> list[Issue]:
    """Return every issue in the document, in its order."""
    errors = sorted(schema.iter_errors(document), key=_place)
    return [Issue(_message(error), pointer(*error.absolute_path)) for error in errors]


@cache
def shipped_schema(
    package: str, name: str, formats: FormatChecker | None = None
) -> Draft202012Validator:
    """Return the schema in this file of a package; ``formats`` checks the formats that it names."""
    schema: dict[str, Any] = json.loads((files(package) / name).read_text("utf-8"))
    return Draft202012Validator(schema, format_checker=formats)


def _place(error: ValidationError) -> list[tuple[bool, int, str]]:
    return [
        (False, part, "") if isinstance(part, int) else (True, 0, part)
        for part in error.absolute_path
    ]


def _message(error: ValidationError) -> str:
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "format":
            return f"invalid time {value!r}: expected ISO 8601, such as 2022-10-01T00:00:00Z"
        case "type":
            names = wanted if isinstance(wanted, list) else [wanted]
            return f"must be {' or '.join(names)}, got {_shown(value)}"
        case "enum":
            return f"must be one of {', '.join(map(str, wanted))}, got {_shown(value)}"
        case "pattern":
            # The value may be a key, so it is not repeated.
            named = error.schema if isinstance(error.schema, dict) else {}
            return f"does not match {named.get('title', wanted)}"
        case "anyOf" if all("required" in one for one in wanted):
            wants = ", ".join(one["required"][0] for one in wanted)
            return f"must say what goes wrong: at least one of {wants}"
        case "oneOf" | "anyOf":
            return f"{_shown(value)} fits none of the allowed forms"
        case _:
            return error.message


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
