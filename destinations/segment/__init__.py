"""Segment's semantics without I/O: events, FQL, mapping directives, fields, validation."""

__all__: list[str] = []
