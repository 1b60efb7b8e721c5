"""FQL, the language of subscriptions."""

from destinations.subscription.compiled import Clause, Fql, compile_fql
from destinations.subscription.grammar import check_fql
from destinations.subscription.syntax import FqlFault

__all__ = ["Clause", "Fql", "FqlFault", "check_fql", "compile_fql"]
