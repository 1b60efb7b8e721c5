"""Note the HTTP requests that were made for deliveries, with their answers as they came."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from destinations.definition import RequestDefinition
from destinations.errors import TransportError
from destinations.http import Answer, Failure, HttpRequest, HttpResponse
from destinations.outcome import AttemptKind

__all__ = ["BODY_BYTES", "Exchange", "bounded", "note_wait", "take_wait"]

BODY_BYTES: Final = 16_384
"""The most bytes of a body that are kept, before they are compressed."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request, with its answer or with the ``error`` that says why there is none.

    ``began`` is when it was sent, in seconds since 1970; it took ``seconds`` until the answer was
    there, without the wait for its turn. It carried several parts: of each ``verdicts`` has what
    the answer says about it, and ``places`` the deliveries (or questions) that it is of, by where
    they stood in what was to be sent. Secrets are not masked. The lengths are those of whole
    bodies, of which only the beginning may be here. Of each part, ``steps`` has the name of the
    step that made it, empty without one.
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
    request_bytes: int
    answer_bytes: int
    steps: Sequence[str] = ()

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


def bounded(
    request: HttpRequest, response: HttpResponse | None, reach: int
) -> tuple[HttpRequest, HttpResponse | None]:
    """Return a request and its answer with as much of their bodies as can be kept of them.

    ``reach`` is what a secret may take that begins where a body is cut. A job may make many
    requests, and holds them until it ends.
    """
    most = BODY_BYTES + reach
    if request.body is not None and len(request.body) > most:
        request = replace(request, body=request.body[:most])
    if response is not None and (len(response.body) > most or response.items is not None):
        response = HttpResponse(response.status, response.headers, response.body[:most])
    return request, response


_waits = threading.local()


def note_wait(seconds: float) -> None:
    """Note for how long a request of this thread waited for its turn."""
    _waits.seconds = getattr(_waits, "seconds", 0.0) + seconds


def take_wait() -> float:
    """Return what was noted in this thread since the last call."""
    found: float = getattr(_waits, "seconds", 0.0)
    _waits.seconds = 0.0
    return found
