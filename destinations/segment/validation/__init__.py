"""Checking payloads against their fields: empty values, coercion, JSON Schema."""

from destinations.segment.validation.payload_schema import CompiledSchema, compile_schema
from destinations.segment.validation.results import Change, Checked, FieldError

__all__ = ["Change", "Checked", "CompiledSchema", "FieldError", "compile_schema"]
