"""Check seeds and fault rules of users against the schemas in this folder."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from destinations.errors import Issue
from destinations.segment.json_pointer import pointer
from kana_destination.sandbox.models import parse_iso

__all__ = ["schema_issues"]

_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("moment", raises=ValueError)
def _is_moment(value: object) -> bool:
    if isinstance(value, str):
        parse_iso(value)
    return True


def schema_issues(schema_name: str, document: object) -> list[Issue]:
    """Return every issue in the document, in its order, under the schema of that file name."""
    errors = sorted(_validator(schema_name).iter_errors(document), key=_place)
    return [Issue(_message(error), pointer(*error.absolute_path)) for error in errors]


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
            return f"does not match {wanted}"
        case "oneOf":
            return f"{_shown(value)} fits none of the allowed forms"
        case "anyOf":
            wants = ", ".join(one["required"][0] for one in wanted)
            return f"must say what goes wrong: at least one of {wants}"
        case _:
            return error.message


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


@cache
def _validator(schema_name: str) -> Draft202012Validator:
    text = (files("kana_destination.sandbox") / schema_name).read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return Draft202012Validator(schema, format_checker=_FORMATS)
