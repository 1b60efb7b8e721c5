"""Mappings, compiled once when they are loaded and resolved for every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from destinations.errors import Issue, MappingError, ResolveError
from destinations.segment.javascript.json_form import JsonForm, as_json_form
from destinations.segment.javascript.values import UNDEFINED, article, type_name
from destinations.segment.mapping.cleaning import without_undefined
from destinations.segment.mapping.compiler import Compiler, check, root_mapping
from destinations.segment.mapping.limits import MANY_DIRECTIVES, measure
from destinations.segment.mapping.nodes import Constant, Place, Resolver

__all__ = ["CompiledMapping", "CompiledValue", "Step", "compile_mapping", "compile_value"]

_Kind = TypeVar("_Kind", bound="CompiledValue")
_TOO_DEEP: Final = "the data is nested too deeply"


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one directive: its JSON pointer in the mapping, its name, the value.

    The value is UNDEFINED where the directive gave nothing.
    """

    path: str
    directive: str
    value: Any


@dataclass(frozen=True, slots=True)
class CompiledValue:
    """Any mapping value, ready to be resolved.

    ``warnings`` are issues that make an event fail only when they are reached. ``constant`` is
    the result where it does not depend on the data, else UNDEFINED.
    """

    source: object
    path: str
    warnings: tuple[Issue, ...]
    constant: Any
    _resolver: Resolver = field(repr=False)
    _adds_up: bool = field(default=False, repr=False)

    def resolve(self, data: Any) -> Any:
        """Return the value for ``data``, which is not changed; UNDEFINED where there is none.

        The result may share objects and arrays with ``data``: copy what you want to change.
        Raises ResolveError with the place of the directive that failed.
        """
        try:
            return self._resolver(data)
        except RecursionError:
            raise ResolveError(self.path, _TOO_DEEP) from None

    def trace(self, data: Any) -> tuple[Any, list[Step]]:
        """Return the value for ``data`` and what each directive gave on the way, innermost first.

        Raises ResolveError as ``resolve`` does.
        """
        steps: list[Step] = []
        compiler = Compiler(
            lambda path, name, value: steps.append(Step(path, name, value)),
            adds_up=self._adds_up,
        )
        resolver = _resolver(compiler, self.source, self.path)
        try:
            return resolver(data), steps
        except RecursionError:
            raise ResolveError(self.path, _TOO_DEEP) from None


class CompiledMapping(CompiledValue):
    """The mapping of a subscription.

    It resolves to a dict without undefined values, unless the mapping as a whole is one directive:
    then to whatever that gives.
    """

    __slots__ = ()

    def resolve(self, data: Mapping[str, Any]) -> Any:
        """Return the payload for an event; raises ResolveError, also unless it is an object."""
        self._check(data)
        return super().resolve(data)

    def trace(self, data: Any) -> tuple[Any, list[Step]]:
        """Return the payload and each directive's result; raises as ``resolve`` does."""
        self._check(data)
        return super().trace(data)

    def _check(self, data: object) -> None:
        if not isinstance(data, dict):
            raise ResolveError(self.path, f"the event should be an object but is {type_name(data)}")


def compile_mapping(mapping: object, *, root: str = "") -> CompiledMapping:
    """Compile the mapping of a subscription; ``root`` is the JSON pointer that paths start with.

    Raises MappingError with every issue for which the reference runtime refuses the mapping.
    """
    if not isinstance(mapping, dict):
        message = f"a mapping should be an object but is {article(type_name(mapping))}"
        raise MappingError([Issue(message, root)])
    whole, issues = root_mapping(mapping, root)
    return _compile(CompiledMapping, whole, root, issues)


def compile_value(value: object, *, root: str = "") -> CompiledValue:
    """Compile one mapping value of any kind; otherwise as :func:`compile_mapping`."""
    return _compile(CompiledValue, value, root, [])


def compile_getter(value: object) -> Resolver:
    """Compile a mapping value that is only looked at: what is undefined within it stays so.

    Raises as :func:`compile_value`.
    """
    compiled = compile_value(value)  # which finds its issues
    return Compiler(adds_up=compiled._adds_up).value(value, Place(""))  # noqa: SLF001 - of this module


def _compile(kind: type[_Kind], source: object, root: str, issues: list[Issue]) -> _Kind:
    directives, too_deep = measure(source, root)
    issues = issues or too_deep or list(check(source, root))
    if issues:
        raise MappingError(issues)
    adds_up = directives > MANY_DIRECTIVES
    compiler = Compiler(adds_up=adds_up)
    resolver = _resolver(compiler, source, root)
    constant = resolver.value if isinstance(resolver, Constant) else UNDEFINED
    return kind(source, root, tuple(compiler.warnings), constant, resolver, adds_up)


def _resolver(compiler: Compiler, source: object, root: str) -> Resolver:
    resolver = compiler.value(source, Place(root))
    if not compiler.needs_cleaning:
        return resolver
    return lambda data: _as_json(without_undefined(resolver(data)))


def _as_json(value: Any) -> Any:
    """Return ``value`` as JSON carries it; an object knows what was left out of it."""
    plain = as_json_form(value)
    return JsonForm(plain, value) if plain is not value and isinstance(plain, dict) else plain
