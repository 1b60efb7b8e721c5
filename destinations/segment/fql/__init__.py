"""Parse and evaluate FQL, the language of subscriptions."""

from destinations.segment.fql.overlap import Overlap, overlap
from destinations.segment.fql.subscription import (
    Clause,
    Fql,
    check_fql,
    compile_fql,
    never_holds,
    unknown_types,
)
from destinations.segment.fql.syntax import FqlIssue

__all__ = [
    "Clause",
    "Fql",
    "FqlIssue",
    "Overlap",
    "check_fql",
    "compile_fql",
    "never_holds",
    "overlap",
    "unknown_types",
]
