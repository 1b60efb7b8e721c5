"""Check requests, but for their mappings and addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.checks.idempotency_keys import idempotency_key_issues
from destinations.definition.checks.rules import rule_issues
from destinations.definition.checks.steps import SAY_READ_ONLY, only_reads
from destinations.definition.document import Document
from destinations.definition.graphql_document import check_operation
from destinations.definition.mapping_places import reconcile_key, with_payload
from destinations.definition.parameters import nested_parameters
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["changing_questions", "request_issues"]


def request_issues(
    document: Document, name: str, request: Mapping[str, Any], actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield the issues in one request, but for its mappings."""
    if "graphql" in request:
        place = pointer("requests", name, "graphql")
        for message in check_operation(
            request["graphql"]["document"],
            variables=request["graphql"].get("variables", {}),
        ):
            yield document.issue(place + "/document", message)
    is_written = "pending" not in request
    rest = request.get("rest", {})
    given = {**document.data["transport"], **rest}
    for key in _BODIES:
        if rest.get("method") == "GET" and rest.get(key) is not None:
            place = pointer("requests", name, "rest", key)
            yield document.issue(place, _BODY_OF_GET)
    yield from _compressed(document, name, rest)
    yield from _signed(document, name, rest)
    if is_written and not given.keys() & {"url", "baseUrl"}:
        yield document.issue(pointer("requests", name), "has no url, and transport no baseUrl")
    yield from rule_issues(document, pointer("requests", name), request)
    yield from _read_only(document, name, request)
    yield from _batch(document, name, request)
    yield from _parameters(document, name, request, actions)
    yield from _reconcile(document, name, request)
    yield from idempotency_key_issues(document, name, request, actions)
    yield from _listed(document, name, request)


def _read_only(document: Document, name: str, request: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that a request cannot only read, or does so anyway."""
    if "readOnly" not in request:
        return
    place = pointer("requests", name, "readOnly")
    if not request["idempotent"]:
        yield document.issue(place, f"{name} must be idempotent, as it only reads")
    if request.get("rest", {}).get("method") == "GET":
        yield document.issue(place, "has no effect: a GET request only reads anyway")
    if "reconcile" in request or "settle" in request:
        yield document.issue(place, f"must not be set: {name} adds to an amount")


_BODIES: Final = ("json", "form", "text", "ndjson")
"""The keys of bodies, of which a request has at most one."""


_BODY_OF_GET = "must not be set: a GET request has no body; use query, or another method"


def _compressed(document: Document, name: str, rest: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that there is nothing to compress, or that a header says otherwise."""
    if not rest.get("gzip"):
        return
    place = pointer("requests", name, "rest")
    if all(rest.get(key) is None for key in _BODIES):
        yield document.issue(place + "/gzip", "has no effect: the request has no body")
    for key in rest.get("headers", {}):
        if key.lower() == "content-encoding":
            message = "must not be set: gzip makes this header"
            yield document.issue(place + pointer("headers", key), message)


_PLACEHOLDER: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")


_SIGNED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # By the key of ``sign``: the placeholder that it must have, and all that it may have.
    "message": ("body", ("timestamp", "body")),
    "value": ("signature", ("timestamp", "signature")),
}


