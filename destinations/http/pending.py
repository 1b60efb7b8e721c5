"""A request that is not written yet: definitions may name it, but it is never sent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NoReturn

from destinations.definition import ErrorRule, PendingDefinition, RequestDefinition
from destinations.errors import ResolveError
from destinations.http.answer import Context, HttpRequest, HttpResponse, Part

__all__ = ["PendingRequest"]


class PendingRequest:
    """Stands in for a call that the definition leaves open."""

    reads_event = False
    is_safe = True
    takes_payload_bytes = False

    def __init__(self, definition: RequestDefinition, call: PendingDefinition) -> None:
        self.definition = definition
        self._missing = call.missing

    def fixed_url(self, settings: Mapping[str, Any]) -> None:
        """Return None: there is no URL yet."""

    def part(self, context: Context) -> Part:  # noqa: ARG002 - as every request
        """Raise `ResolveError`: it cannot carry an event."""
        self._refuse()

    def key(self, part: Part | bytes, context: Context) -> Hashable:  # noqa: ARG002 - as all requests
        """Raise `ResolveError`: it asks nothing."""
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
        """Raise `ResolveError`: nothing was sent, so there is no answer."""
        self._refuse()

    def failure_of(self, rule: ErrorRule, status: int) -> NoReturn:  # noqa: ARG002 - as all requests
        """Raise `ResolveError`: nothing was sent, so there is no answer."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ResolveError("/pending", f"it is not written yet: {self._missing}")
