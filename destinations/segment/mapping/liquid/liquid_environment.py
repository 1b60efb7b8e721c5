"""The Liquid environment: what templates may use, and their limits.

Tags and expressions are those of python-liquid; the filters are this package's own, because they
have to print and compute as JavaScript does.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn, TextIO

import liquid
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError as LibraryError
from liquid.exceptions import LiquidSyntaxError

from destinations.errors import did_you_mean
from destinations.segment.mapping.liquid.conditions import adapt_comparisons, read_member
from destinations.segment.mapping.liquid.dates import CALENDAR_FILTERS
from destinations.segment.mapping.liquid.escape_filters import ESCAPING_FILTERS
from destinations.segment.mapping.liquid.listing import LIST_FILTERS
from destinations.segment.mapping.liquid.numeric import NUMERIC_FILTERS
from destinations.segment.mapping.liquid.pieces import PRINTED, Piece, Printed, assigned_names
from destinations.segment.mapping.liquid.textual import TEXTUAL_FILTERS
from destinations.segment.mapping.liquid.values import (
    DEADLINE,
    LARGEST_TEXT,
    LiquidError,
    as_text,
    check_size,
    check_time,
    plain,
)

__all__ = [
    "DISABLED_FILTERS",
    "DISABLED_TAGS",
    "LiquidReads",
    "compile_liquid_pieces",
    "compile_liquid_template",
    "liquid_reads",
]

RENDER_SECONDS: Final = 0.5
DISABLED_TAGS: Final = ("case", "for", "include", "layout", "render", "tablerow")
_UNKNOWN_TAGS: Final = ("doc", "ifchanged")
DISABLED_FILTERS: Final = (
    "array_to_sentence_string",
    "concat",
    "find",
    "find_exp",
    "find_index",
    "find_index_exp",
    "group_by",
    "group_by_exp",
    "has",
    "has_exp",
    "map",
    "newline_to_br",
    "reject",
    "reject_exp",
    "reverse",
    "sort",
    "sort_natural",
    "uniq",
    "where_exp",
    "type",
)
_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **CALENDAR_FILTERS,
    **ESCAPING_FILTERS,
    **LIST_FILTERS,
    **NUMERIC_FILTERS,
    **TEXTUAL_FILTERS,
}


class _PrintingNode(OutputNode):
    """An output statement that prints as JavaScript prints."""

    def render_to_output(self, context: liquid.RenderContext, buffer: TextIO) -> int:
        text = as_text(plain(self.expression.evaluate(context)))
        printed = PRINTED.get()
        return buffer.write(text if printed is None else printed.mark(text, self.expression))


class _PrintingEcho(EchoNode):
    """``echo``, printing as JavaScript prints."""

    render_to_output = _PrintingNode.render_to_output


class _OutputTag(Output):
    node_class = _PrintingNode


class _EchoTag(EchoTag):
    node_class = _PrintingEcho


class _CaptureNode(CaptureNode):
    """``capture``, whose text is a value as a whole: what is in it is printed as it is."""

    def render_to_output(self, context: liquid.RenderContext, buffer: TextIO) -> int:
        token = PRINTED.set(None)
        try:
            return super().render_to_output(context, buffer)
        finally:
            PRINTED.reset(token)


class _CaptureTag(CaptureTag):
    node_class = _CaptureNode


class _DisabledTag(liquid.Tag):
    """A tag that makes reading the template fail, wherever it stands."""

    block = False

    def parse(self, stream: liquid.TokenStream) -> NoReturn:
        """Refuse the tag."""
        token = stream.current
        raise LiquidSyntaxError(f"the tag {token.value} is disabled", token=token)


class _Context(liquid.RenderContext):
    """The data that a template sees, with members as JavaScript finds them."""

    def get_item(self, obj: Any, key: Any) -> Any:
        """Return a member; raises KeyError where there is none."""
        return read_member(obj, plain(key))


class _Template(liquid.BoundTemplate):
    context_class = _Context


class _Environment(liquid.Environment):
    """The tags and filters of the reference, without those that it disables."""

    output_stream_limit = LARGEST_TEXT
    logical_not_operator = True
    template_class = _Template
    # A block of nothing but white space is that white space, as in liquidjs.
    suppress_blank_control_flow_blocks = False

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register what templates may use."""
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_OutputTag)
        self.add_tag(_EchoTag)
        self.add_tag(_CaptureTag)
        for name in _UNKNOWN_TAGS:
            self.tags.pop(name, None)
        for name in DISABLED_TAGS:
            self.tags[name] = _DisabledTag(self)
        self.filters = {name: _adapted(function) for name, function in _FILTERS.items()}
        self.filters.update({name: _disabled(name) for name in DISABLED_FILTERS})


