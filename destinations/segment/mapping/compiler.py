"""Mapping values to resolvers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.errors import Issue, ResolveError
from destinations.segment.javascript.members import entries
from destinations.segment.javascript.values import UNDEFINED, type_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import Checker, directive_in
from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large, weight
from destinations.segment.mapping.nodes import Constant, Place, Resolver

__all__ = ["ROOT_DIRECTIVE", "Compiler", "Observer", "check", "root_mapping"]

ROOT_DIRECTIVE: Final = "__segment_internal_directive"
"""A key of the root whose value is one directive that gets all other keys as its ``mapping``."""

Observer = Callable[[str, str, Any], None]
"""Called with each directive: its path, its name, what it gave."""


def check(mapping: object, path: str = "") -> tuple[Issue, ...]:
    """Return the issues for which the reference runtime refuses ``mapping``."""
    checker = Checker({name: directive.check for name, directive in DIRECTIVES.items()})
    checker.value(mapping, path)
    return checker.issues


def root_mapping(mapping: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], list[Issue]]:
    """Wrap the root directive of ``mapping``, if it has one, around all the rest."""
    if ROOT_DIRECTIVE not in mapping:
        return mapping, []
    place = f"{path}/{ROOT_DIRECTIVE}"
    root = mapping[ROOT_DIRECTIVE]
    if not isinstance(root, dict) or len(root) != 1:
        return mapping, [Issue("should be an object with one directive", place)]
    ((name, argument),) = root.items()
    if isinstance(argument, list):
        return root, []  # as in the reference: an array has no place for a mapping
    if not isinstance(argument, dict):
        got = type_name(argument)
        return mapping, [Issue(f"should be an object but is {got}", place + pointer(name))]
    rest = {key: value for key, value in mapping.items() if key != ROOT_DIRECTIVE}
    return {name: {**argument, "mapping": rest}}, []


@dataclass
class Compiler:
    """Compiles one mapping; ``warnings`` are the issues that only matter when reached."""

    observer: Observer | None = None
    adds_up: bool = False  # whether objects and arrays look at the size of all they hold

    def __post_init__(self) -> None:
        self.warnings: list[Issue] = []
        self.needs_cleaning = False
        self.transforms = False

    def value(self, node: object, place: Place) -> Resolver:
        """Compile any mapping value."""
        directive = directive_in(node)
        if directive is not None:
            return self._directive(*directive, place)
        if isinstance(node, dict):
            return self._object(node, place)
        if isinstance(node, list):
            return self._array(node, place)
        return Constant(node)

    def transformed(self, node: object, place: Place) -> Resolver:
        """Compile a mapping of its own."""
        if not isinstance(node, dict):
            return self.failing(place, f"should be an object but is {type_name(node)}")
        root, issues = root_mapping(node, place.path)
        issues = issues or list(check(root, place.path))
        if issues:
            return self.failing(place, "; ".join(map(str, issues)))
        return self.value(root, place)

    def failing(self, place: Place, message: str) -> Resolver:
        """Return a resolver that always fails."""
        self.warnings.append(Issue(message, place.path))

        def fail(data: Any) -> Any:  # noqa: ARG001 - the signature of every resolver
            raise ResolveError(place.path, message)

        return fail

    def _directive(self, name: str, argument: object, place: Place) -> Resolver:
        directive = DIRECTIVES.get(name)
        inner = place.child(name, sparse=place.sparse)
        if directive is None:
            return self.failing(place, f"has the unknown directive {name}")
        resolver = directive.compile(self, argument, inner)
        return self._observed(resolver, name, place) if self.observer else resolver

    def _observed(self, resolver: Resolver, name: str, place: Place) -> Resolver:
        observer = self.observer

        def observe(data: Any) -> Any:
            value = resolver(data)
            if observer is not None:
                observer(place.path, name, value)
            return value

        return observe

    def leaves_undefined(self) -> None:
        """Say that the result is to be cleaned."""
        self.needs_cleaning = True

    def _object(self, node: Mapping[str, Any], place: Place) -> Resolver:
        members = tuple((key, self.value(node[key], place.child(key))) for key, _ in entries(node))
        constants = {
            key: resolver.value for key, resolver in members if isinstance(resolver, Constant)
        }
        if len(constants) == len(members):
            if not place.sparse:
                constants = {k: v for k, v in constants.items() if v is not UNDEFINED}
            return Constant(constants)
        if self.adds_up:
            return _summed_object(members, place)
        if place.sparse:
            return lambda data: {key: resolver(data) for key, resolver in members}
        return lambda data: {
            key: value for key, resolver in members if (value := resolver(data)) is not UNDEFINED
        }

    def _array(self, node: list[Any], place: Place) -> Resolver:
        items = tuple(self.value(item, place.child(at)) for at, item in enumerate(node))
        constants = [resolver.value for resolver in items if isinstance(resolver, Constant)]
        if len(constants) == len(items) and UNDEFINED not in constants:
            return Constant(constants)
        self.leaves_undefined()
        if self.adds_up:
            return lambda data: list(_summed(items, data, place))
        return lambda data: [resolver(data) for resolver in items]


def _summed_object(members: Sequence[tuple[str, Resolver]], place: Place) -> Resolver:
    keys = [key for key, _ in members]
    resolvers = [resolver for _, resolver in members]

    def resolve(data: Any) -> dict[str, Any]:
        values = zip(keys, _summed(resolvers, data, place), strict=True)
        return {k: value for k, value in values if place.sparse or value is not UNDEFINED}

    return resolve


def _summed(resolvers: Iterable[Resolver], data: Any, place: Place) -> Iterator[Any]:
    """Yield what each resolver gives; raises ResolveError if that is too much together."""
    left = LARGEST_VALUE
    for resolver in resolvers:
        value = resolver(data)
        left -= weight(value, left)
        if left < 0:
            raise too_large(place.path)
        yield value
