"""Do what operators ask, whether by a page or by the API: one method for each verb.

With ``dry_run`` nothing is changed. ``seen`` is the version of what the operator saw, as
`Verbs.delivery` or a dry run gives it: if it is another by now, nothing is changed and
`StaleDecisionError` is raised. So of two who decide on the same delivery, one succeeds and the
other is told.
"""

from __future__ import annotations

from destinations.console.verbs.decisions import MOST_TARGETS, DecidingVerbs, Decision
from destinations.console.verbs.errors import StaleDecisionError, UnknownError
from destinations.console.verbs.pauses import PausingVerbs
from destinations.console.verbs.reading import ReadingVerbs
from destinations.console.verbs.store_verbs import LARGEST_ID, MOST_ON_A_PAGE
from destinations.console.verbs.trying import TryingVerbs

__all__ = [
    "LARGEST_ID",
    "MOST_ON_A_PAGE",
    "MOST_TARGETS",
    "Decision",
    "StaleDecisionError",
    "UnknownError",
    "Verbs",
]


class Verbs(ReadingVerbs, DecidingVerbs, PausingVerbs, TryingVerbs):
    """See the module; any thread may call the methods, which raise `UsageError`.

    ``config`` is the configuration of the server; its settings may be absent.
    """
