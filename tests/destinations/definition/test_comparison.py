"""`destinations diff` says each change in words, where it is, and whether users have to act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from destinations.definition.comparison import compare
from destinations.definition.difference import Bump, leaves, shown
from destinations.definition.model import (
    ActionDefinition,
    ApiKeyAuth,
    Authentication,
    BasicAuth,
    BearerAuth,
    DestinationDefinition,
    Perform,
    Preset,
    RateLimit,
    RetryDefinition,
    Step,
    Timeouts,
    TransportDefinition,
    Unmapped,
    Window,
)
from destinations.definition.oauth2_model import OAuth2Definition
from destinations.definition.request_model import (
    ErrorCondition,
    ErrorRule,
    FailedItems,
    GraphQLDefinition,
    IdempotencyKey,
    PendingDefinition,
    ReconcileDefinition,
    RequestDefinition,
    RestDefinition,
    Signature,
)

DAY = 86_400.0
URLS = {"us": "https://api.example.com", "eu": "https://api.eu.example.com"}
CHOSEN = {"setting": "region", "urls": URLS}
RULE = ErrorRule(ErrorCondition(status=(409,)), "conflict", retryable=False, nothing_applied=False)
THERE = replace(RULE, repeat_means="delivered")
SIGN = Signature("X-Signature", "sha256", {"@path": "$.settings.secret"})
KEY = IdempotencyKey({"@path": "$.event.messageId"}, DAY, header="Idempotency-Key")
ASKS = ReconcileDefinition("ask", {"@path": "$.payload.id"}, 1, {"@path": "$.answer.total"})
OAUTH2 = OAuth2Definition(
    "clientCredentials", "https://id.example.com/token", "clientId", "clientSecret", None, ("a",)
)
REST = RestDefinition("POST", path=("usage",), json={"id": {"@path": "$.payload.id"}})
FAILED = FailedItems((200,), {"@path": "$.answer.failed"})
REQUEST = RequestDefinition("add", "Adds.", idempotent=False, call=REST)
WINDOW = Window({"@path": "$.event.timestamp"}, "reject", 30 * DAY, 300.0)
FIELD = {"title": "ID", "description": "The ID.", "type": "string", "x-placeholder": "u-1"}
ACTION = ActionDefinition(
    "track",
    "Track",
    "Tracks.",
    {"type": "object", "required": [], "properties": {"id": FIELD}},
    Perform(request="add"),
)
STEPS = Perform(
    steps=(Step("find", "ask"), Step("make", "add", {"find": "absent"})), repeatable=True
)
OF_STEPS = replace(ACTION, perform=STEPS)
SETTINGS = {
    "type": "object",
    "required": ["region"],
    "properties": {
        "region": {"title": "R", "description": "R.", "enum": ["us", "eu"], "default": "us"},
        "address": {"title": "A", "description": "A.", "type": "string"},
        "secret": {"title": "S", "description": "S.", "type": "string", "format": "password"},
    },
}
TRANSPORT = TransportDefinition(
    "https://api.example.com", {}, Timeouts(5, 20, 30), RetryDefinition(1, 60, 600), 4
)
OWN_ADDRESS = replace(TRANSPORT, base_url={"@path": "$.settings.address"})
AUTHENTICATION = Authentication("custom", ("secret",), "ask")
DEFINITION = DestinationDefinition(
    name="Sample",
    slug="sample",
    version="1.0.0",
    description="A sample.",
    settings=SETTINGS,
    transport=TRANSPORT,
    requests={
        "add": REQUEST,
        "ask": replace(REQUEST, name="ask", idempotent=True, call=RestDefinition("GET")),
    },
    actions={"track": ACTION},
    presets=(Preset("Track", "track", 'type = "track"', {"id": {"@path": "$.userId"}}),),
    error_rules=(RULE,),
    required_event_fields=(),
    placeholders=(),
    blank_traits=None,
    integrations_key="Sample",
    authentication=AUTHENTICATION,
    catalog={},
)

Change = Callable[[DestinationDefinition], DestinationDefinition]


def transport(**given: Any) -> Change:
    return lambda one: replace(one, transport=replace(one.transport, **given))


def request(**given: Any) -> Change:
    def change(one: DestinationDefinition) -> DestinationDefinition:
        return replace(one, requests={**one.requests, "add": replace(one.requests["add"], **given)})

    return change


def rest(**given: Any) -> Change:
    return request(call=replace(REST, **given))


def action(given: ActionDefinition = ACTION, **changes: Any) -> Change:
    return lambda one: replace(one, actions={"track": replace(given, **changes)})


def deletion(name: str) -> Change:
    made = replace(ACTION, slug="onDelete", perform=Perform(request=name))
    return lambda one: replace(one, deletion=made)


def oauth2(**given: Any) -> Change:
    made = replace(AUTHENTICATION, scheme="oauth2", oauth2=replace(OAUTH2, **given))
    return lambda one: replace(one, authentication=made)


def field(**given: Any) -> Change:
    spec = {key: value for key, value in {**FIELD, **given}.items() if value is not None}
    return action(fields={**ACTION.fields, "properties": {"id": spec}})


def steps(*given: Step, **others: Any) -> Change:
    return action(perform=replace(STEPS, steps=given or STEPS.steps, **others))


def both(*changes: Change) -> Change:
    def change(one: DestinationDefinition) -> DestinationDefinition:
        for each in changes:
            one = each(one)
        return one

    return change


def same(one: DestinationDefinition) -> DestinationDefinition:
    return one


FIND, MAKE = STEPS.steps
AT = "/requests/add"
TWICE = "what has a lost answer is held or asked about, and the partner does not recognise what it"
CHANGES: Mapping[str, tuple[Change, Change, str, Bump, str]] = {
    # name: before, after, where, the part of the version, what is said
    "another host": (
        same,
        transport(base_url="https://new.example.com"),
        "/transport/baseUrl",
        Bump.MAJOR,
        "requests go to 'https://new.example.com', and to 'https://api.example.com' until now",
    ),
    "another path of the URL": (
        same,
        transport(base_url="https://api.example.com/v2"),
        "/transport/baseUrl",
        Bump.PATCH,
        "requests go to 'https://api.example.com/v2', and to 'https://api.example.com' until now",
    ),
    "a URL by a setting, the former by default": (
        same,
        transport(base_url=CHOSEN),
        "/transport/baseUrl",
        Bump.MINOR,
        "requests go to the URL that the setting 'region' chooses (us: https://api.example.com, eu",
    ),
    "a URL by a setting, another one by default": (
        same,
        transport(base_url={**CHOSEN, "urls": {**URLS, "us": "https://us.example.com"}}),
        "/transport/baseUrl",
        Bump.MAJOR,
        "and to 'https://api.example.com' until now",
    ),
    "a URL for another value": (
        transport(base_url=CHOSEN),
        transport(base_url={**CHOSEN, "urls": {**URLS, "au": "https://au.example.com"}}),
        "/transport/baseUrl/urls/au",
        Bump.MINOR,
        "the URL for 'au' is new: 'https://au.example.com'",
    ),
    "a URL of a value less": (
        transport(base_url=CHOSEN),
        transport(base_url={**CHOSEN, "urls": {"us": URLS["us"]}}),
        "/transport/baseUrl/urls/eu",
        Bump.MAJOR,
        "the URL for 'eu' is gone, which was 'https://api.eu.example.com'",
    ),
    "another URL of a value": (
        transport(base_url=CHOSEN),
        transport(base_url={**CHOSEN, "urls": {**URLS, "eu": "https://eu.example.com"}}),
        "/transport/baseUrl/urls/eu",
        Bump.MAJOR,
        "requests go to 'https://eu.example.com' for 'eu', and to 'https://api.eu.example.com' unt",
    ),
    "a URL by another setting": (
        transport(base_url=CHOSEN),
        transport(base_url={**CHOSEN, "setting": "zone"}),
        "/transport/baseUrl/setting",
        Bump.MAJOR,
        "the URL is chosen by the setting 'zone', and by 'region' until now",
    ),
    "a bearer token": (
        same,
        transport(auth=BearerAuth("secret")),
        "/transport/auth",
        Bump.MINOR,
        "requests are authorized by a bearer token of the setting 'secret', and by nothing but",
    ),
    "a key in the query": (
        transport(auth=ApiKeyAuth("secret", header="X-Key")),
        transport(auth=ApiKeyAuth("secret", query="key")),
        "/transport/auth",
        Bump.MINOR,
        "the setting 'secret' in the query parameter 'key', and by the setting 'secret' in the hea",
    ),
    "credentials in other settings": (
        transport(auth=BearerAuth("secret")),
        transport(auth=BasicAuth("address", "secret")),
        "/transport/auth",
        Bump.MAJOR,
        "by HTTP Basic of the settings 'address', 'secret', and by a bearer token of the setting",
    ),
    "a header": (
        same,
        transport(headers={"X-Version": "2"}),
        "/transport/headers/X-Version",
        Bump.PATCH,
        "the header 'X-Version' was nothing and is '2'",
    ),
    "a rate limit": (
        same,
        transport(rate_limit=RateLimit(4, 1)),
        "/transport/rateLimit",
        Bump.PATCH,
        "the limit of requests was nothing and is 4 in 1 s",
    ),
    "text in place of JSON": (
        same,
        rest(json=None, text="x"),
        f"{AT}/rest/text",
        Bump.PATCH,
        "it has a body of text, and a body of json until now",
    ),
    "text in place of JSON, to an address of users": (
        transport(base_url=OWN_ADDRESS.base_url),
        both(transport(base_url=OWN_ADDRESS.base_url), rest(json=None, text="x")),
        f"{AT}/rest/text",
        Bump.MAJOR,
        "it has a body of text, and a body of json until now",
    ),
    "no body": (same, rest(json=None), f"{AT}/rest/json", Bump.PATCH, "it has no body, and a body"),
    "another part of the body": (
        same,
        rest(json={"id": {"@path": "$.payload.key"}}),
        f"{AT}/rest/json/id/@path",
        Bump.PATCH,
        "a part of its json body was '$.payload.id' and is '$.payload.key'",
    ),
    "compressed": (
        same,
        rest(gzip=True),
        f"{AT}/rest/gzip",
        Bump.PATCH,
        "its body is compressed (gzip) from now on",
    ),
    "no longer compressed, to an address of users": (
        both(transport(base_url=OWN_ADDRESS.base_url), rest(gzip=True)),
        transport(base_url=OWN_ADDRESS.base_url),
        f"{AT}/rest/gzip",
        Bump.MAJOR,
        "its body is no longer compressed (gzip) from now on",
    ),
    "signed": (
        same,
        rest(sign=SIGN),
        f"{AT}/rest/sign",
        Bump.PATCH,
        "it is signed, in 'X-Signature', from now on",
    ),
    "signed otherwise, to an address of users": (
        both(transport(base_url=OWN_ADDRESS.base_url), rest(sign=SIGN)),
        both(transport(base_url=OWN_ADDRESS.base_url), rest(sign=replace(SIGN, encoding="base64"))),
        f"{AT}/rest/sign/encoding",
        Bump.MAJOR,
        "the encoding of its signature was 'hex' and is 'base64': who checks signatures must",
    ),
    "signed with another secret": (
        rest(sign=SIGN),
        rest(sign=replace(SIGN, secret={"@path": "$.settings.other"})),
        f"{AT}/rest/sign/secret/@path",
        Bump.MAJOR,
        "the secret of its signature was '$.settings.secret' and is '$.settings.other'",
    ),
    "a key": (
        same,
        request(idempotency_key=KEY),
        f"{AT}/idempotencyKey",
        Bump.MINOR,
        "a lost answer is sent again from now on, with the same key, for 1 day",
    ),
    "no key": (
        request(idempotency_key=KEY),
        same,
        f"{AT}/idempotencyKey",
        Bump.MAJOR,
        "a lost answer is no longer sent again; what is under way is held or asked about",
    ),
    "a key of something else": (
        request(idempotency_key=KEY),
        request(idempotency_key=replace(KEY, source={"@path": "$.payload.id"})),
        f"{AT}/idempotencyKey/from/@path",
        Bump.MAJOR,
        f"keys were made of '$.event.messageId' and are made of '$.payload.id': {TWICE}",
    ),
    "a key in another header": (
        request(idempotency_key=KEY),
        request(idempotency_key=replace(KEY, header="X-Key")),
        f"{AT}/idempotencyKey/header",
        Bump.MAJOR,
        f"keys were in the header 'Idempotency-Key' and are in the header 'X-Key': {TWICE}",
    ),
    "a key in a field": (
        request(idempotency_key=KEY),
        request(idempotency_key=replace(KEY, header=None, field="key")),
        f"{AT}/idempotencyKey/field",
        Bump.MAJOR,
        f"keys were in the header 'Idempotency-Key' and are in the field 'key': {TWICE}",
    ),
    "a key for less time": (
        request(idempotency_key=KEY),
        request(idempotency_key=replace(KEY, seconds=5_400.0)),
        f"{AT}/idempotencyKey/for",
        Bump.MAJOR,
        "was sent again for 1 day and is for 1 hour and 30 minutes: it is held or asked about soon",
    ),
    "a key for more time": (
        request(idempotency_key=KEY),
        request(idempotency_key=replace(KEY, seconds=30 * DAY)),
        f"{AT}/idempotencyKey/for",
        Bump.MINOR,
        "was sent again for 1 day and is for 30 days: it may count twice if the partner forgets",
    ),
    "an error that proves that the partner has it": (
        request(error_rules=(RULE,)),
        request(error_rules=(THERE,)),
        f"{AT}/errorRules/0/repeatMeans",
        Bump.MINOR,
        "status 409 means from now on that the partner has the event: delivered after a lost",
    ),
    "an error that no longer proves it": (
        request(error_rules=(THERE,)),
        request(error_rules=(RULE,)),
        f"{AT}/errorRules/0/repeatMeans",
        Bump.MAJOR,
        "status 409 meant that the partner has the event (delivered after a lost answer, and filt",
    ),
    "a rule of all requests that proves it": (
        same,
        lambda one: replace(one, error_rules=(THERE,)),
        "/errorRules/0/repeatMeans",
        Bump.MINOR,
        "status 409 means from now on that the partner has the event",
    ),
    "a rule that proves it less": (
        request(error_rules=(THERE,)),
        same,
        f"{AT}/errorRules",
        Bump.MAJOR,
        "the rule for status 409 is gone, which was: conflict, not tried again, the partner has it",
    ),
    "an error that may pass": (
        request(error_rules=(RULE,)),
        request(error_rules=(replace(RULE, retryable=True),)),
        f"{AT}/errorRules/0/retryable",
        Bump.MINOR,
        "events are tried again after status 409",
    ),
    "a batch as a whole": (
        rest(failed_items=FAILED),
        rest(failed_items=FAILED, all_or_nothing=True),
        f"{AT}/batch/allOrNothing",
        Bump.MINOR,
        "nothing of a batch counts as applied if one of its events fails",
    ),
    "nothing to be asked": (
        request(reconcile=ASKS),
        same,
        f"{AT}/reconcile",
        Bump.MAJOR,
        "the partner is no longer asked about a lost answer: an operator decides",
    ),
    "another balance": (
        request(reconcile=ASKS),
        request(reconcile=replace(ASKS, key={"@path": "$.payload.other"})),
        f"{AT}/reconcile/key/@path",
        Bump.MAJOR,
        "(key) was '$.payload.id' and is '$.payload.other': balances noted before cannot be",
    ),
    "sent again, twice or not": (
        same,
        request(on_lost_answer="resend"),
        f"{AT}/onLostAnswer",
        Bump.MAJOR,
        "a lost answer was held for an operator and is sent again: it may count twice",
    ),
    "no longer idempotent": (
        request(idempotent=True),
        same,
        f"{AT}/idempotent",
        Bump.MAJOR,
        "a lost answer was sent again and is no longer: it is held or asked about",
    ),
    "pending": (
        same,
        request(call=PendingDefinition("the URL")),
        f"{AT}/pending",
        Bump.MAJOR,
        "it can no longer be made: the URL",
    ),
    "GraphQL": (
        same,
        request(call=GraphQLDefinition("{ a }", {})),
        f"{AT}/graphql",
        Bump.MINOR,
        "it is a GraphQL request, and a REST request until now",
    ),
    "a window": (
        same,
        action(window=WINDOW),
        "/actions/track/window",
        Bump.MAJOR,
        "events that are more than 30 days old or more than 5 minutes in the future are rejected",
    ),
    "no window": (
        action(window=WINDOW),
        same,
        "/actions/track/window",
        Bump.MINOR,
        "no event is too late for it any more",
    ),
    "less grace": (
        action(window=WINDOW),
        action(window=replace(WINDOW, grace=DAY)),
        "/actions/track/window/grace",
        Bump.MAJOR,
        "an event could be 30 days old and can be 1 day: more are too late",
    ),
    "more grace": (
        action(window=WINDOW),
        action(window=replace(WINDOW, grace=None)),
        "/actions/track/window/grace",
        Bump.MINOR,
        "an event could be 30 days old and can be any time: fewer are too late",
    ),
    "less time ahead": (
        action(window=WINDOW),
        action(window=replace(WINDOW, ahead=60.0)),
        "/actions/track/window/ahead",
        Bump.MAJOR,
        "an event could be 5 minutes in the future and can be 1 minute: more are too early",
    ),
    "held": (
        action(window=WINDOW),
        action(window=replace(WINDOW, then="hold")),
        "/actions/track/window/then",
        Bump.MAJOR,
        "events outside of its window were rejected and are held for an operator",
    ),
    "another time": (
        action(window=WINDOW),
        action(window=replace(WINDOW, source={"@path": "$.payload.at"})),
        "/actions/track/window/from/@path",
        Bump.MAJOR,
        "the time of an event was '$.event.timestamp' and is '$.payload.at'",
    ),
    "steps": (
        same,
        steps(),
        "/actions/track/perform",
        Bump.MINOR,
        "it makes the steps 'find', 'make', and the request 'add' until now",
    ),
    "a step more": (
        steps(),
        steps(FIND, MAKE, Step("change", "add", {"find": {"type": "object"}})),
        "/actions/track/perform/steps/2",
        Bump.MINOR,
        "the step 'change' is new: it makes the request 'add' if the answer to find fits {",
    ),
    "a step less": (
        steps(),
        steps(FIND),
        "/actions/track/perform/steps",
        Bump.MINOR,
        "the step 'make' is gone, which made the request 'add'",
    ),
    "another request of a step": (
        steps(),
        steps(FIND, replace(MAKE, request="ask")),
        "/actions/track/perform/steps/1/request",
        Bump.MINOR,
        "the step 'make' makes the request 'ask', and 'add' until now",
    ),
    "another condition": (
        steps(),
        steps(FIND, replace(MAKE, when={"find": "ok"})),
        "/actions/track/perform/steps/1/when",
        Bump.MINOR,
        "is made if the answer to find is a success, and until now if the answer to find is absent",
    ),
    "another order": (
        steps(FIND, replace(MAKE, when={})),
        steps(replace(MAKE, when={}), FIND),
        "/actions/track/perform/steps",
        Bump.MINOR,
        "the order of its steps was 'find', 'make' and is 'make', 'find'",
    ),
    "no longer repeatable": (
        steps(),
        steps(repeatable=False),
        "/actions/track/perform/repeatable",
        Bump.MAJOR,
        "after a lost answer, its steps are made again from the first one on no longer: an oper",
    ),
    "repeatable sooner": (
        steps(),
        steps(repeat_after=30.0),
        "/actions/track/perform/repeatable/after",
        Bump.MINOR,
        "from the first one on after 30 seconds, and after 2 minutes until now",
    ),
    "deletion": (
        same,
        deletion("ask"),
        "/onDelete",
        Bump.MINOR,
        "the partner is asked to delete users from now on, by the request 'ask'",
    ),
    "another deletion": (
        deletion("ask"),
        deletion("add"),
        "/onDelete/request",
        Bump.MINOR,
        "it makes the request 'add', and the request 'ask' until now",
    ),
    "another grant": (
        oauth2(),
        oauth2(grant="refreshToken", refresh_token="token"),
        "/authentication/oauth2",
        Bump.MAJOR,
        "it uses the grant refreshToken from now on, and the grant clientCredentials until now",
    ),
    "another token URL": (
        oauth2(),
        oauth2(token_url="https://login.example.com/token"),
        "/authentication/oauth2/tokenUrl",
        Bump.MAJOR,
        "the URL that gives access tokens was 'https://id.example.com/token' and is 'https://login",
    ),
    "another path of the token URL": (
        oauth2(),
        oauth2(token_url="https://id.example.com/v2/token"),
        "/authentication/oauth2/tokenUrl",
        Bump.PATCH,
        "and is 'https://id.example.com/v2/token'",
    ),
    "a scope less": (
        oauth2(),
        oauth2(scopes=()),
        "/authentication/oauth2/scopes",
        Bump.PATCH,
        "it no longer asks for the scopes: a",
    ),
    "another account": (
        same,
        lambda one: replace(
            one, authentication=replace(AUTHENTICATION, account={"@path": "$.answer.id"})
        ),
        "/authentication/account",
        Bump.MAJOR,
        "accounts are not recognised as the same",
    ),
    "another placeholder": (
        same,
        field(**{"x-placeholder": "u-2"}),
        "/actions/track/fields/properties/id/x-placeholder",
        Bump.PATCH,
        "forms show the field in another way: x-placeholder was 'u-1' and is 'u-2'",
    ),
    "choices of the partner": (
        field(**{"x-choices": {"request": "ask", "items": {"@path": "$.answer"}}}),
        field(**{"x-choices": {"request": "list", "items": {"@path": "$.answer"}}}),
        "/actions/track/fields/properties/id/x-choices/request",
        Bump.PATCH,
        "forms show the field in another way: x-choices was 'ask' and is 'list'",
    ),
    "labels within a field": (
        field(type="object", properties={"kind": {"enum": ["a"], "x-labels": ["A"]}}),
        field(type="object", properties={"kind": {"enum": ["a"], "x-labels": ["An A"]}}),
        "/actions/track/fields/properties/id/properties/kind/x-labels/0",
        Bump.PATCH,
        "forms show the property in another way: x-labels was 'A' and is 'An A'",
    ),
    "a required property within a field": (
        field(type="object", properties={"kind": {"type": "string"}}),
        field(type="object", required=["kind"], properties={"kind": {"type": "string"}}),
        "/actions/track/fields/properties/id/properties/kind",
        Bump.MAJOR,
        "the property 'kind' is required now",
    ),
    "another type of items": (
        field(type="array", items={"type": "string"}),
        field(type="array", items={"type": "number"}),
        "/actions/track/fields/properties/id/items/type",
        Bump.MAJOR,
        "type was 'string' and is 'number'",
    ),
    "another field on the page": (
        same,
        field(**{"x-partnerField": "user_id"}),
        "/actions/track/fields/properties/id/x-partnerField",
        Bump.PATCH,
        "its page shows the field in another way: x-partnerField was nothing and is 'user_id'",
    ),
    "events that are refused": (
        same,
        lambda one: replace(one, required_event_fields=("userId",)),
        "/events/requires",
        Bump.MAJOR,
        "events without userId are refused",
    ),
    "another mapping of a preset": (
        same,
        lambda one: replace(
            one, presets=(replace(one.presets[0], mapping={"id": {"@path": "$.anonymousId"}}),)
        ),
        "/presets/Track/mapping/id/@path",
        Bump.MAJOR,
        "what it sends as 'id' was '$.userId' and is '$.anonymousId'",
    ),
}


@pytest.mark.parametrize(
    ("before", "after", "place", "bump", "says"), CHANGES.values(), ids=CHANGES
)
def test_what_a_change_means(
    before: Change, after: Change, place: str, bump: Bump, says: str
) -> None:
    """A change has one line: what was and is, where, and whether users have to act."""
    old, new = before(DEFINITION), after(DEFINITION)
    found = [one for one in compare(old, new) if one.path == place and says in one.message]
    assert len(found) == 1, compare(old, new)
    assert found[0].bump is bump
    assert len({*compare(old, new)}) == len(compare(old, new))
    assert compare(new, new) == compare(old, old) == []


EVERYTHING = both(
    request(
        call=replace(REST, sign=SIGN, failed_items=FAILED),
        idempotency_key=KEY,
        reconcile=ASKS,
        error_rules=(THERE,),
    ),
    transport(auth=BearerAuth("secret"), rate_limit=RateLimit(4, 1)),
    oauth2(),
    lambda one: replace(
        one,
        actions={
            "track": replace(ACTION, window=WINDOW, unmapped=Unmapped("id", "It has none.")),
            "steps": replace(OF_STEPS, slug="steps"),
        },
        deletion=replace(ACTION, slug="onDelete"),
    ),
)(DEFINITION)
UNCOMPARED = {
    # Who it is, and what is known of its files.
    *("slug", "version", "warnings", "name"),
    # What a customer's connection chose, and what a command was told.
    *("filters", "connection", "allow_overlap", "stand_in"),
    # Another rule, if it is about other errors.
    "when",
}
OTHER: Mapping[str, Any] = {"call": PendingDefinition("all"), "idempotent": True}


def _others(value: Any) -> Iterator[Any]:
    """Yield values that differ from one, as few as there are within it."""
    if is_dataclass(value) and not isinstance(value, type):
        yield from (one for _, one in _changed(value))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield f"{value}-other"
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if each == "object":  # which every object of fields is
                continue
            yield from ({**value, key: one} for one in _others(each))
    elif isinstance(value, tuple) and value:
        for at, each in enumerate(value):
            yield from ((*value[:at], one, *value[at + 1 :]) for one in _others(each))


def _changed(one: Any) -> Iterator[tuple[str, Any]]:
    for each in fields(one):
        if each.name in UNCOMPARED or (isinstance(one, Perform) and _is_of_steps(one, each.name)):
            continue
        if each.name == "deletion":  # the rest of it is made from the name of its request
            performs = _others(one.deletion.perform)
            yield from (
                ("deletion", replace(one, deletion=replace(one.deletion, perform=perform)))
                for perform in performs
            )
            continue
        for other in _others(getattr(one, each.name)):
            yield each.name, replace(one, **{each.name: other})


def _is_of_steps(one: Perform, name: str) -> bool:
    """Return whether a key has a meaning only beside steps, and there are none."""
    return not one.steps and name.startswith("repeat")


ALL = [(name, other) for name, other in _changed(EVERYTHING) if other != EVERYTHING]


@pytest.mark.parametrize("other", [one for _, one in ALL], ids=[name for name, _ in ALL])
def test_nothing_changes_without_a_word(other: DestinationDefinition) -> None:
    """Whatever part of the model changes, a line says so, with what it was or is."""
    found = compare(EVERYTHING, other)
    assert found
    assert all(one.message and one.path.startswith("/") for one in found)


def test_there_are_many_parts() -> None:
    """The table of changes reaches into requests, actions and credentials."""
    assert len(ALL) > 100
    assert {name for name, _ in ALL} >= {"requests", "actions", "transport", "authentication"}


@pytest.mark.parametrize(
    ("old", "new", "was"),
    [
        (None, 1, "nothing"),
        (True, None, "true"),
        ("a", "b", "'a'"),
        ({"a": "ä"}, None, '{"a": "ä"}'),
        ("x" * 200, "x" * 200 + "y", "..." + "x" * 79 + "'"),
        ("x" * 200 + "a", "x" * 200 + "b", "..." + "x" * 78 + "a'"),
        ("a" + "x" * 200, "b" + "x" * 200, "'a" + "x" * 78 + "..."),
        ("x" * 100 + "a" + "x" * 100, "x" * 100 + "b" + "x" * 100, None),
    ],
)
def test_a_long_value_is_shown_where_it_differs(old: Any, new: Any, was: str | None) -> None:
    """Of a long value, 80 characters are shown, among them the first one that differs."""
    text = shown(old, new)
    assert len(text) <= 86
    assert text != shown(new, old)
    if was is not None:
        assert text == was


def test_places_of_what_differs() -> None:
    """Objects are compared by key and lists by place; what is missing is told from null."""
    old = {"a": {"b": [1, 2]}, "c": None, "d/e": 1}
    new = {"a": {"b": [1, 3, 4]}, "d/e": 2}
    assert [path for path, _, _ in leaves("", old, new)] == ["/a/b/1", "/a/b/2", "/c", "/d~1e"]
