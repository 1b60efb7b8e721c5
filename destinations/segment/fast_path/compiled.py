"""One subscription's mapping and schema as a function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.errors import ResolveError
from destinations.segment.fast_path.checks import (
    Level,
    Miss,
    combined_check,
    mentioned,
    object_shape,
    split_combined,
)
from destinations.segment.fast_path.nodes import is_plain_object
from destinations.segment.fast_path.source import Source
from destinations.segment.fast_path.writer import Writer
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.directives.choice import is_not_blank
from destinations.segment.mapping.limits import MANY_DIRECTIVES, count_values, measure

__all__ = ["FastPath", "compile_fast_path"]

_MOST_VALUES: Final = 2000  # code for more would take longer to make than it ever saves


@dataclass(frozen=True, slots=True)
class FastPath:
    """A function from an event to its payload, and its source.

    ``payload`` raises Miss for an event that needs the rules of mapping and validation, and may
    raise ResolveError or RecursionError: what they say of the event is the business of those rules,
    too. A payload is the very one that they give, and may share objects with the event.
    """

    source: str
    payload: Callable[[Mapping[str, Any]], dict[str, Any]] = field(repr=False)

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Whether the event has its payload made here."""
        try:
            self.payload(event)
        except (Miss, ResolveError, RecursionError):
            return False
        return True


def compile_fast_path(
    mapping: object, schema: Mapping[str, Any], *, needed: Collection[str] = ()
) -> FastPath | None:
    """Return the fast path of a mapping and a schema that have no faults.

    An event whose payload lacks a key of ``needed`` is a miss. None where nothing can be gained:
    the mapping as a whole is one directive, or a required field has no mapping.
    """
    simple, combined = split_combined(schema)
    shape = object_shape(simple)
    if shape is None or not isinstance(mapping, dict) or not is_plain_object(mapping):
        return None
    is_large = count_values(mapping) > _MOST_VALUES or measure(mapping, "")[0] > MANY_DIRECTIVES
    required = shape.required | set(needed)
    # Conditions also look at what is left out.
    is_complete = not combined or mapping.keys() <= shape.properties.keys()
    if is_large or not (required <= mapping.keys() and is_complete):
        return None
    source = Source(Miss=Miss, UNDEFINED=UNDEFINED, EMPTY={}, is_not_blank=is_not_blank)
    function = source.function("payload", "event")
    # Conditions see what is there before it is coerced.
    writer = Writer(source, function, schema, mentioned(combined))
    writer.members(mapping, "payload", shape, Level.ROOT)
    for key in sorted(required - shape.required):
        function.line(f"if {key!r} not in payload:")
        function.line("    raise Miss")
    if combined:
        function.line(f"{source.bind('check', combined_check(combined, schema))}(payload)")
    function.line("return payload")
    return FastPath(source.text, source.compile()[function.name])