def _disabled(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise LiquidError(f"the filter {name} is disabled")

    return refuse


def _adapted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call ``function`` with plain values, without surplus arguments, within the limits."""
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    most = None if takes_all else sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    named = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}

    def apply(*values: Any, **options: Any) -> Any:
        check_time()
        result = function(
            *(plain(value) for value in values[:most]),
            **{name: plain(value) for name, value in options.items() if name in named},
        )
        if isinstance(result, str):
            check_size(len(result))
        return result

    return apply


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    return _Environment(strict_filters=False)


def compile_liquid_template(source: str) -> Callable[[Any], str]:
    """Return a function from data to rendered text. Both raise LiquidError."""
    return _renderer(_template(source))


def compile_liquid_pieces(source: str, own_roots: Collection[str]) -> Callable[[Any], list[Piece]]:
    """Return a function from data to rendered pieces, which tell the template's own apart.

    Its own are its words, and what it prints only from ``own_roots``. Raises LiquidError, as does
    the function: also for a tag that prints values but is not an output statement.
    """
    template = _template(source)
    own_roots = set(own_roots) - assigned_names(source, template.nodes, _Context(template))
    render = _renderer(template)

    def pieces(data: Any) -> list[Piece]:
        printed = Printed(own_roots)
        token = PRINTED.set(printed)
        try:
            return printed.pieces(render(data))
        finally:
            PRINTED.reset(token)

    return pieces


@dataclass(frozen=True, slots=True)
class LiquidReads:
    """The paths from the root that a template reads, and an issue for each unknown filter."""

    paths: Sequence[tuple[str, ...]]
    filter_issues: Sequence[str]


def liquid_reads(source: str) -> LiquidReads:
    """Return the paths and filters of a template; raises LiquidError."""
    analysis = _template(source).analyze()
    paths = []
    for variables in analysis.globals.values():
        for variable in variables:
            # After an index or a variable in brackets, the key is not known.
            keys = itertools.takewhile(lambda key: isinstance(key, str), variable.segments)
            paths.append(tuple(map(str, keys)))
    return LiquidReads(paths, [issue for issue in map(_filter_issue, analysis.filters) if issue])


def _filter_issue(name: str) -> str | None:
    if name in DISABLED_FILTERS:
        return f"the filter {name} is disabled: every event that reaches it fails"
    if name in _FILTERS:
        return None
    near = did_you_mean(name, _FILTERS)
    return f"unknown filter {name!r}, which would leave the value as it is{near}"


def _template(source: str) -> liquid.BoundTemplate:
    try:
        template = _environment().from_string(source)
        adapt_comparisons(template.nodes, _Context(template))
    except LibraryError as error:
        raise LiquidError(_message(error)) from error
    return template


def _renderer(template: liquid.BoundTemplate) -> Callable[[Any], str]:
    def render(data: Any) -> str:
        token = DEADLINE.set(time.monotonic() + RENDER_SECONDS)
        try:
            return template.render(data if isinstance(data, dict) else {})
        except LiquidError:
            raise
        except Exception as error:
            # The library lets through whatever its operators meet in odd data.
            raise LiquidError(_message(error)) from error
        finally:
            DEADLINE.reset(token)

    return render


def _message(error: Exception) -> str:
    """Return the error in one line: the library would draw the template, too."""
    text = str(error.message if isinstance(error, LibraryError) else error)
    return text or type(error).__name__
