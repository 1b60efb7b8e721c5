"""JavaScript's semantics of values, as far as the definitions of Segment's destinations need them.

Each module has one concept: values, numbers, text, printing, members, JSON text, replacing, dates.
"""

from destinations.segment.javascript.dates import parse_date
from destinations.segment.javascript.json_text import parse, stringify
from destinations.segment.javascript.members import entries, getter, member
from destinations.segment.javascript.numbers import number_to_string, plain_number, to_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.replacing import replace_text
from destinations.segment.javascript.text import trim
from destinations.segment.javascript.values import (
    UNDEFINED,
    NativeFunction,
    Undefined,
    article,
    is_truthy,
    type_name,
)

__all__ = [
    "UNDEFINED",
    "NativeFunction",
    "Undefined",
    "article",
    "entries",
    "getter",
    "is_truthy",
    "member",
    "number_to_string",
    "parse",
    "parse_date",
    "plain_number",
    "replace_text",
    "stringify",
    "to_number",
    "to_string",
    "trim",
    "type_name",
]
