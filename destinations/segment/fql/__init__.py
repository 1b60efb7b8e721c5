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
from destinations.segment.fql.syntax import Condition, FqlIssue, Group

__all__ = [
    "Clause",
    "Condition",
    "Fql",
    "FqlIssue",
    "Group",
    "Overlap",
    "check_fql",
    "compile_fql",
    "never_holds",
    "overlap",
    "unknown_types",
]
