"""The directives of mappings: what each is called, how it is checked, what it compiles to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from destinations.segment.mapping.checks import ArgumentCheck
from destinations.segment.mapping.directives import choice, encoding, liquid, structure, wording
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVES", "Directive"]


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive. ``compile`` gets its argument and the argument's place."""

    check: ArgumentCheck
    compile: Callable[[ValueCompiler, object, Place], Resolver]


DIRECTIVES: Final[Mapping[str, Directive]] = {
    "@if": Directive(choice.CHECK_IF, choice.compile_if),
    "@case": Directive(wording.CHECK_CASE, wording.compile_case),
    "@replace": Directive(wording.CHECK_REPLACE, wording.compile_replace),
    "@arrayPath": Directive(structure.check_array_path, structure.compile_array_path),
    "@path": Directive(wording.check_text, wording.compile_path_directive),
    "@template": Directive(wording.check_text, wording.compile_template_directive),
    "@literal": Directive(choice.check_value, choice.compile_literal),
    "@flatten": Directive(structure.CHECK_FLATTEN, structure.compile_flatten),
    "@json": Directive(encoding.CHECK_JSON, encoding.compile_json),
    "@merge": Directive(structure.check_merge, structure.compile_merge),
    "@transform": Directive(structure.CHECK_TRANSFORM, structure.compile_transform),
    "@excludeWhenNull": Directive(choice.check_value, choice.compile_exclude_when_null),
    "@liquid": Directive(liquid.check_liquid, liquid.compile_liquid),
}
"""Every directive by its name, as Segment's reference runtime has them."""
