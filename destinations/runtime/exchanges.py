"""Note the HTTP requests that were made for deliveries, with their answers as they came."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from destinations.definition import RequestDefinition
from destinations.errors import TransportError
from destinations.http import Answer, Failure, HttpRequest, HttpResponse
from destinations.outcome import AttemptKind

__all__ = ["Exchange", "note_wait", "take_wait"]


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request, with its answer or with the ``error`` that says why there is none.

    ``began`` is when it was sent, in seconds since 1970; it took ``seconds`` until the answer was
    there, without the wait for its turn. It carried several parts: of each ``verdicts`` has what
    the answer says about it, and ``places`` the deliveries (or questions) that it is of, by where
    they stood in what was to be sent. Secrets are not masked.
    """

    kind: AttemptKind
    definition: RequestDefinition
    request: HttpRequest
    response: HttpResponse | None
    error: TransportError | None
    began: float
    seconds: float
    verdicts: Sequence[Answer | Failure]
    places: Sequence[Sequence[int]]

    def rule(self, verdict: Answer | Failure) -> str:
        """Return the rule that led to a verdict: its place in the definition, or what is built in.

        A place is as in ``requests.track.errorRules[0]``.
        """
        name = f"requests.{self.definition.name}"
        if isinstance(verdict, Failure):
            if verdict.rule:
                return verdict.rule
            if self.response is None:
                return "built-in: no answer"
            return f"built-in: HTTP {self.response.status}"
        if verdict.name != "ok":
            names = [answer.name for answer in self.definition.answers]
            return f"{name}.answers[{names.index(verdict.name)}]"
        if self.definition.expect is not None:
            return f"{name}.expect"
        return f"built-in: HTTP {0 if self.response is None else self.response.status}"


_waits = threading.local()


def note_wait(seconds: float) -> None:
    """Note for how long a request of this thread waited for its turn."""
    _waits.seconds = getattr(_waits, "seconds", 0.0) + seconds


def take_wait() -> float:
    """Return what was noted in this thread since the last call."""
    found: float = getattr(_waits, "seconds", 0.0)
    _waits.seconds = 0.0
    return found
