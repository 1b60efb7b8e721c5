"""The directive @json: Turn values into JSON text and back."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.json_text import parse, stringify
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.mapping.checks import ArgumentCheck, Checker, Required, fields, one_of
from destinations.segment.mapping.directive import Directive, named_parts
from destinations.segment.mapping.limits import LARGEST_VALUE, check_size, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


CHECK_JSON: Final[ArgumentCheck] = fields(
    {"value": Required(Checker.raw), "mode": Required(one_of("encode", "decode"))}
)


def compile_json(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@json``: ``encode`` writes JSON text as JavaScript does; ``decode`` reads it.

    Text that is not JSON, and other values, are decoded to themselves. The mode counts in lower
    case only: in others (which loading lets pass) the result is nothing.
    """
    if not isinstance(argument, dict):
        return compiler.failing(place, 'should be an object with the fields "mode" and "value"')
    for name in ("mode", "value"):
        if not is_truthy(argument.get(name)):
            return compiler.failing(place, f'should have the field "{name}" with a value')
    inner = compiler.value(argument["value"], place.child("value"))
    if argument["mode"] == "encode":
        return _encoder(inner, place.path, may_be_large=compiler.transforms)
    if argument["mode"] == "decode":
        return lambda data: _decode(inner(data))
    return lambda data: (inner(data), UNDEFINED)[1]  # what fails in it still fails


def _encoder(inner: Resolver, path: str, *, may_be_large: bool) -> Resolver:
    def encode(data: Any) -> Any:
        value = inner(data)
        if may_be_large:
            check_size(value, path)
        text = stringify(value)
        if isinstance(text, str) and len(text) > LARGEST_VALUE:
            raise too_large(path)
        return text

    return encode


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ValueError:
        return value


DIRECTIVE: Final = Directive("@json", CHECK_JSON, compile_json, named_parts({"value": "input"}))
