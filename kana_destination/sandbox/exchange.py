"""One GraphQL request over HTTP: from headers and body to the answer, with or without a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from destinations.statuses import PHRASES
from kana_destination.sandbox.arrivals import Arrivals
from kana_destination.sandbox.errors import KanaError, request_error
from kana_destination.sandbox.execution import Account, GraphQLRequest
from kana_destination.sandbox.faults import WHOLE_REQUEST, FaultRule, Faults, RequestFacts
from kana_destination.sandbox.graphql_http import WireError, encode, read_request
from kana_destination.sandbox.keys import Keys
from kana_destination.sandbox.log import RequestLog, RequestRecord

__all__ = ["Answer", "Exchange", "Site", "serve_graphql"]

_NO_FAULT: Final = FaultRule()


@dataclass(frozen=True, slots=True)
class Site:
    """The service; ``snapshot`` returns the account as JSON.

    ``arrivals`` are requests that fault rules delay or repeat.
    """

    account: Account
    keys: Keys
    faults: Faults
    log: RequestLog
    snapshot: Callable[[], dict[str, Any]]
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``body`` is JSON unless ``content_type`` says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: object, status: int = 200) -> Answer:
        """Return an answer with the value as JSON."""
        return cls(status, encode(value))


@dataclass(frozen=True, slots=True)
class Exchange:
    """The result of a request; ``answer`` is None if the connection closes without an answer.

    ``rule`` says how to send the answer: delayed, in drips or cut.
    """

    answer: Answer | None
    rule: FaultRule


def serve_graphql(
    site: Site, authorization: str | None, body: bytes, wait: Callable[[float], object]
) -> Exchange:
    """Serve one request and log it; call ``wait`` with the seconds that a rule holds it back."""
    number = site.log.begin()
    request: GraphQLRequest | None = None
    refusal: Answer | None = None
    facts, digest = RequestFacts(number, body=body), ""
    try:
        site.keys.check(authorization)
        request = read_request(body)
        document = site.account.document(request.query)
        operation = document.operation(request.operation_name)
        digest = document.digest
        roots = document.root_fields(operation)
        facts = RequestFacts(number, request.query, body, operation, roots)
    except WireError as problem:
        refusal = Answer.of(problem.to_json(), problem.status)
    except KanaError as error:
        refusal = Answer.of(request_error(error))
    rule = site.faults.take(facts) or _NO_FAULT
    if rule.hold:
        wait(rule.hold)
    for late in site.arrivals.take(number):
        site.account.run(late)
    result: dict[str, Any] | None = None
    if refusal is None and request is not None:
        if rule.runs:
            result = site.account.run(request, rule.errors)
        for after in (*rule.again, *(() if rule.late is None else (rule.late,))):
            site.arrivals.add(number + 1 + after, request)
        for repeated in site.arrivals.take(number + 1) if 0 in rule.again else ():
            site.account.run(repeated)
    answer = _answer(rule, result, refusal)
    site.log.end(
        RequestRecord(
            number=number,
            digest=digest,
            operation=facts.operation,
            roots=facts.roots,
            status=None if answer is None else answer.status,
            fault=rule is not _NO_FAULT,
        )
    )
    return Exchange(answer, rule)


def _answer(
    rule: FaultRule, result: dict[str, Any] | None, refusal: Answer | None
) -> Answer | None:
    if rule.drop is not None or rule.late is not None:
        return None
    if rule.status is not None or rule.body is not None:
        return _scripted(rule)
    if WHOLE_REQUEST in rule.errors:
        error = rule.errors[WHOLE_REQUEST]
        return Answer.of({"errors": [{"message": str(error), "extensions": error.extensions}]})
    if refusal is not None:
        return refusal
    if result is not None and isinstance(result.get("data"), dict):
        for alias in rule.omit_alias:
            result["data"].pop(alias, None)
        if rule.data_null:
            result["data"] = None
    return Answer.of(result)


def _scripted(rule: FaultRule) -> Answer:
    status = rule.status or 200
    headers = () if rule.retry_after is None else (("Retry-After", rule.retry_after),)
    if rule.body is None:
        phrase = PHRASES.get(status, f"HTTP {status}")
        return Answer(status, encode({"message": phrase}), headers)
    is_json = rule.body.lstrip()[:1] in ("{", "[")
    kind = "application/json" if is_json else "text/html; charset=utf-8"
    return Answer(status, rule.body.encode("utf-8", "replace"), headers, kind)
