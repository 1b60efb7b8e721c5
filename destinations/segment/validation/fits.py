"""Tests that a value fits a schema as it is: nothing to take out, to coerce or to refuse.

A test asks the same checks as the rule of the schema, so it says nothing of its own about what a
keyword means. It may miss a value that fits; then the rule looks at that. It never passes one that
the rule changes or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from destinations.segment.validation.keywords import ANNOTATIONS, VALUE_CHECKS, ValueCheck

__all__ = ["ALWAYS", "NEVER", "PART_UNFIT", "Fit", "Unfit", "compile_fit", "judgeable"]


class Fit(NamedTuple):
    """A value fits if its very type is one of ``kinds`` and all ``checks`` hold."""

    kinds: frozenset[type]
    checks: tuple[Callable[[Any], object], ...] = ()

    def holds(self, value: Any) -> bool:
        """Return whether a value fits."""
        return type(value) in self.kinds and all(check(value) for check in self.checks)

    def without_empty_text(self) -> Fit:
        """Return the test that refuses empty text as well."""
        if str not in self.kinds:
            return self
        refuses_empty = bool if self.kinds == {str} else _is_not_empty_text
        return Fit(self.kinds, (refuses_empty, *self.checks))


def _is_not_empty_text(value: Any) -> bool:
    return bool(value != "")


class Unfit:
    """A value that does not fit, and is to be judged by the rules of its field."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Final = value


PART_UNFIT: Final = Unfit(None)
"""In place of a value of which a part does not fit: it is made once more, and judged as a whole."""


def judgeable(value: Any) -> Any:
    """Return a value as rules judge it: that of an `Unfit`, and any other as it is."""
    return value.value if type(value) is Unfit else value


_KINDS: Final[Mapping[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "number": frozenset({int, float}),
    "integer": frozenset({int}),
    "boolean": frozenset({bool}),
    "null": frozenset({type(None)}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
}
_CHECKED_AS: Final[Mapping[str, str]] = {"integer": "number"}
"""The kind of value that checks call a type otherwise."""

ALWAYS: Final = Fit(frozenset().union(*_KINDS.values()))
"""The test that every JSON value passes."""

NEVER: Final = Fit(frozenset())
"""The test that no value passes, so that the rule looks at all."""

_OBJECT: Final = frozenset({"properties", "required", "additionalProperties"})


def compile_fit(schema: Any) -> Fit:
    """Return the test of a schema without issues; `NEVER` if no simple test exists."""
    if schema is True or schema == {}:
        return ALWAYS
    if not isinstance(schema, dict):
        return NEVER
    asked = frozenset(key for key in schema if not _is_note(key))
    if not asked:
        return ALWAYS
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else tuple(types)
    known = {"type", *VALUE_CHECKS, *(_OBJECT if types == ("object",) else ())}
    if not types or not asked <= known | ({"items"} if types == ("array",) else set()):
        return NEVER
    if _is_costly(schema):
        return NEVER  # the rule would only ask the same once more
    checks = [VALUE_CHECKS[name](schema[name]) for name in VALUE_CHECKS if name in schema]
    holds = {name: tuple(_checks_of(name, checks, schema)) for name in types}
    kinds = frozenset[type]().union(*(_KINDS[name] for name in types))
    if len(types) == 1:
        return Fit(kinds, holds[types[0]])
    return Fit(kinds, (_by_type(holds),) if any(holds.values()) else ())


def _is_costly(schema: Mapping[str, Any]) -> bool:
    """Return whether a check compares a value with many others, member by member."""
    is_container = any(isinstance(one, dict | list) for one in schema.get("enum", ()))
    return bool(schema.get("uniqueItems")) or is_container


def _is_note(keyword: str) -> bool:
    """Return whether a keyword asks for nothing: an annotation, or one of an author's own."""
    is_own = keyword.startswith("x-") and keyword not in VALUE_CHECKS
    return keyword in ANNOTATIONS or is_own


def _by_type(
    checks: Mapping[str, tuple[Callable[[Any], object], ...]],
) -> Callable[[Any], object]:
    of_type = {kind: _joined(checks[name]) for name in checks for kind in _KINDS[name]}

    def holds(value: Any) -> object:
        check = of_type[type(value)]
        return check is None or check(value)

    return holds


def _joined(checks: Sequence[Callable[[Any], object]]) -> Callable[[Any], object] | None:
    """Return one check for several; None for none."""
    if len(checks) <= 1:
        return checks[0] if checks else None
    return lambda value: all(check(value) for check in checks)


def _checks_of(
    name: str, checks: Sequence[ValueCheck], schema: Mapping[str, Any]
) -> Iterator[Callable[[Any], object]]:
    """Yield what is asked of values of a type."""
    if name == "number":
        yield lambda value: value - value == 0  # JSON has no infinite numbers
    kind = _CHECKED_AS.get(name, name)
    for check in checks:
        if check.kind in {kind, "any"}:
            yield check.holds
    if name == "object" and schema.keys() & _OBJECT:
        yield _members_fit(schema)
    elif name == "array" and "items" in schema and (item := compile_fit(schema["items"])) != ALWAYS:
        yield _items_fit(item)


def _members_fit(schema: Mapping[str, Any]) -> Callable[[dict[str, Any]], bool]:
    additional = schema.get("additionalProperties", True)
    tests = {
        key: (fit.kinds, _joined(fit.checks))
        for key, part in schema.get("properties", {}).items()
        for fit in [compile_fit(part)]
    }
    other = compile_fit(additional)
    others = (other.kinds, _joined(other.checks))
    required = frozenset(schema.get("required", ()))

    def fit(value: dict[str, Any]) -> bool:
        for key, item in value.items():
            kinds, check = tests.get(key, others)
            if type(item) not in kinds or not (check is None or check(item)):
                return False
        return required <= value.keys()

    return fit


def _items_fit(item_fit: Fit) -> Callable[[list[Any]], bool]:
    kinds, check = item_fit.kinds, _joined(item_fit.checks)

    def fit(value: list[Any]) -> bool:
        for item in value:
            if type(item) not in kinds or not (check is None or check(item)):
                return False
        return True

    return fit
