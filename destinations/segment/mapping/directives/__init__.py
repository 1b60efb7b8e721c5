"""The directives of mappings, one in each module that is called like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from destinations.segment.mapping.directive import Directive
from destinations.segment.mapping.directives import (
    array_path,
    case,
    convert,
    exclude_when_null,
    flatten,
    if_,
    json_,
    liquid,
    literal,
    merge,
    path,
    replace,
    template,
    transform,
)

__all__ = ["DIRECTIVES"]

DIRECTIVES: Final[Mapping[str, Directive]] = {
    module.DIRECTIVE.name: module.DIRECTIVE
    for module in (
        if_,
        case,
        replace,
        array_path,
        path,
        template,
        literal,
        flatten,
        json_,
        merge,
        transform,
        exclude_when_null,
        liquid,
        convert,
    )
}
"""Every directive by its name: those of Segment's reference runtime, and our own after them."""
