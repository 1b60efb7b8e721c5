"""Field definitions of Segment actions, and the JSON Schema that they mean."""

from destinations.segment.fields.json_schema import fields_to_schema

__all__ = ["fields_to_schema"]