def _signed(document: Document, name: str, rest: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in the templates of a signature, which the receiver has to make again."""
    if "sign" not in rest:
        return
    sign = rest["sign"]
    place = pointer("requests", name, "rest", "sign")
    found: dict[str, list[str]] = {}
    for key, (needed, known) in _SIGNED.items():
        if key not in sign:
            continue
        found[key] = _PLACEHOLDER.findall(sign[key])
        for one in found[key]:
            if one not in known:
                yield document.issue(f"{place}/{key}", unknown_name("placeholder", one, known))
        if needed not in found[key]:
            yield document.issue(f"{place}/{key}", f"must have {{{{{needed}}}}}: {_MUST[key]}")
    is_sent = "timestampHeader" in sign or "timestamp" in found.get("value", ())
    if "timestamp" in found.get("message", ()) and not is_sent:
        message = "signs a time that is not sent: set timestampHeader, or put it into value"
        yield document.issue(f"{place}/message", message)
    if sign.get("timestampHeader", "").lower() == sign["header"].lower():
        yield document.issue(f"{place}/timestampHeader", "must be another header than header")


_MUST: Final = {
    "message": "a signature of anything else fits every body",
    "value": "else nothing is signed",
}


def _batch(document: Document, name: str, request: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that a batch of REST requests has no body, or that a mapping of it has no effect."""
    batch = request.get("batch", {})
    if batch.get("allOrNothing") and ("rest" not in request or batch["size"] == 1):
        place = pointer("requests", name, "batch", "allOrNothing")
        yield document.issue(place, "has no effect: expected a REST request of several events")
    if batch.get("size", 1) == 1:
        return
    rest = request.get("rest", {})
    if "rest" in request and not {"json", "ndjson"} & rest.keys():
        place = pointer("requests", name, "batch")
        yield document.issue(place, "needs rest.json or rest.ndjson: its body is made from it")
    if "ndjson" in rest and "json" in request["batch"]:
        place = pointer("requests", name, "batch", "json")
        yield document.issue(place, "has no effect: the body is the lines of rest.ndjson")


def _parameters(
    document: Document, name: str, request: Mapping[str, Any], actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield lists and objects in queries and forms without a declared format."""
    rest = request.get("rest", {})
    declared = rest.get("arrayFormat")
    fields = [
        action.data["fields"]
        for action in actions.values()
        if name in with_payload(action.data["perform"])
    ]
    for key in ("query", "form"):
        for parameter, kind in nested_parameters(rest.get(key, {}), fields):
            place = pointer("requests", name, "rest", key)
            if parameter in rest[key]:
                place += pointer(parameter)
            what = f"{parameter} is {kind}"
            if declared is None:
                message = f"{what}: declare with arrayFormat how to write it ({_FORMATS})"
                yield document.issue(place, message)
            elif kind == "an object" and declared in {"repeat", "comma"}:
                message = f"{what}, but {declared} is only for lists: use brackets or json"
                yield document.issue(place, message)


_FORMATS = "repeat, brackets, comma or json"


def _reconcile(document: Document, name: str, request: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in ``reconcile``: its request must exist and be idempotent."""
    key = reconcile_key(request)
    if "onLostAnswer" in request and (request["idempotent"] or key in request):
        has = "is idempotent and sent again" if request["idempotent"] else f"has {key}"
        place = pointer("requests", name, "onLostAnswer")
        yield document.issue(place, f"has no effect: {name} {has}")
    if key not in request:
        return
    if key == "reconcile" and "settle" in request:
        place = pointer("requests", name, "settle")
        yield document.issue(place, "is the old name of reconcile: keep only reconcile")
    reconcile, requests = request[key], document.data["requests"]
    asking = requests.get(reconcile["ask"])
    place = pointer("requests", name, key)
    if asking is None:
        message = unknown_name("request", reconcile["ask"], requests)
        yield document.issue(place + "/ask", message)
        return
    if not asking["idempotent"]:
        message = f"{reconcile['ask']} must be idempotent, as it only asks for a balance"
        yield document.issue(place + "/ask", message)
    known_answers = [answer["name"] for answer in asking.get("answers", ())]
    for index, answer in enumerate(reconcile.get("nothing", ())):
        if answer not in known_answers:
            listed = ", ".join(known_answers) or "none"
            message = f"{reconcile['ask']} has no answer {answer!r}; it has: {listed}"
            message += did_you_mean(answer, known_answers)
            yield document.issue(f"{place}/nothing/{index}", message)


def _listed(document: Document, name: str, request: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in ``list``: a request that exists, and an answer of this one."""
    if "list" not in request:
        return
    listed, requests = request["list"], document.data["requests"]
    place = pointer("requests", name, "list")
    asking = requests.get(listed["request"])
    if asking is None:
        message = f"unknown request {listed['request']!r}; known: {', '.join(requests)}"
        yield document.issue(place + "/request", message)
    elif not asking["idempotent"]:
        message = f"{listed['request']} must be idempotent, as it only asks for a list"
        yield document.issue(place + "/request", message)
    answers = [answer["name"] for answer in request.get("answers", ())]
    if listed["absent"] not in answers:
        known = ", ".join(answers) or "none"
        message = f"{name} has no answer {listed['absent']!r}; it has: {known}"
        yield document.issue(place + "/absent", message)
    if not request["idempotent"]:
        yield document.issue(place, f"{name} must be idempotent, as it only asks")


def changing_questions(document: Document) -> Iterator[Issue]:
    """Yield the requests that only ask, for balances and lists, but may change something."""
    requests = document.data["requests"]
    for name, request in requests.items():
        key = reconcile_key(request)
        asked = {(key, "ask"): request.get(key, {}).get("ask")}
        asked["list", "request"] = request.get("list", {}).get("request")
        for place, other in asked.items():
            if other is not None and not only_reads(requests[other]):
                message = f"{other} should change nothing, as it only asks: {SAY_READ_ONLY}"
                yield document.issue(pointer("requests", name, *place), message)
