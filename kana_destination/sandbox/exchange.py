"""One GraphQL request over HTTP: from headers and body to the answer, with or without a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.statuses import PHRASES
from kana_destination.sandbox.arrivals import Arrivals
from kana_destination.sandbox.errors import KanaError, request_error
from kana_destination.sandbox.execution import Account, GraphQLRequest
from kana_destination.sandbox.faults import WHOLE_REQUEST, FaultRule, Faults, RequestFacts
from kana_destination.sandbox.graphql_http import (
    JSON,
    RequestHead,
    WireError,
    answer_type,
    encode,
    read_request,
    status_of,
)
from kana_destination.sandbox.keys import Keys
from kana_destination.sandbox.log import RequestLog, RequestRecord
from kana_destination.sandbox.snapshot import take_snapshot

__all__ = ["Answer", "Exchange", "ServedAccount", "serve_graphql"]

_NO_FAULT: Final = FaultRule()


@dataclass(frozen=True, slots=True)
class ServedAccount:
    """An account with the keys that open it, and with faults and a log of its own.

    ``arrivals`` are requests that fault rules delay or repeat.
    """

    account: Account
    keys: Keys
    faults: Faults = field(default_factory=Faults)
    requests: RequestLog = field(default_factory=RequestLog)
    arrivals: Arrivals = field(default_factory=Arrivals)

    def snapshot(self) -> dict[str, Any]:
        """Return all that the account holds, like `kana_destination.sandbox.snapshot`."""
        with self.account.lock:
            return take_snapshot(self.account.state, self.account.now().toordinal())

    def arrive(self) -> int:
        """Run the late and repeated requests that fault rules still hold back; return how many."""
        late = self.arrivals.take()
        for request in late:
            self.account.run(request)
        return len(late)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``body`` is JSON unless ``content_type`` says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON

    @classmethod
    def of(cls, value: object, status: int = 200) -> Answer:
        """Return an answer with the value as JSON."""
        return cls(status, encode(value))

    @classmethod
    def graphql(cls, result: Mapping[str, Any], media_type: str) -> Answer:
        """Return a GraphQL answer in this media type, with the status that belongs to it."""
        return cls(status_of(result, media_type), encode(result), (), media_type)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The result of a request; ``answer`` is None if the connection closes without an answer.

    ``rule`` says how to send the answer: delayed, in drips or cut.
    """

    answer: Answer | None
    rule: FaultRule


def serve_graphql(
    served: ServedAccount, head: RequestHead, body: bytes, wait: Callable[[float], object]
) -> Exchange:
    """Serve one request and log it; call ``wait`` with the seconds that a rule holds it back."""
    number = served.requests.begin()
    request: GraphQLRequest | None = None
    refusal: Answer | None = None
    facts, digest = RequestFacts(number, body=body), ""
    media_type = answer_type(head.accept)
    try:
        served.keys.check(head.authorization)
        request = read_request(head, body)
        document = served.account.document(request.query)
        operation = document.operation(request.operation_name)
        digest = document.digest
        roots = document.root_fields(operation)
        facts = RequestFacts(number, request.query, body, operation, roots)
    except WireError as problem:
        refusal = Answer(problem.status, encode(problem.to_json()), (), media_type)
    except KanaError as error:
        refusal = Answer.graphql(request_error(error), media_type)
    rule = served.faults.take(facts) or _NO_FAULT
    if rule.hold:
        wait(rule.hold)
    for late in served.arrivals.take(number):
        served.account.run(late)
    result: dict[str, Any] | None = None
    if refusal is None and request is not None:
        if rule.runs:
            result = served.account.run(request, rule.errors)
        for after in (*rule.again, *(() if rule.late is None else (rule.late,))):
            served.arrivals.add(number + 1 + after, request)
        for repeated in served.arrivals.take(number + 1) if 0 in rule.again else ():
            served.account.run(repeated)
    answer = _answer(rule, result, refusal, media_type)
    served.requests.end(
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
    rule: FaultRule, result: dict[str, Any] | None, refusal: Answer | None, media_type: str
) -> Answer | None:
    if rule.drop is not None or rule.late is not None:
        return None
    if rule.status is not None or rule.body is not None:
        return _scripted(rule)
    if WHOLE_REQUEST in rule.errors:
        return Answer.graphql(request_error(rule.errors[WHOLE_REQUEST]), media_type)
    if refusal is not None:
        return refusal
    if result is not None and isinstance(result.get("data"), dict):
        for alias in rule.omit_alias:
            result["data"].pop(alias, None)
        if rule.data_null:
            result["data"] = None
    return Answer.of(None) if result is None else Answer.graphql(result, media_type)


def _scripted(rule: FaultRule) -> Answer:
    status = rule.status or 200
    headers = () if rule.retry_after is None else (("Retry-After", rule.retry_after),)
    if rule.body is None:
        phrase = PHRASES.get(status, f"HTTP {status}")
        return Answer(status, encode({"message": phrase}), headers)
    is_json = rule.body.lstrip()[:1] in ("{", "[")
    kind = JSON if is_json else "text/html; charset=utf-8"
    return Answer(status, rule.body.encode("utf-8", "replace"), headers, kind)
