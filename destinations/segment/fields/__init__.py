"""Convert the field definitions of Segment actions to JSON Schema."""

from destinations.segment.fields.conditions import SYNC_MODE
from destinations.segment.fields.json_schema import FORM_KEYWORDS, fields_to_schema

__all__ = ["FORM_KEYWORDS", "SYNC_MODE", "fields_to_schema"]
