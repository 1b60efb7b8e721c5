"""An account that is served, and a GraphQL request to it: read, run and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from destinations.http import HttpResponse
from destinations.sandbox.exchange import ReadRequest, ServedAccount
from destinations.sandbox.faults import FaultRule, Faults, InjectedError, RequestFacts
from destinations.sandbox.log import RequestLog
from destinations.sandbox.wire import WireError, WireRequest, encode
from kana_destination.sandbox.errors import KanaError, request_error
from kana_destination.sandbox.execution import Account, GraphQLRequest
from kana_destination.sandbox.graphql_http import (
    RequestHead,
    answer_type,
    read_request,
    status_of,
)
from kana_destination.sandbox.keys import Keys
from kana_destination.sandbox.log import GraphQLRecord
from kana_destination.sandbox.snapshot import take_snapshot

__all__ = ["KanaAccount", "graphql_response"]


@dataclass(slots=True, eq=False, kw_only=True)
class KanaAccount(ServedAccount[GraphQLRecord]):
    """An account with the keys that open it, and with faults and a log of its own."""

    account: Account
    keys: Keys
    requests: RequestLog[GraphQLRecord] = field(default_factory=lambda: RequestLog("fields"))
    # Any client may send to it, whose requests have operations and no name of a definition.
    faults: Faults = field(default_factory=lambda: Faults({"request": ()}))

    def snapshot(self) -> dict[str, Any]:
        """Return all that the account holds, like `kana_destination.sandbox.snapshot`."""
        with self.account.lock:
            return take_snapshot(self.account.state, self.account.now().toordinal())

    def read(self, number: int, request: WireRequest) -> ReadRequest[GraphQLRecord]:
        """Read a request; one with a wrong key or form has a refusal."""
        return _ReadGraphQL(self, number, request)


class _ReadGraphQL(ReadRequest[GraphQLRecord]):
    """A request to an account, with the answer to one that cannot be run."""

    def __init__(self, served: KanaAccount, number: int, wire: WireRequest) -> None:
        head = RequestHead(*(wire.headers.get(name) for name in _HEAD))
        self._account = served.account
        self._media_type = answer_type(head.accept)
        self._request: GraphQLRequest | None = None
        self._digest = ""
        self.facts = RequestFacts(number, body=wire.body)
        self.refusal = None
        try:
            served.keys.check(head.authorization)
            self._request = read_request(head, wire.body)
            document = self._account.document(self._request.query)
            operation = document.operation(self._request.operation_name)
            self._digest = document.digest
            roots = document.root_fields(operation)
            self.facts = RequestFacts(number, self._request.query, wire.body, operation, roots)
        except WireError as problem:
            headers = {"content-type": self._media_type}
            self.refusal = HttpResponse(problem.status, headers, encode(problem.to_json()))
        except KanaError as error:
            self.refusal = graphql_response(request_error(error), self._media_type)

    def run(self, rule: FaultRule) -> HttpResponse:
        """Run it, and leave out of the answer what the rule omits."""
        errors = {name: _kana_error(error) for name, error in rule.errors.items()}
        result = self._run(errors)
        if isinstance(result.get("data"), dict):
            for alias in rule.omit_alias:
                result["data"].pop(alias, None)
            if rule.data_null:
                result["data"] = None
        return graphql_response(result, self._media_type)

    def repeat(self) -> None:
        """Run it, without an answer."""
        self._run()

    def fail(self, error: InjectedError) -> HttpResponse:
        """Return an answer with this error alone."""
        return graphql_response(request_error(_kana_error(error)), self._media_type)

    def record(self, status: int | None, *, fault: bool) -> GraphQLRecord:
        """Return document and root fields."""
        facts = self.facts
        return GraphQLRecord(
            facts.number, self._digest, facts.operation, facts.roots, status, fault
        )

    def _run(self, errors: Mapping[str, KanaError] | None = None) -> dict[str, Any]:
        assert self._request is not None  # noqa: S101 - refused ones are not run
        return self._account.run(self._request, errors)


_HEAD = ("authorization", "content-type", "accept")


def graphql_response(result: Mapping[str, Any], media_type: str) -> HttpResponse:
    """Return a GraphQL answer in this media type, with the status that belongs to it."""
    return HttpResponse(status_of(result, media_type), {"content-type": media_type}, encode(result))


def _kana_error(error: InjectedError) -> KanaError:
    return KanaError(error.message, error.exception, error.code)
