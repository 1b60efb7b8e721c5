"""From an event to the payload of a subscription: its mapping and its fields, compiled into one.

Members are made and checked one by one, in one loop: nearly all hold what their fields ask for, and
need nothing but a look. What does not fit is judged by the rules of its field. Directives are
defined only by `destinations.segment.mapping`, keywords only by `destinations.segment.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from destinations.segment.javascript.json_form import as_json_form
from destinations.segment.javascript.members import entries
from destinations.segment.mapping import CompiledMapping
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.cleaning import without_undefined
from destinations.segment.mapping.compiler import Compiler
from destinations.segment.mapping.directive import Part
from destinations.segment.mapping.limits import MANY_DIRECTIVES, measure
from destinations.segment.mapping.nodes import Place, Resolver
from destinations.segment.mapping.parts import members, split
from destinations.segment.payload_code import compile_fill
from destinations.segment.validation.empties import compile_cleaner
from destinations.segment.validation.filling import Member, compile_settler
from destinations.segment.validation.fits import (
    NEVER,
    PART_UNFIT,
    Fit,
    Unfit,
    compile_fit,
    judgeable,
)
from destinations.segment.validation.keywords import Errors
from destinations.segment.validation.payload_schema import CompiledSchema
from destinations.segment.validation.schema_rule import compile_rule

__all__ = ["MakePayload", "compile_payload"]

MakePayload = Callable[[Mapping[str, Any], Errors], Any]
"""Returns the payload for an event, and appends what is wrong with it to the errors.

Raises `ResolveError` if the mapping fails on the event.
"""


def compile_payload(mapping: CompiledMapping, schema: CompiledSchema) -> MakePayload:
    """Compile what makes the payload of an event: the mapping's result, checked by the schema."""
    source = mapping.source
    if not isinstance(source, dict) or directive_keys(source):
        return _checked_whole(mapping, schema)
    # With that many directives, the sum of their results is checked.
    if measure(source, "")[0] > MANY_DIRECTIVES:
        return _checked_whole(mapping, schema)
    place = Place(mapping.path)
    compilers = {key: _Compiler(schema.schema, waits=schema.waits(key)) for key in source}
    fill = compile_fill(
        [
            _member(schema, key, node, place.child(key), compilers[key])
            for key, node in entries(source)
        ]
    )
    finish = schema.finish
    may_hold_functions = any(compiler.needs_cleaning for compiler in compilers.values())

    def make(event: Mapping[str, Any], errors: Errors) -> Any:
        payload: dict[str, Any] = {}
        unsettled: list[str] = []
        fill(event, payload, unsettled)
        payload = finish(payload, unsettled, errors)
        return as_json_form(payload) if unsettled and may_hold_functions else payload

    return make


def _checked_whole(mapping: CompiledMapping, schema: CompiledSchema) -> MakePayload:
    def make(event: Mapping[str, Any], errors: Errors) -> Any:
        checked = schema.check(mapping.resolve(event))
        errors += [(error.path, error.message) for error in checked.errors]
        return checked.payload

    return make


def _member(
    schema: CompiledSchema, key: str, node: Any, place: Place, compiler: _Compiler
) -> Member:
    part = schema.schema.get("properties", {}).get(key)
    get, fit = compiler.member(node, part, place)
    return schema.member(key, get, fit)


