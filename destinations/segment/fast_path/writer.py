"""Mappings and schemas to lines of Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.segment.fast_path.checks import (
    ANYTHING,
    Level,
    Miss,
    Shape,
    field_check,
    forgets_null,
    item_shape,
    object_shape,
    test_of,
)
from destinations.segment.fast_path.nodes import (
    Choice,
    Items,
    choice_of,
    is_plain_object,
    is_scalar,
    items_of,
    plain_path,
    resolver_of,
)
from destinations.segment.fast_path.source import Function, Source
from destinations.segment.javascript.members import entries
from destinations.segment.mapping.limits import LARGEST_VALUE, count_values

__all__ = ["Writer"]

_NULL: Final = "None"
_UNDEFINED: Final = "UNDEFINED"


class Writer:
    """Writes the body of one function.

    ``fixed`` are the members of the payload that must not be coerced (see `field_check`), or within
    an item whether that is one; None stands for all.

    The code has one value at a time in the local ``value``. What is not there is ``None`` where
    null means the same, else ``UNDEFINED``.
    """

    def __init__(
        self,
        source: Source,
        function: Function,
        root: Mapping[str, Any],
        fixed: frozenset[str] | None,
    ) -> None:
        self._source = source
        self._function = function
        self._root = root
        self._fixed = fixed
        self._unchanged = fixed is None

    def members(self, node: Mapping[str, Any], into: str, shape: Shape, level: Level) -> None:
        """Make the object ``into`` of the mapping ``node``."""
        self._function.line(f"{into} = {{}}")
        for key, child in entries(node):
            place = f"{into}[{key!r}]"
            if level is Level.ROOT and self._fixed is not None:
                self._unchanged = key in self._fixed
            if key in shape.properties:
                schema = shape.properties[key]
                self._field(child, place, schema, level, is_required=key in shape.required)
            elif not shape.is_closed:
                self._unknown(child, place, level)
            elif plain_path(child) is None and not is_scalar(child):
                # It is left out, but it may fail.
                self._value(child, _UNDEFINED)
        if level is Level.ROOT:
            self._members_otherwise(into, shape)

    def _unknown(self, node: Any, place: str, level: Level) -> None:
        self._value(node, _UNDEFINED)
        drops_empty = " and value != ''" if level is Level.ROOT else ""
        with self._function.block(f"if value is not UNDEFINED{drops_empty}"):
            self._function.line(f"{place} = value")

    def _field(
        self, node: Any, place: str, schema: Any, level: Level, *, is_required: bool
    ) -> None:
        inner = object_shape(schema)
        if inner is not None and is_plain_object(node) and inner.required <= node.keys():
            name = self._function.local("object")
            self.members(node, name, inner, level.below)
            self._function.line(f"{place} = {name}")
            return
        absent = _NULL if forgets_null(schema) and level is not Level.ITEM else _UNDEFINED
        items, shape = items_of(node), item_shape(schema)
        if items is not None and shape is not None and shape.required <= items.shape.keys():
            self._array(items, shape, absent)
            test: str | None = "type(value) is list"
        else:
            test = test_of(schema, self._source)
            self._value(node, absent if test is not None else _UNDEFINED)
        check = field_check(schema, self._root, level, unchanged=self._unchanged)
        call = f"{self._source.bind('check', check)}(value)"
        if test is None:
            self._checked(place, call, is_required=is_required)
            return
        if level is Level.ROOT and "type(value) is str" in test:
            test = f"value and {test}"  # an empty text is not there
        self._tested(place, test, call, absent, is_required=is_required)

    def _members_otherwise(self, into: str, shape: Shape) -> None:
        """Give fields their value for where the mapping gives none."""
        for key, schema in shape.properties.items():
            if not isinstance(schema, dict) or "x-otherwise" not in schema:
                continue
            try:
                value = self._checked_otherwise(schema)
            except Miss:
                with self._function.block(f"if {key!r} not in {into}"):
                    self._function.line("raise Miss")
            else:
                value = self._source.bind("otherwise", value)
                self._function.line(f"{into}.setdefault({key!r}, {value})")

    def _checked_otherwise(self, schema: Mapping[str, Any]) -> Any:
        return field_check(schema, self._root, Level.ITEM, unchanged=True)(schema["x-otherwise"])

    def _checked(self, place: str, check: str, *, is_required: bool) -> None:
        """Put what the field's rules make of ``value`` into its place."""
        line = self._function.line
        if is_required:
            line(f"value = {check}")
            line("if value is UNDEFINED:")
            line("    raise Miss")
            line(f"{place} = value")
        else:
            line(f"if value is not UNDEFINED and (value := {check}) is not UNDEFINED:")
            line(f"    {place} = value")

    def _tested(self, place: str, test: str, check: str, absent: str, *, is_required: bool) -> None:
        """Put a ``value`` that passes the test into its place, and asks the rules of any other."""
        line = self._function.line
        if is_required:
            with self._function.block(f"if not ({test})"):
                line(f"value = {check}")
                line("if value is UNDEFINED:")
                line("    raise Miss")
            line(f"{place} = value")
            return
        with self._function.block(f"if value is not {absent}"):
            line(f"if {test}:")
            line(f"    {place} = value")
            line(f"elif (value := {check}) is not UNDEFINED:")
            line(f"    {place} = value")

    def _value(self, node: Any, absent: str) -> None:
        """Put what ``node`` gives into ``value``."""
        line = self._function.line
        if keys := plain_path(node):
            self._found(keys, absent)
        elif is_scalar(node):
            line(f"value = {node!r}")
        elif choice := choice_of(node):
            self._choice(choice, absent)
        elif items := items_of(node):
            self._array(items, ANYTHING, absent)
        elif is_plain_object(node):
            name = self._function.local("object")
            self.members(node, name, ANYTHING, Level.ITEM)
            line(f"value = {name}")
        else:
            resolve = self._source.bind("resolve", resolver_of(node))
            line(f"value = {resolve}({self._function.argument})")
            if absent == _NULL:
                line("if value is UNDEFINED:")
                line("    value = None")

    def _found(self, keys: tuple[str, ...], absent: str) -> None:
        otherwise = "" if absent == _NULL else f", {absent}"
        around = self._function.part(keys[:-1])
        self._function.line(f"value = {around}.get({keys[-1]!r}{otherwise})")

    def _choice(self, choice: Choice, absent: str) -> None:
        self._value(choice.subject, _NULL)
        holds = "value is not None"
        if choice.asks_blank:
            holds += " and (value if type(value) is str else is_not_blank(value))"
        is_same = repr(choice.then) == repr(choice.subject)
        if is_same:
            with self._function.block(
                f"if not ({holds})" if choice.asks_blank else "if value is None"
            ):
                self._branch(choice.otherwise, absent)
            return
        with self._function.block(f"if {holds}"):
            self._branch(choice.then, absent)
        with self._function.block("else"):
            self._branch(choice.otherwise, absent)

    def _branch(self, node: Any, absent: str) -> None:
        if node is None:
            self._function.line(f"value = {absent}")
        else:
            self._value(node, absent)

    def _array(self, items: Items, shape: Shape, absent: str) -> None:
        """Put an array of objects of that shape into ``value``; one object is an item, too."""
        function = self._source.function("item", "item")
        fixed = None if self._unchanged else frozenset[str]()
        writer = Writer(self._source, function, self._root, fixed)
        writer.members(items.shape, "made", shape, Level.ITEM)
        function.line("return made")
        line = self._function.line
        self._found(items.keys, absent)
        line("if type(value) is list:")
        line(f"    if len(value) > {LARGEST_VALUE // count_values(items.shape)}:")
        line("        raise Miss")
        line(f"    value = list(map({function.name}, value))")
        line("elif type(value) is dict:")
        line(f"    value = [{function.name}(value)]")
        line(f"elif value is not {absent}:")
        line("    raise Miss")
