"""Parse and evaluate FQL, the language of subscriptions."""

from destinations.segment.fql.subscription import Clause, Fql, check_fql, compile_fql
from destinations.segment.fql.syntax import FqlFault

__all__ = ["Clause", "Fql", "FqlFault", "check_fql", "compile_fql"]
