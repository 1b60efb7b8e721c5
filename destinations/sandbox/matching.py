"""Find the request of a definition that one is, or the nearest one with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from destinations.http import HttpResponse
from destinations.sandbox.expected_request import ExpectedRequest
from destinations.sandbox.form_check import NO_EVENTS, ReadEvents, RequestIssue
from destinations.sandbox.wire import ORIGIN_HEADER, WireRequest, json_response

__all__ = ["Matched", "Matcher"]

_BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _WRONG_METHOD = 400, 401, 404, 405


@dataclass(frozen=True, slots=True)
class Matched:
    """The request that one is, or the ``nearest`` one with the ``issues``.

    ``status`` and further ``headers`` are those of the answer to one that fits none.
    """

    nearest: ExpectedRequest
    events: ReadEvents = NO_EVENTS
    issues: Sequence[RequestIssue] = ()
    status: int = 200
    headers: Mapping[str, str] | None = None

    @property
    def name(self) -> str | None:
        """The name of the request; None if it fits none."""
        return None if self.issues else self.nearest.name

    def refusal(self) -> HttpResponse | None:
        """Return the answer to a request that fits none: what is wrong, and what would be right."""
        if not self.issues:
            return None
        said: dict[str, Any] = {
            "errors": [
                {"message": f"refused by the sandbox: {issue}", "place": issue.place}
                for issue in self.issues
            ],
            "nearest": self.nearest.to_json(),
        }
        return json_response(said, self.status, self.headers)


def _distance(issues: Sequence[RequestIssue]) -> tuple[int, int]:
    """Return how far a request is from one with these issues: another form of body is farther."""
    return sum(issue.place == "body" for issue in issues), len(issues)


class Matcher:
    """All requests that a definition can make."""

    def __init__(self, expected: Sequence[ExpectedRequest]) -> None:
        self._expected = expected

    @property
    def secret_headers(self) -> frozenset[str]:
        """The headers that hold a credential, in lower case."""
        return frozenset(name for one in self._expected for name in one.secret_headers)

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """The names that a request may have for fault rules, by the key of ``match``."""
        documents = [one.document for one in self._expected if one.document is not None]
        plain = [one.name for one in self._expected if one.document is None]
        roots = [field for one in documents for _, field in one.roots(1)]
        return {
            "request": [one.name for one in self._expected],
            "operation": [one.operation.name for one in documents],
            # In the place of root fields, the events of others are known by their request.
            "rootField": list(dict.fromkeys([*roots, *plain])),
        }

    def match(self, request: WireRequest) -> Matched:
        """Return the request that this one is, or the nearest one with what is wrong."""
        origin = request.headers.get(ORIGIN_HEADER)
        here = [one for one in self._expected if one.is_at(origin, request.path)]
        if not here:
            return self._elsewhere(request, origin)
        own = [one for one in here if one.method == request.method]
        if not own:
            allowed = ", ".join(dict.fromkeys(one.method for one in here))
            issue = RequestIssue("method", f"is {request.method}: expected {allowed}")
            headers = {"allow": allowed}
            return Matched(here[0], issues=[issue], status=_WRONG_METHOD, headers=headers)
        found = [(one, *one.read(request)) for one in own]
        nearest, issues, events = min(found, key=lambda each: _distance(each[1]))
        of_credential = any(issue.of_credential for issue in issues)
        status = _UNAUTHORIZED if of_credential else _BAD_REQUEST
        return Matched(nearest, events, issues, status if issues else 200)

    def _elsewhere(self, request: WireRequest, origin: str | None) -> Matched:
        """Return the request whose path is most alike."""

        def likeness(one: ExpectedRequest) -> tuple[float, bool]:
            ratio = SequenceMatcher(None, one.address.path, request.path).ratio()
            return ratio, one.method == request.method

        nearest = max(self._expected, key=likeness)
        places = dict.fromkeys(
            one.address.path if origin is None else one.address.shown for one in self._expected
        )
        issue = RequestIssue("url", f"leads to no request: expected {' or '.join(places)}")
        return Matched(nearest, issues=[issue], status=_NOT_FOUND)
