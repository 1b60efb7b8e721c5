"""Segment's semantics, pure: events, FQL, mapping directives, fields, validation and coercion."""

__all__: list[str] = []
