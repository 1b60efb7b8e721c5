"""Convert the field definitions of Segment actions to JSON Schema."""

from destinations.segment.fields.json_schema import fields_to_schema

__all__ = ["fields_to_schema"]
