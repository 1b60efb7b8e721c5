"""Convert the field definitions of Segment actions to JSON Schema."""

from destinations.segment.fields.conditions import SYNC_MODE
from destinations.segment.fields.json_schema import (
    ASKED_BY_CODE,
    FORM_KEYWORDS,
    choice_text,
    fields_to_schema,
)

__all__ = ["ASKED_BY_CODE", "FORM_KEYWORDS", "SYNC_MODE", "choice_text", "fields_to_schema"]
