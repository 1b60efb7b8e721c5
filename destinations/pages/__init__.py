"""Build what pages for people share: safe markup, figures, plots, tables and one style.

Without I/O but for the style itself. The report of a run is made of it, and so is the console.
"""

from destinations.pages.figures import (
    bytes_text,
    compact,
    duration,
    duration_text,
    number,
    share_text,
    time,
    time_text,
)
from destinations.pages.markup import EMPTY, Html, element, escape, joined, void
from destinations.pages.parts import (
    Column,
    badge,
    base_css,
    command,
    document,
    empty,
    facts,
    message,
    table,
)
from destinations.pages.plots import Bar, Series, bar_list, legend, sparkline, stacked_rates

__all__ = [
    "EMPTY",
    "Bar",
    "Column",
    "Html",
    "Series",
    "badge",
    "bar_list",
    "base_css",
    "bytes_text",
    "command",
    "compact",
    "document",
    "duration",
    "duration_text",
    "element",
    "empty",
    "escape",
    "facts",
    "joined",
    "legend",
    "message",
    "number",
    "share_text",
    "sparkline",
    "stacked_rates",
    "table",
    "time",
    "time_text",
    "void",
]
