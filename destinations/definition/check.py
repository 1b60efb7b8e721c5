"""Find the issues that the JSON Schemas cannot: references, FQL, mappings, GraphQL."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.definition.answer_shapes import answer_shape
from destinations.definition.build import basic_settings, request_auth
from destinations.definition.defaults import (
    broken_field_defaults,
    broken_mapping,
    broken_setting_defaults,
)
from destinations.definition.deletion_checks import deletion_issues
from destinations.definition.document import Document
from destinations.definition.form_keywords import choice_fields, form_issues, keyword_warnings
from destinations.definition.graphql_document import check_operation, root_keys
from destinations.definition.key_sources import (
    compiles,
    same_key,
    shared_key,
    subscription_key_issues,
    twice_message,
)
from destinations.definition.mapping_places import (
    EVENT,
    destination_mappings,
    reconcile_key,
    touches_shape,
    with_payload,
)
from destinations.definition.model import (
    AccessTokenAuth,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    RequestAuth,
)
from destinations.definition.oauth2 import check_oauth2, oauth2_names
from destinations.definition.parameters import nested_parameters
from destinations.definition.plain_text import sent_as_it_is
from destinations.definition.reads import Shape, unreadable
from destinations.definition.setting_uses import names_read
from destinations.definition.step_checks import only_reads, step_issues
from destinations.definition.unused import times_as_numbers, unread_fields
from destinations.definition.url_pieces import (
    AddressTemplate,
    AddressText,
    beginnings,
    chosen_urls,
    holds_values,
    is_fixed,
    is_relative,
    read_address,
)
from destinations.durations import parse_duration
from destinations.errors import DefinitionError, Issue, did_you_mean, unknown_name
from destinations.segment.fql import check_fql, compile_fql, never_holds, overlap, unknown_types
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.roots import reads
from destinations.segment.validation import compile_schema

__all__ = [
    "broken_schemas",
    "check_action",
    "check_destination",
    "plain_text_issues",
    "preset_issues",
    "warnings",
]


def broken_schemas(document: Document) -> Iterator[Issue]:
    """Yield what is wrong within the JSON schemas of a file, which the other checks read."""
    data = document.data
    for key in ("settings", "fields"):
        yield from _schema(document, pointer(key), data.get(key))
    yield from _schemas_of_rules(document, "", data)
    for name, request in data.get("requests", {}).items():
        place = pointer("requests", name)
        yield from _schema(document, place + "/expect", request.get("expect"))
        for index, refusal in enumerate(request.get("refusals", ())):
            yield from _schema(
                document, place + pointer("refusals", index, "when"), refusal["when"]
            )
        yield from _schemas_of_rules(document, place, request)


def _schemas_of_rules(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    for kind in ("answers", "errorRules"):
        for index, rule in enumerate(data.get(kind, ())):
            body = place + pointer(kind, index, "when", "body")
            yield from _schema(document, body, rule["when"].get("body"))


def check_destination(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the issues in ``destination.yaml``, given the actions' documents by slug."""
    data = document.data
    yield from _settings(document)
    yield from _addresses(document)
    of_actions = [action.data for action in actions.values()]
    mappings = destination_mappings(data, of_actions)
    found = (mapping_issues(document, place, value, shape) for place, value, shape in mappings)
    yield from dict.fromkeys(issue for issues in found for issue in issues)
    for name, request in data["requests"].items():
        yield from _request(document, name, request, actions)
    yield from _conditions(document, "", data)
    yield from _awaited(document, actions)
    yield from _authentication(document)
    yield from _auth(document)
    yield from deletion_issues(document, actions)
    yield from _publishing(document)
    of_operator = {slug for slug, action in actions.items() if action.data.get("operator")}
    presets = data.get("presets", ())
    yield from preset_issues(document, "/presets", presets, actions, of_operator)
    for index, preset in enumerate(presets):
        if "mapping" in preset and preset["partnerAction"] in actions:
            fields = actions[preset["partnerAction"]].data["fields"]
            place = pointer("presets", index, "mapping")
            yield from broken_mapping(document, place, preset["mapping"], fields)
    yield from _keys_of_presets(document, actions)


