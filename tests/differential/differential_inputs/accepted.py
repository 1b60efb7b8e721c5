"""Differences of ``@liquid`` that are accepted: what each looks like, and why it stays.

Liquid templates are read by python-liquid and not by liquidjs. A difference that none of these
describes is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ACCEPTED", "Accepted", "accepted"]

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """One kind: of which templates (``text``), with which message here where it is an error."""

    kind: str
    reason: str
    text: re.Pattern[str]
    message: re.Pattern[str] | None = None

    def describes(self, template: str, expected: Record, got: Record) -> bool:
        """Whether this difference is of the kind."""
        if not self.text.search(template):
            return False
        if self.message is None:
            return "output" in got
        if "error" not in got or "output" not in expected:
            return False
        return any(self.message.search(line) for line in got["error"]["messages"])


ACCEPTED: Final = (
    Accepted(
        kind="comments in comments",
        reason="python-liquid lets comments stand in comments, as Liquid itself does; liquidjs ends"
        " all of them at the first endcomment",
        text=re.compile(r"comment.*endcomment.*endcomment", re.DOTALL),
    ),
    Accepted(
        kind="literals in filters",
        reason="in liquidjs nil, empty and blank are objects that filters see as such, so that"
        " {{ nil | json }} prints {}; here they are what they say",
        text=re.compile(r"\b(?:nil|empty|blank)\b[^%}]*\|"),
    ),
    Accepted(
        kind="stray words",
        reason="liquidjs skips words in a tag that it cannot make sense of; here the template is"
        " refused when it is loaded, so that a typing error is seen before the first event",
        text=re.compile(r"\{[{%]"),
        message=re.compile(r"expected|unexpected|unknown|invalid|missing|malformed|syntax"),
    ),
)


def accepted(template: str, expected: Record, got: Record) -> Accepted | None:
    """The kind of this difference, None if it is of no accepted one."""
    return next((one for one in ACCEPTED if one.describes(template, expected, got)), None)
