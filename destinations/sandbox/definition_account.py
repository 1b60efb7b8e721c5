"""The account of a sandbox that is made from a definition: requests read, taken and answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.http import Answer, HttpResponse
from destinations.http.json_bytes import encode_json
from destinations.sandbox.answers import complete_answer, failed_answer, graphql_error, success
from destinations.sandbox.exchange import ReadRequest, ServedAccount
from destinations.sandbox.expected_request import ExpectedRequest
from destinations.sandbox.faults import (
    FaultRule,
    Faults,
    InjectedError,
    RequestFacts,
    RootField,
)
from destinations.sandbox.form_check import ReadEvents
from destinations.sandbox.log import RequestLog, RequestRecord
from destinations.sandbox.matching import Matcher
from destinations.sandbox.token_issuer import TOKEN_REQUEST, TokenIssuer
from destinations.sandbox.wire import ORIGIN_HEADER, WireRequest, json_response
from destinations.secrets import MASK, Masker
from destinations.statuses import CODES

__all__ = ["DefinitionAccount", "DefinitionRecord", "is_success", "success_for"]

_SHOWN_BODY: Final = 2_000
_STATUSES: Final = {code: status for status, code in CODES.items()}

# Headers in which a client may send credentials, whether the definition knows them or not.
_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


@dataclass(frozen=True, slots=True)
class DefinitionRecord(RequestRecord):
    """One request as the log keeps it, with secrets masked.

    ``request`` is its name in the definition, None if it fits none; ``issues`` say why. ``body`` is
    cut after 2,000 characters. ``events`` is how many it carried.
    """

    number: int
    request: str | None
    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    events: int
    status: int | None
    fault: bool
    issues: tuple[str, ...]

    @property
    def counted(self) -> Iterable[str]:
        """The name of the request."""
        return () if self.request is None else (self.request,)

    def to_json(self) -> dict[str, Any]:
        """Return the record as ``GET /requests`` shows it."""
        return {
            "number": self.number,
            "request": self.request,
            "method": self.method,
            "url": self.url,
            "headers": dict(self.headers),
            "body": self.body,
            "events": self.events,
            "status": self.status,
            "fault": self.fault,
            "issues": list(self.issues),
        }


class DefinitionAccount(ServedAccount[DefinitionRecord]):
    """The requests that a sandbox expects, and those that it has taken, with their events."""

    def __init__(
        self, matcher: Matcher, masker: Masker, origin: str, tokens: TokenIssuer | None = None
    ) -> None:
        names = matcher.names
        if tokens is not None:
            names = {**names, "request": [*names["request"], TOKEN_REQUEST]}
        super().__init__(RequestLog("byName"), Faults(names))
        self.matcher = matcher
        self.tokens = tokens
        self.masker = masker
        self.origin = origin
        self.taken_requests: Counter[str] = Counter()
        self.taken_events: Counter[str] = Counter()

    def read(self, number: int, request: WireRequest) -> ReadRequest[DefinitionRecord]:
        """Return a request, matched with those that are expected."""
        origin = request.headers.get(ORIGIN_HEADER)
        if self.tokens is not None and self.tokens.is_at(origin, request.path):
            return _TokenRead(self, self.tokens, number, request)
        return _Read(self, number, request.decompressed())

    def url(self, request: WireRequest) -> str:
        """Return the URL that a request would have had at the partner, with secrets masked."""
        origin = request.headers.get(ORIGIN_HEADER, self.origin)
        return self.masker.foreign(origin + request.target)

    def headers(self, request: WireRequest) -> Mapping[str, str]:
        """Return the headers of a request to show, without its credentials."""
        hidden = self.matcher.secret_headers | _CREDENTIALS
        return {
            name: MASK if name in hidden else self.masker.foreign(value)
            for name, value in request.headers.items()
            if name != ORIGIN_HEADER
        }


class _Read(ReadRequest[DefinitionRecord]):
    """A request, with the expected one that it is or is nearest to."""

    def __init__(self, account: DefinitionAccount, number: int, wire: WireRequest) -> None:
        self._account = account
        self._wire = wire
        self._matched = matched = account.matcher.match(wire)
        refusal = matched.refusal()
        if refusal is not None:
            body = account.masker.value(json.loads(refusal.body))
            refusal = json_response(body, refusal.status, matched.headers)
        self.refusal = refusal
        self._count = 0 if refusal is not None else matched.events.count
        operation: str | None = None
        query = ""
        roots: Sequence[RootField] = ()
        document = matched.nearest.document
        if refusal is None and document is not None:
            operation, roots = document.operation.name, document.roots(self._count)
            query = json.loads(wire.body)["query"]
        elif refusal is None:
            roots = [(f"e{place}", matched.nearest.name) for place in range(self._count)]
        self.facts = RequestFacts(number, query, wire.body, operation, tuple(roots), matched.name)

    def run(self, rule: FaultRule) -> HttpResponse:
        """Take the events; answer with a success for each that the rule does not fail."""
        failed = {
            alias: rule.errors[alias] for alias, _ in self.facts.roots if alias in rule.errors
        }
        expected = self._matched.nearest
        self._take(self._count - min(self._count, len(failed)))
        made = success_for(expected, self._matched.events)
        if expected.document is not None:
            return _graphql(made, failed, rule)
        if not failed:
            return made
        places = {
            place: _parts(failed[name])
            for place, (name, _) in enumerate(self.facts.roots)
            if name in failed
        }
        partial = failed_answer(expected.definition, self._count, places)
        # Without a form for the events of a batch, it fails as a whole.
        return self.fail(next(iter(failed.values()))) if partial is None else partial

    def repeat(self) -> None:
        """Take the events once more."""
        self._take(self._count)

    def fail(self, error: InjectedError) -> HttpResponse:
        """Return the error, by the status that its code names, and 400 for other codes."""
        parts = _parts(error)
        if self._matched.nearest.document is not None:
            return json_response({"errors": [graphql_error(**parts)]})
        status = _STATUSES.get(error.code, 400)
        return json_response(parts, int(status))

    def record(self, status: int | None, *, fault: bool) -> DefinitionRecord:
        """Return the request to show."""
        account, matched = self._account, self._matched
        return DefinitionRecord(
            number=self.facts.number,
            request=matched.name,
            method=self._wire.method,
            url=account.url(self._wire),
            headers=account.headers(self._wire),
            body=account.masker.foreign(self._wire.body.decode("utf-8", "replace"))[:_SHOWN_BODY],
            events=self._count,
            status=status,
            fault=fault,
            issues=tuple(account.masker.text(str(issue)) for issue in matched.issues),
        )

    def _take(self, events: int) -> None:
        name = self._matched.nearest.name
        self._account.taken_requests[name] += 1
        self._account.taken_events[name] += events


class _TokenRead(ReadRequest[DefinitionRecord]):
    """A request for an access token."""

    def __init__(
        self, account: DefinitionAccount, tokens: TokenIssuer, number: int, wire: WireRequest
    ) -> None:
        self._account = account
        self._tokens = tokens
        self._wire = wire
        self.refusal = None
        self.facts = RequestFacts(number, "", wire.body, request=TOKEN_REQUEST)

    def run(self, rule: FaultRule) -> HttpResponse:  # noqa: ARG002 - it has no events
        """Give a token, or refuse it."""
        return self._tokens.answer(self._wire)

    def repeat(self) -> None:
        """Make another token, which nobody gets."""
        self._tokens.answer(self._wire)

    def fail(self, error: InjectedError) -> HttpResponse:
        """Return an error of OAuth2."""
        return json_response({"error": error.code, "error_description": error.message}, 400)

    def record(self, status: int | None, *, fault: bool) -> DefinitionRecord:
        """Return the request to show, without its body, which is all credentials."""
        account = self._account
        return DefinitionRecord(
            number=self.facts.number,
            request=TOKEN_REQUEST,
            method=self._wire.method,
            url=account.url(self._wire),
            headers=account.headers(self._wire),
            body=MASK,
            events=0,
            status=status,
            fault=fault,
            issues=(),
        )


def success_for(expected: ExpectedRequest, events: ReadEvents) -> HttpResponse:
    """Return an answer that the definition takes for a success of each event, if it can be."""
    made = success(expected.definition, events.count)
    if is_success(expected, events, made):
        return made
    complete = complete_answer(expected.definition, events.items)
    return complete if complete is not None and is_success(expected, events, complete) else made


def is_success(expected: ExpectedRequest, events: ReadEvents, response: HttpResponse) -> bool:
    """Return whether the definition takes an answer for a success of each event."""
    parts = [encode_json(one) for one in events.items]
    verdicts = expected.compiled.read(response, events.count, parts)
    return all(isinstance(one, Answer) and one.name == "ok" for one in verdicts)


def _parts(error: InjectedError) -> dict[str, Any]:
    parts = {"message": error.message, "code": error.code}
    return parts if error.exception is None else {**parts, "exception": error.exception}


def _graphql(
    made: HttpResponse, failed: Mapping[str, InjectedError], rule: FaultRule
) -> HttpResponse:
    """Return a GraphQL answer with the errors of these aliases, and without what a rule omits."""
    body: dict[str, Any] = json.loads(made.body)
    if failed:
        body["errors"] = [graphql_error(**_parts(one), path=[name]) for name, one in failed.items()]
        body["data"].update(dict.fromkeys(failed))
    for alias in rule.omit_alias:
        body["data"].pop(alias, None)
    if rule.data_null:
        body["data"] = None
    return json_response(body)