class _Compiler(Compiler):
    """Compiles the node of one member of a payload, for the schema of what it is to give.

    ``root`` is where that looks for ``$ref``. With ``waits`` nothing in the member is coerced, as
    conditions of the payload come first.
    """

    def __init__(self, root: Mapping[str, Any], *, waits: bool) -> None:
        super().__init__()
        self._root = root
        self._waits = waits
        self._shapes: dict[str, Resolver] = {}

    def member(self, node: Any, schema: Any, place: Place) -> tuple[Resolver, Fit | None]:
        """Compile the node of the member, and what is left to test of what it gives.

        The test is None where nothing is known of it.
        """
        resolver, fit = self._of_schema(node, schema, place, in_items=False)
        if fit is None:
            return resolver, None
        whole = self._plain(node, place)

        def resolve(event: Any) -> Any:
            value = resolver(event)
            return Unfit(judgeable(whole(event))) if value is PART_UNFIT else value

        return resolve, fit

    def value(self, node: object, place: Place) -> Resolver:
        """Compile any mapping value; the shape of items that have a schema, for that."""
        made = self._shapes.get(place.path)
        return super().value(node, place) if made is None else made

    def _of_schema(
        self, node: Any, schema: Any, place: Place, *, in_items: bool
    ) -> tuple[Resolver, Fit | None]:
        """Compile a node for the schema of what it is to give.

        Objects and arrays of objects are made member by member. ``in_items`` says that they stand
        in an array, where nothing empty is taken out.
        """
        if not isinstance(schema, dict) or not isinstance(node, dict):
            return self._plain(node, place), None
        if (fit := _fit_around_members(schema)) is not None and not directive_keys(node):
            return self._object_of(node, schema, place, in_items=in_items), fit
        shape = _shape_of_items(node)
        if shape is None or (fit := _fit_around_items(schema)) is None:
            return self._plain(node, place), None
        shape_at = Place(place.path + shape.place)
        each = self._object_of(shape.value, schema["items"], shape_at, in_items=True)
        self._shapes[shape_at.path] = each
        resolver = _list_of(self._plain(node, place))
        del self._shapes[shape_at.path]
        return resolver, fit

    def _plain(self, node: Any, place: Place) -> Resolver:
        """Compile any mapping value; what it gives that JSON cannot hold comes as `Unfit`."""
        before, self.needs_cleaning = self.needs_cleaning, False
        resolver = self.value(node, place)
        cleans, self.needs_cleaning = self.needs_cleaning, before or self.needs_cleaning
        if not cleans:
            return resolver

        def resolve(data: Any) -> Any:
            value = resolver(data)
            if type(value) is str:  # nearly always
                return value
            value = without_undefined(value)
            return value if as_json_form(value) is value else Unfit(value)

        return resolve

    def _object_of(
        self, node: Mapping[str, Any], schema: Mapping[str, Any], place: Place, *, in_items: bool
    ) -> Resolver:
        """Compile an object; PART_UNFIT comes in its place if a member does not fit."""
        required: Sequence[str] = schema.get("required", ())
        fill = compile_fill(
            [
                self._member_of(key, child, schema, place.child(key), in_items=in_items)
                for key, child in entries(node)
            ]
        )

        def make(data: Any) -> Any:
            made: dict[str, Any] = {}
            unfit: list[str] = []
            fill(data, made, unfit)
            if unfit:
                return PART_UNFIT
            for key in required:
                if key not in made:
                    return PART_UNFIT
            return made

        return make

    def _member_of(
        self, key: str, node: Any, schema: Mapping[str, Any], place: Place, *, in_items: bool
    ) -> Member:
        part = schema["properties"].get(key, schema.get("additionalProperties", True))
        get, fit = self._of_schema(node, part, place, in_items=in_items)
        is_known = key in schema["properties"]
        clean = None if in_items or not is_known else compile_cleaner(part)
        # Unknown ones are left to the rules of the object.
        rule = None if self._waits or not is_known else compile_rule(part, self._root)
        return Member(key, get, fit or compile_fit(part), compile_settler(clean or judgeable, rule))


# What is asked of a whole is asked before its members are coerced, and sees functions as well. So
# members are made one by one only where nothing is asked of the whole but how many items it has.


def _fit_around_members(schema: Mapping[str, Any]) -> Fit | None:
    """Return the test of an object without its members; None if more is asked than its type."""
    if schema.get("type") != "object" or "properties" not in schema:
        return None
    return _if_no_check(_fit_without(schema, "properties", "required", "additionalProperties"))


def _fit_around_items(schema: Mapping[str, Any]) -> Fit | None:
    """Return the test of an array without its objects; None if more is asked than a count."""
    items = schema.get("items")
    if schema.get("type") != "array" or not isinstance(items, dict):
        return None
    if _fit_around_members(items) is None:
        return None
    except_count = _if_no_check(_fit_without(schema, "items", "minItems", "maxItems"))
    return None if except_count is None else _fit_without(schema, "items")


def _fit_without(schema: Mapping[str, Any], *names: str) -> Fit:
    return compile_fit({name: asked for name, asked in schema.items() if name not in names})


def _if_no_check(fit: Fit) -> Fit | None:
    return None if fit is NEVER or fit.checks else fit


def _shape_of_items(node: Mapping[str, Any]) -> Part | None:
    """Return the shape that a directive gives its items, if they are objects; None without one."""
    found = split(node)
    shapes = [part for part in found.parts if part.on == "item"] if found else []
    return next((one for one in shapes if members(one.value)), None)


def _list_of(resolver: Resolver) -> Resolver:
    """Return a resolver of arrays that gives PART_UNFIT if an item is."""

    def resolve(data: Any) -> Any:
        value = resolver(data)
        items = judgeable(value)
        return PART_UNFIT if type(items) is list and PART_UNFIT in items else value

    return resolve
