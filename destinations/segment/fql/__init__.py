"""FQL, the language of subscriptions."""

from destinations.segment.fql.compiled import Clause, Fql, compile_fql
from destinations.segment.fql.grammar import check_fql
from destinations.segment.fql.syntax import FqlFault

__all__ = ["Clause", "Fql", "FqlFault", "check_fql", "compile_fql"]
