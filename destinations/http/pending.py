"""A request that is not written yet: it has a name and a place, and can never be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from destinations.definition import PendingDefinition, RequestDefinition
from destinations.errors import ResolveError
from destinations.http.answer import Context, HttpRequest, HttpResponse, Part

__all__ = ["PendingRequest"]


class PendingRequest:
    """What stands in for a call that a definition leaves open."""

    reads_event = False
    is_safe = True
    takes_payload_bytes = False

    def __init__(self, definition: RequestDefinition, call: PendingDefinition) -> None:
        self.definition = definition
        self._missing = call.missing

    def fixed_url(self, settings: Mapping[str, Any]) -> None:
        """Return nothing: it goes nowhere yet."""

    def part(self, context: Context) -> Part:  # noqa: ARG002 - as every request
        """Raise `ResolveError`: no event can be part of it."""
        self._refuse()

    def prepare(self, parts: Sequence[Part | bytes], context: Context) -> HttpRequest:  # noqa: ARG002 - as all requests
        """Raise `ResolveError`: there is nothing to send."""
        self._refuse()

    def read(
        self,
        response: HttpResponse,  # noqa: ARG002 - as above
        count: int,  # noqa: ARG002 - as above
        parts: Sequence[Part | bytes] = (),  # noqa: ARG002 - as above
    ) -> NoReturn:
        """Raise `ResolveError`: nothing was sent that could be answered."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ResolveError("/pending", f"it is not written yet: {self._missing}")