def _publishing(document: Document) -> Iterator[Issue]:
    """Yield an endpoint that no Direct Destination has, and what is no setting."""
    publishing = document.data.get("publishing", {})
    if "endpoint" in publishing and publishing.get("as") != "direct":
        message = "only a Direct Destination has an endpoint: set `as: direct`, or remove it"
        yield document.issue("/publishing/endpoint", message)
    settings = document.data["settings"]["properties"]
    for key in publishing.get("testAccount", {}).get("fields", ()):
        if key not in settings:
            place = pointer("publishing", "testAccount", "fields", key)
            yield document.issue(place, unknown_name("setting", key, settings))


def _request(
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
    yield from _conditions(document, pointer("requests", name), request)
    yield from _read_only(document, name, request)
    yield from _batch(document, name, request)
    yield from _parameters(document, name, request, actions)
    yield from _reconcile(document, name, request)
    yield from _idempotency_key(document, name, request, actions)
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


_BODY_OF_GET = "must not be set: a GET request has no body; use query, or another method"


def preset_issues(
    document: Document,
    place: str,
    presets: Sequence[Any],
    actions: Collection[str],
    of_operator: Collection[str] = (),
    *,
    must_hold: bool = True,
) -> Iterator[Issue]:
    """Yield the issues in subscriptions that stand at ``place``, given the actions' slugs.

    No subscription may have an action in ``of_operator``. That one can match no event is an issue
    unless ``must_hold`` is false.
    """
    names: set[tuple[str, str]] = set()
    for index, preset in enumerate(presets):
        own = place + pointer(index)
        action, name = preset["partnerAction"], preset["name"]
        if (action, name) in names:
            message = f"{action} has another subscription called {name!r}; give it its own name"
            yield document.issue(own + "/name", message)
        names.add((action, name))
        if preset["partnerAction"] not in actions:
            known = sorted(set(actions) - set(of_operator))
            message = unknown_name("action", preset["partnerAction"], known)
            yield document.issue(own + "/partnerAction", message)
        elif preset["partnerAction"] in of_operator:
            message = "this action is only for operators: no subscription may have it"
            yield document.issue(own + "/partnerAction", message)
        yield from _fql(document, own + "/subscribe", preset["subscribe"])
        never = never_holds(preset["subscribe"]) if must_hold else None
        if never is not None:
            yield document.issue(own + "/subscribe", str(never))
        if "mapping" in preset:
            # Subscriptions may be Segment's, which sends such text without a word: see `warnings`.
            yield from mapping_issues(
                document, own + "/mapping", preset["mapping"], EVENT, refuses_text=False
            )


_OF_EVENTS = ("method", "defaultSubscription", "unmapped", "window", "usage")


def _of_operator(document: Document) -> Iterator[Issue]:
    """Yield the keys of an operator action that only make sense for events."""
    for key in _OF_EVENTS if document.data.get("operator") else ():
        if key in document.data:
            message = "must not be set: this action is only for operators, and no event reaches it"
            yield document.issue(pointer(key), message)


def check_action(document: Document, requests: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in one action's file, given the destination's requests."""
    data = document.data
    perform = data["perform"]
    named = [("/perform/request", perform["request"])] if "request" in perform else []
    named += [
        (pointer("perform", "requests", index), name)
        for index, name in enumerate(perform.get("requests", ()))
    ]
    named += [
        (pointer("perform", "steps", index, "request"), step["request"])
        for index, step in enumerate(perform.get("steps", ()))
    ]
    for place, name in named:
        if name not in requests:
            yield document.issue(place, unknown_name("request", name, requests))
    yield from step_issues(document, requests)
    yield from _of_operator(document)
    if "defaultSubscription" in data:
        yield from _fql(document, "/defaultSubscription", data["defaultSubscription"])
    properties = data["fields"]["properties"]
    for key, spec in properties.items():
        place = pointer("fields", "properties", key)
        if "default" in spec:
            yield from mapping_issues(document, place + "/default", spec["default"], EVENT)
        yield from _own_keywords(document, place, spec)
    for index, key in enumerate(data["fields"].get("required", ())):
        if key not in properties:
            message = f"unknown field {key!r} to require" + did_you_mean(key, properties)
            yield document.issue(pointer("fields", "required", index), message)
    unmapped = data.get("unmapped")
    if unmapped is not None and unmapped["missing"] not in properties:
        message = unknown_name("field", unmapped["missing"], properties)
        yield document.issue("/unmapped/missing", message)
    for index, value in enumerate(data.get("touches", ())):
        yield from mapping_issues(
            document, pointer("touches", index), value, touches_shape(data["fields"])
        )
    yield from form_issues(document, "/fields", data["fields"], "field")
    yield from _choices(document, requests)
    yield from broken_field_defaults(document)


_OF_ANSWER: Final = frozenset({"items", "next"})
_CHOICES: Final = _OF_ANSWER | {"value", "label"}
"""The mappings of ``x-choices``: on an answer, or on an item of its list, which can be anything."""


def _call(request: Mapping[str, Any]) -> list[object]:
    """Return what a request sends, as far as its mappings say it."""
    return [request.get("rest"), request.get("graphql", {}).get("variables")]


def _choices(document: Document, requests: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in ``x-choices``: its request must exist, and only ask."""
    for path, _, choices in choice_fields(document.data["fields"]):
        place = f"/fields{path}/x-choices"
        name = choices.get("request")
        if name is not None and name not in requests:
            yield document.issue(f"{place}/request", unknown_name("request", name, requests))
        elif name is not None and not requests[name]["idempotent"]:
            message = f"{name} must be idempotent, as it only asks for choices"
            yield document.issue(f"{place}/request", message)
        elif name is not None and not only_reads(requests[name]):
            message = f"{name} must change nothing, as it only asks for choices: {_READ_ONLY}"
            yield document.issue(f"{place}/request", message)
        elif name is not None and "next" in choices and not reads(_call(requests[name]), "page"):
            message = f"has no effect: no mapping of {name} reads $.page, so each page is the same"
            yield document.issue(f"{place}/next", message)
        answer = answer_shape(requests.get(name or "", {}))
        for key in _CHOICES & choices.keys():
            of_answer = Shape("root", {"answer": answer}) if key in _OF_ANSWER else None
            yield from mapping_issues(document, f"{place}/{key}", choices[key], of_answer)


_READ_ONLY: Final = "use GET, or say readOnly: true if it only reads"


def _own_keywords(document: Document, place: str, spec: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in a field's keywords that are not JSON Schema's."""
    for keyword, kind in (("x-wholeNumber", "integer"), ("x-identifier", "string")):
        if keyword in spec and spec["type"] != kind:
            message = f"is for fields of type {kind}, but this one's is {spec['type']}"
            yield document.issue(f"{place}/{keyword}", message)
    if "x-otherwise" in spec and not any(_schema(document, place, spec)):
        checked = compile_schema({"properties": {"value": spec}}).check({})
        for error in checked.errors:
            yield document.issue(f"{place}/x-otherwise", error.message)


def mapping_issues(
    document: Document,
    place: str,
    value: object,
    shape: Shape | None,
    *,
    refuses_text: bool = True,
) -> Iterator[Issue]:
    """Yield the issues in one mapping value, also in branches that no event may ever reach.

    ``shape`` is that of the data it reads. Text that looks like a path or a template is an issue
    unless ``refuses_text`` is false.
    """
    try:
        compiled = compile_value(value)
    except DefinitionError as error:
        for issue in error.issues:
            yield document.issue(place + issue.path, issue.message)
        return
    for issue in compiled.warnings:
        yield document.issue(place + issue.path, issue.message)
    for path, message in unreadable(value, place, shape):
        yield document.issue(path, message)
    if refuses_text:
        yield from plain_text_issues(document, place, value, shape)


def plain_text_issues(
    document: Document, place: str, value: object, shape: Shape | None = EVENT
) -> Iterator[Issue]:
    """Yield the plain text in a mapping that was meant as a path or a template."""
    for path, message in sent_as_it_is(value, place, shape):
        yield document.issue(path, message)


def warnings(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the issues in a valid definition that do no harm, though they are mistakes."""
    yield from _values_in_addresses(document)
    yield from _unused_credentials(document, actions)
    yield from _shown_secrets(document)
    yield from _changing_questions(document)
    yield from _open_urls(document)
    yield from keyword_warnings(document, "/settings", document.data["settings"], "setting")
    for index, preset in enumerate(document.data.get("presets", ())):
        yield from _odd_conditions(document, pointer("presets", index, "subscribe"), preset)
        place = pointer("presets", index, "mapping")
        yield from plain_text_issues(document, place, preset.get("mapping"))
    for action in actions.values():
        yield from _odd_conditions(action, "/defaultSubscription", action.data)
        yield from unread_fields(document, action)
        yield from times_as_numbers(action)
        yield from keyword_warnings(action, "/fields", action.data["fields"], "field")


def _changing_questions(document: Document) -> Iterator[Issue]:
    """Yield the requests that only ask, for balances and lists, but may change something."""
    requests = document.data["requests"]
    for name, request in requests.items():
        key = reconcile_key(request)
        asked = {(key, "ask"): request.get(key, {}).get("ask")}
        asked["list", "request"] = request.get("list", {}).get("request")
        for place, other in asked.items():
            if other is not None and not only_reads(requests[other]):
                message = f"{other} should change nothing, as it only asks: {_READ_ONLY}"
                yield document.issue(pointer("requests", name, *place), message)


def _odd_conditions(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield conditions that do not mean what they seem to, or are on types that no event has.

    A whole subscription for which no event fits is an issue: it is there to deliver. The default
    of an action delivers nothing, and some of Segment's own are mistyped.
    """
    text = data.get(place.rpartition("/")[2])
    if not isinstance(text, str):
        return
    never = never_holds(text)
    on_types = [never] if never is not None else unknown_types(text)
    for issue in (*compile_fql(text).warnings, *on_types):
        yield document.issue(place, str(issue))


def _values_in_addresses(document: Document) -> Iterator[Issue]:
    """Yield the URLs that contain values of events: these are always encoded."""
    for place, value in _address_mappings(document.data):
        if place not in _FIXED and holds_values(read_address(value)):
            yield document.issue(place, f"must not hold a value of the event: {_INSTEAD}")


_BASE_URL = "/transport/baseUrl"
_OF_TOKENS = "/authentication/oauth2/tokenUrl"
_FIXED: Final = (_BASE_URL, _OF_TOKENS)
"""Addresses that are the same for all events."""

_INSTEAD = "write transport.baseUrl and rest.path, a list; each item becomes one encoded segment"


def _addresses(document: Document) -> Iterator[Issue]:
    """Yield URLs that an event could choose, and invalid segments of paths."""
    data = document.data
    for place, value in _address_mappings(data):
        if place == _BASE_URL and not is_fixed(read_address(value)):
            yield document.issue(place, "must read only settings: put values into rest.path")
        yield from _chosen(document, place, value)
        for own, url in _urls(place, value):
            if any(is_relative(text, is_whole=whole) for text, whole in _beginnings(document, url)):
                yield document.issue(own, _RELATIVE)
            if own != place:
                yield from _missing_settings(document, own, url)
    if {"url", "baseUrl"} <= data["transport"].keys():
        yield document.issue("/transport/url", "is the old name of baseUrl: keep only baseUrl")
    for name, request in data["requests"].items():
        path = request.get("rest", {}).get("path", ())
        for index, segment in enumerate(path):
            reason = _issue_of_segment(segment, is_last=index == len(path) - 1)
            if reason:
                yield document.issue(pointer("requests", name, "rest", "path", index), reason)


_RELATIVE = "must be an absolute URL that begins with https:// or http://"


def _urls(place: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the URLs of an address, each with its place: one, or one for each choice."""
    chosen = chosen_urls(value)
    if chosen is None:
        yield place, value
    else:
        yield from ((place + pointer("urls", key), url) for key, url in chosen[1].items())


def _chosen(document: Document, place: str, value: object) -> Iterator[Issue]:
    """Yield what is wrong with a choice of URLs: each value of the setting needs one."""
    chosen = chosen_urls(value)
    if chosen is None:
        return
    name, urls = chosen
    settings = document.data["settings"]
    spec = settings["properties"].get(name)
    own = place + "/setting"
    if spec is None:
        yield document.issue(own, unknown_name("setting", name, settings["properties"]))
        return
    values = spec.get("enum", ())
    if spec["type"] != "string" or not values or not all(isinstance(one, str) for one in values):
        message = f"{name} must be a setting of type string with an enum of texts, each with a URL"
        yield document.issue(own, message)
        return
    if name not in settings.get("required", ()) and "default" not in spec:
        yield document.issue(own, f"{name} must be required or have a default, to choose a URL")
    for one in values:
        if one not in urls:
            message = f"has no URL for {one!r}, a value of the setting {name}"
            yield document.issue(place + "/urls", message)
    for key in urls:
        if key not in values:
            message = unknown_name(f"value of the setting {name}", key, values)
            yield document.issue(place + pointer("urls", key), message)


_HAS_HOST: Final = re.compile("://[^/?#]*[/?#]")


def _missing_settings(document: Document, place: str, url: object) -> Iterator[Issue]:
    """Yield the settings that a URL is always made of, and that need not be given."""
    settings = document.data["settings"]
    address = read_address(url)
    names: set[str] = set()
    text = ""
    for piece in address.pieces if isinstance(address, AddressTemplate) else ():
        if _HAS_HOST.search(text):
            break  # a path may do without it
        if isinstance(piece, AddressText):
            text += piece.text
        else:
            path = split_path(strip_root(piece.path))
            names.update(path[1:2] if path[:1] == ("settings",) else ())
            text += "x" if "://" in text else "https://x"
    for name in sorted(names & settings["properties"].keys()):
        is_given = name in settings.get("required", ())
        if not is_given and not settings["properties"][name].keys() & {"default", "x-requiredWhen"}:
            message = (
                f"is made of the setting {name}: make {name} required, also by x-requiredWhen, or"
                " give it a default, as there is no URL without it"
            )
            yield document.issue(place, message)


def _open_urls(document: Document) -> Iterator[Issue]:
    """Yield the URLs to which credentials would go unencrypted, and those that may be missing.

    Only an access token's must never be http, so partners of a network of one's own are left out.
    """
    for place, value in _address_mappings(document.data):
        for own, url in _urls(place, value):
            hosts = [_host(text) for text, _ in _beginnings(document, url)]
            if any(one is not None and _is_open(one, place) for one in hosts):
                message = "is not encrypted, so that others can read the credentials: write https"
                yield document.issue(own, message)
            if own == place:
                yield from _missing_settings(document, own, url)


def _host(text: str) -> str | None:
    """Return the host of an http URL, as far as its beginning shows it; None for any other URL."""
    if not text.lower().startswith("http://"):
        return None
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""


def _is_open(host: str, place: str) -> bool:
    """Return whether what goes to a host over http can be read on its way."""
    is_of_tokens = place == _OF_TOKENS
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_named = "." in host and not host.endswith(_OWN_NETWORKS)
        return host != "localhost" if is_of_tokens else is_named
    return not address.is_loopback if is_of_tokens else address.is_global


_OWN_NETWORKS: Final = (
    *(".internal", ".intranet", ".lan", ".local", ".localhost", ".corp", ".home.arpa"),
    *(".test", ".example"),
)


def _beginnings(document: Document, url: object) -> Iterator[tuple[str, bool]]:
    properties = document.data["settings"]["properties"]
    defaults = {key: spec["default"] for key, spec in properties.items() if "default" in spec}
    return beginnings(read_address(url), defaults)


def _address_mappings(data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key in ("baseUrl", "url"):
        if key in data["transport"]:
            yield f"/transport/{key}", data["transport"][key]
    oauth2 = data.get("authentication", {}).get("oauth2")
    if oauth2 is not None:
        yield _OF_TOKENS, oauth2["tokenUrl"]
    for name, request in data["requests"].items():
        if "url" in request.get("rest", {}):
            yield pointer("requests", name, "rest", "url"), request["rest"]["url"]


def _issue_of_segment(segment: object, *, is_last: bool) -> str | None:
    """Return why an item of a path cannot be a segment; None if it can."""
    if isinstance(segment, str):
        if "/" in segment:
            return f"{segment!r} is several segments: write each as an item of its own"
        if segment in {".", ".."}:
            return f"{segment!r} would lead to another path"
        if not segment and not is_last:
            return (
                "must not be empty: only the last segment may be, for a path that ends in a slash"
            )
        return None
    is_directive = isinstance(segment, dict) and bool(directive_keys(segment))
    if is_directive or (isinstance(segment, int | float) and not isinstance(segment, bool)):
        return None
    return "must be text or a mapping directive, as it is one segment of the path"


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


_SHORTEST_KEY: Final = 60.0
"""Seconds: a request, with all that it waits for, has to fit in."""


def _idempotency_key(
    document: Document, name: str, request: Mapping[str, Any], actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield the issues in ``idempotencyKey``: its source, its place, and how long it counts."""
    if "idempotencyKey" not in request:
        return
    yield from _shared_keys(document, name, request["idempotencyKey"]["from"], actions)
    key, place = request["idempotencyKey"], pointer("requests", name, "idempotencyKey")
    if request["idempotent"]:
        yield document.issue(place, f"has no effect: {name} is idempotent and sent again")
    if "onLostAnswer" in request and not request["idempotent"]:
        message = (
            f"must not be set: {name} has idempotencyKey, and what the key no longer protects is"
            " never just sent again"
        )
        yield document.issue(pointer("requests", name, "onLostAnswer"), message)
    if parse_duration(key["for"]) < _SHORTEST_KEY:
        message = f"{key['for']} is too short: expected at least 1m, such as 24h"
        yield document.issue(place + "/for", message)
    if "header" in key:
        yield from _key_in_header(document, name, request, key["header"])
    else:
        yield from _key_in_field(document, name, request, key["field"])


def _shared_keys(
    document: Document, name: str, source: object, actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield that several events would have the same key, by itself or by the fields' defaults."""
    place = pointer("requests", name, "idempotencyKey", "from")
    if not compiles(source):
        return
    message = shared_key(source, None)
    if message is not None:
        yield document.issue(place, message)
        return
    for slug, action in actions.items():
        if name in with_payload(action.data["perform"]):
            message = shared_key(source, _defaults(action.data), action=slug)
            if message is not None:
                yield document.issue(place, message)


def _defaults(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping that an action's subscriptions have unless they say otherwise."""
    properties = action["fields"]["properties"]
    given = {key: spec["default"] for key, spec in properties.items() if "default" in spec}
    return {key: value for key, value in given.items() if compiles(value)}


def _keys_of_presets(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield that presets give several events, or one event twice, the same idempotency key."""
    requests = document.data["requests"]
    keyed: list[tuple[int, Mapping[str, Any], Mapping[str, object], object]] = []
    for index, preset in enumerate(document.data.get("presets", ())):
        action = actions.get(preset["partnerAction"])
        if action is None or check_fql(preset["subscribe"]):
            continue
        sources = {
            name: requests[name]["idempotencyKey"]["from"]
            for name in with_payload(action.data["perform"])
            if "idempotencyKey" in requests.get(name, {})
        }
        sources = {name: source for name, source in sources.items() if compiles(source)}
        mapping = preset.get("mapping", _defaults(action.data))
        if not sources or not compiles(mapping):
            continue
        if "mapping" in preset:
            place = pointer("presets", index, "mapping")
            for path, message in subscription_key_issues(sources, mapping):
                yield document.issue(place + path, message)
        for _, other, others, made in keyed:
            name = same_key(others, made, sources, mapping)
            if name is None:
                continue
            if overlap(compile_fql(other["subscribe"]), compile_fql(preset["subscribe"])):
                message = twice_message(name, other["name"])
                yield document.issue(pointer("presets", index, "subscribe"), message)
        keyed.append((index, preset, sources, mapping))


def _key_in_header(
    document: Document, name: str, request: Mapping[str, Any], header: str
) -> Iterator[Issue]:
    place = pointer("requests", name, "idempotencyKey", "header")
    if request.get("batch", {}).get("size", 1) > 1:
        message = f"needs batch.size 1: the batches of {name} share their headers; use field"
        yield document.issue(place, message)
    own = request.get("rest", {}).get("headers", {})
    for headers, where in (
        (own, "rest"),
        (document.data["transport"].get("headers", {}), "transport"),
    ):
        if header.lower() in map(str.lower, headers):
            yield document.issue(place, f"{where}.headers has {header} already: keep only one")


def _key_in_field(
    document: Document, name: str, request: Mapping[str, Any], field: str
) -> Iterator[Issue]:
    place = pointer("requests", name, "idempotencyKey", "field")
    rest = request.get("rest")
    if rest is None:
        yield document.issue(place, f"is for REST requests: use header, as {name} is not one")
        return
    body = rest.get("json", rest.get("form"))
    if body is None:
        yield document.issue(place, "needs rest.json or rest.form: the key becomes a part of it")
    elif not isinstance(body, dict):
        yield document.issue(place, "needs an object as rest.json: the key becomes a member of it")
    elif not directive_keys(body) and field in body:
        yield document.issue(place, f"the body has {field!r} already: remove it there")


def _repeat_means(document: Document, place: str, rule: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that an error that proves an earlier success is not tried again."""
    if "repeatMeans" in rule and rule["retryable"]:
        message = (
            "must be false: with repeatMeans the partner has the event, so nothing is repeated"
        )
        yield document.issue(place + "/retryable", message)


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


def _settings(document: Document) -> Iterator[Issue]:
    settings = document.data["settings"]
    for index, key in enumerate(settings.get("required", ())):
        if key not in settings["properties"]:
            message = f"unknown setting {key!r} to require"
            message += did_you_mean(key, settings["properties"])
            yield document.issue(pointer("settings", "required", index), message)
    yield from form_issues(document, "/settings", settings, "setting")
    yield from broken_setting_defaults(document)


_USER_AND_PASSWORD: Final = 2


def _authentication(document: Document) -> Iterator[Issue]:
    authentication = document.data.get("authentication")
    if authentication is None:
        return
    settings = document.data["settings"]["properties"]
    for index, key in enumerate(authentication["fields"]):
        if key not in settings:
            place = pointer("authentication", "fields", index)
            yield document.issue(place, unknown_name("setting", key, settings))
    basic = basic_settings(document.data)
    if basic is not None and len(basic) != _USER_AND_PASSWORD:
        yield document.issue(
            "/authentication/fields",
            "must name two settings, the user and the password of HTTP Basic; or say in"
            " transport.headers how Authorization is made, with scheme: custom",
        )
    if authentication["test"] not in document.data["requests"]:
        message = unknown_name("request", authentication["test"], document.data["requests"])
        yield document.issue("/authentication/test", message)
    yield from check_oauth2(document)


def _unused_credentials(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the credentials that reach no request, and a scheme that is not followed."""
    data = document.data
    authentication = data.get("authentication")
    if authentication is None or basic_settings(data) is not None:
        return
    auth = request_auth(data)
    if authentication["scheme"] == "basic" and auth is None:
        yield document.issue("/authentication/scheme", _HEADER_WINS)
    # Code may put settings into the payload, and what is pending is not written yet.
    has_code = any("generator" in action.data["perform"] for action in actions.values())
    if has_code or any("pending" in request for request in data["requests"].values()):
        return
    mappings = [value for _, value, _ in destination_mappings(data, [])]
    sent = () if auth is None else auth.settings
    of_tokens = oauth2_names(data)
    for index, key in enumerate(authentication["fields"]):
        is_sent = key in sent or key in of_tokens
        if not is_sent and not any(names_read(value, [key]) for value in mappings):
            place = pointer("authentication", "fields", index)
            yield document.issue(place, f"{key} is in no request: {_SEND_KEY.format(key)}")


_HEADER_WINS = (
    "basic has no effect: the header Authorization of transport is sent, and none is made of"
    " fields; remove that header, or say scheme: custom"
)
_SEND_KEY = "put it into transport.auth, such as {{bearer: {}}}, or into transport.headers"


def _auth(document: Document) -> Iterator[Issue]:
    """Yield the issues in ``transport.auth``: its settings, and what is made twice."""
    given = document.data["transport"].get("auth")
    auth = request_auth(document.data) if given else None
    if auth is None:
        return
    if isinstance(auth, AccessTokenAuth):
        message = "must not be set: scheme oauth2 makes the header Authorization"
        yield document.issue(_AUTH, message)
        return
    settings = document.data["settings"]["properties"]
    for place, name, is_secret in _auth_settings(auth):
        spec = settings.get(name)
        if spec is None:
            yield document.issue(_AUTH + place, unknown_name("setting", name, settings))
        elif is_secret and spec.get("format") != "password":
            message = f"{name} is a credential: give it format: password, so that it is masked"
            yield document.issue(_AUTH + place, message)
    (kind,) = given
    scheme = document.data.get("authentication", {}).get("scheme", "custom")
    if scheme in {"basic", "bearer"} and scheme != kind:
        message = f"is not what transport.auth says: write {_SCHEMES.get(kind, 'custom')}"
        yield document.issue("/authentication/scheme", message)
    yield from _beside_auth(document, auth)


_AUTH: Final = "/transport/auth"
_SCHEMES: Final = {"basic": "basic", "bearer": "bearer"}


def _auth_settings(auth: RequestAuth) -> Iterator[tuple[str, str, bool]]:
    """Yield the place of each setting below ``auth``, its name, and whether it is a secret."""
    if isinstance(auth, BasicAuth):
        yield "/basic/user", auth.user, auth.password is None
        if auth.password is not None:
            yield "/basic/password", auth.password, True
    elif isinstance(auth, BearerAuth):
        yield "/bearer", auth.setting, True
    elif isinstance(auth, ApiKeyAuth):
        yield "/apiKey/setting", auth.setting, True


def _beside_auth(document: Document, auth: RequestAuth) -> Iterator[Issue]:
    """Yield the header of all requests, or the parameters, that are made twice."""
    header = auth.header
    for name in document.data["transport"].get("headers", {}):
        if header is not None and name.lower() == header.lower():
            message = "is made by transport.auth as well: keep one of them"
            yield document.issue(pointer("transport", "headers", name), message)
    for name, request in document.data["requests"].items():
        query = request.get("rest", {}).get("query", {})
        if auth.query is not None and auth.query in query:
            place = pointer("requests", name, "rest", "query", auth.query)
            yield document.issue(place, "is made by transport.auth as well: keep one of them")


def _shown_secrets(document: Document) -> Iterator[Issue]:
    """Yield the settings by which requests are signed, and which would be shown."""
    settings = document.data["settings"]["properties"]
    shown = [name for name, spec in settings.items() if spec.get("format") != "password"]
    for name, request in document.data["requests"].items():
        secret = request.get("rest", {}).get("sign", {}).get("secret")
        for one in sorted(names_read(secret, shown)):
            place = pointer("requests", name, "rest", "sign", "secret")
            message = f"{one} is a key: give it format: password, so that it is masked"
            yield document.issue(place, message)


def _conditions(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in error rules: what repeats mean, and root fields."""
    for kind in ("answers", "errorRules"):
        for index, rule in enumerate(data.get(kind, ())):
            yield from _repeat_means(document, place + pointer(kind, index), rule)
            field = rule["when"].get("rootField")
            known = root_keys(data.get("graphql", {}).get("document", ""))
            if field is not None and field not in known:
                listed = ", ".join(known) or "none"
                message = (
                    f"unknown root field {field!r}: expected one of several in the document "
                    f"next to it; known: {listed}"
                )
                message += did_you_mean(field, known)
                yield document.issue(place + pointer(kind, index, "when", "rootField"), message)


def _awaited(document: Document, actions: Collection[str]) -> Iterator[Issue]:
    """Yield the rules that wait for an action that does not exist."""
    requests = document.data["requests"]
    of_requests = [(pointer("requests", name), each) for name, each in requests.items()]
    for place, data in (("", document.data), *of_requests):
        for index, rule in enumerate(data.get("errorRules", ())):
            action = rule.get("waitFor", {}).get("action")
            if action is not None and action not in actions:
                own = place + pointer("errorRules", index, "waitFor", "action")
                yield document.issue(own, unknown_name("action", action, sorted(actions)))


def _fql(document: Document, place: str, text: str) -> Iterator[Issue]:
    for issue in check_fql(text):
        yield document.issue(place, str(issue))


def _schema(document: Document, place: str, schema: object) -> Iterator[Issue]:
    if not isinstance(schema, dict):
        return
    try:
        compile_schema(schema)
    except DefinitionError as error:
        for issue in error.issues:
            yield document.issue(place + issue.path, issue.message)
