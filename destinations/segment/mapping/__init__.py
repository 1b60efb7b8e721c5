"""Mappings: raw JSON values and directives that make a payload of an event."""

from destinations.segment.mapping.compiled import (
    CompiledMapping,
    CompiledValue,
    Step,
    compile_getter,
    compile_mapping,
    compile_value,
)

__all__ = [
    "CompiledMapping",
    "CompiledValue",
    "Step",
    "compile_getter",
    "compile_mapping",
    "compile_value",
]
