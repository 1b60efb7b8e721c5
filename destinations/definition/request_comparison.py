"""Compare the requests of two versions of a definition: where they go, what they are, how they end.

Most changes of a request are the affair of whoever wrote it. What users must know is what becomes
of events that are under way while the version changes, of lost answers, and of credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.definition.difference import (
    MISSING,
    Bump,
    Difference,
    changed,
    leaves,
    listed,
    shown,
)
from destinations.definition.model import (
    AccessTokenAuth,
    ApiKeyAuth,
    Authentication,
    BasicAuth,
    DestinationDefinition,
    RequestAuth,
    TransportDefinition,
)
from destinations.definition.oauth2_model import OAuth2Definition
from destinations.definition.request_model import (
    ErrorRule,
    GraphQLDefinition,
    PendingDefinition,
    ReconcileDefinition,
    RequestDefinition,
    RestDefinition,
    Signature,
)
from destinations.definition.url_pieces import chosen_urls
from destinations.durations import duration_in_words
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.roots import reads

__all__ = ["compare_requests"]

_TRANSPORT: Final = "/transport"
_OAUTH2: Final = pointer("authentication", "oauth2")
_HELD: Final = "held or asked about"
_BODIES: Final = ("json", "form", "text", "ndjson")


def compare_requests(
    old: DestinationDefinition, new: DestinationDefinition
) -> Iterator[Difference]:
    """Yield what changes in requests, in how answers are read, and in credentials."""
    yield from _authentication(old.authentication, new.authentication)
    yield from _transport(old, new)
    for name in old.requests:
        if name not in new.requests:
            place = pointer("requests", name)
            yield Difference(Bump.PATCH, place, f"the request {name!r} is gone")
    for name, request in new.requests.items():
        if name not in old.requests:
            place = pointer("requests", name)
            yield Difference(Bump.PATCH, place, f"the request {name!r} is new")
        else:
            yield from _request(old, new, old.requests[name], request)
    yield from _error_rules("", old.error_rules, new.error_rules)


# -- where requests go, and as whose ---------------------------------------------------------------


def _transport(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    before, after = old.transport, new.transport
    yield from _address(_TRANSPORT + "/baseUrl", before.base_url, after.base_url, new)
    yield from _auth(before.auth, after.auth)
    yield from _headers(_TRANSPORT + "/headers", before.headers, after.headers)
    for key, what in (
        ("timeouts", "a time-out in seconds"),
        ("retry", "a wait in seconds before the next attempt"),
    ):
        own = _TRANSPORT + ("/timeout" if key == "timeouts" else "/retry")
        yield from changed(own, what, _members(before, key), _members(after, key))
    what = "the number of requests at a time"
    yield from changed(_TRANSPORT + "/concurrency", what, before.concurrency, after.concurrency)
    if before.rate_limit != after.rate_limit:
        was, now = (_rate(one) for one in (before, after))
        message = f"the limit of requests was {was} and is {now}"
        yield Difference(Bump.PATCH, _TRANSPORT + "/rateLimit", message)


def _rate(transport: TransportDefinition) -> str:
    limit = transport.rate_limit
    return "nothing" if limit is None else f"{limit.requests} in {limit.per:g} s"


def _members(one: object, key: str) -> dict[str, Any]:
    value: Any = getattr(one, key)
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _address(
    place: str, old: object, new: object, definition: DestinationDefinition
) -> Iterator[Difference]:
    """Yield that requests go elsewhere; users may have agreed to an address, or let it through."""
    if old == new:
        return
    chosen, choosing = chosen_urls(old), chosen_urls(new)
    if chosen is None or choosing is None:
        was, now = (_address_text(one) for one in (old, new))
        is_same = _origin(_usual(old, definition)) == _origin(_usual(new, definition)) is not None
        bump = Bump.PATCH if is_same and choosing is None else Bump.MINOR
        message = f"requests go to {now}, and to {was} until now"
        yield Difference(bump if is_same else Bump.MAJOR, place, message)
        return
    (setting, urls), (other, others) = chosen, choosing
    if setting != other:
        message = f"the URL is chosen by the setting {other!r}, and by {setting!r} until now"
        yield Difference(Bump.MAJOR, place + "/setting", message)
    for key in {**urls, **others}:
        own = place + pointer("urls", key)
        if key not in others:
            message = f"the URL for {key!r} is gone, which was {shown(urls[key])}"
            yield Difference(Bump.MAJOR, own, message)
        elif key not in urls:
            message = f"the URL for {key!r} is new: {shown(others[key])}"
            yield Difference(Bump.MINOR, own, message)
        elif urls[key] != others[key]:
            was, now = shown(urls[key], others[key]), shown(others[key], urls[key])
            is_same = _origin(urls[key]) == _origin(others[key]) is not None
            message = f"requests go to {now} for {key!r}, and to {was} until now"
            yield Difference(Bump.PATCH if is_same else Bump.MAJOR, own, message)


def _address_text(source: object) -> str:
    chosen = chosen_urls(source)
    if chosen is None:
        return shown(source)
    setting, urls = chosen
    listing = ", ".join(f"{key}: {url}" for key, url in urls.items())
    return f"the URL that the setting {setting!r} chooses ({listing})"


def _usual(source: object, definition: DestinationDefinition) -> object:
    """Return the URL that is used without a choice."""
    chosen = chosen_urls(source)
    if chosen is None:
        return source
    setting, urls = chosen
    return urls.get(definition.settings["properties"].get(setting, {}).get("default"))


def _origin(source: object) -> tuple[str, str] | None:
    """Return scheme and host of a URL; None for what is made of settings."""
    if not isinstance(source, str):
        return None
    parts = urlsplit(source)
    return parts.scheme, parts.netloc


def _auth(old: RequestAuth | None, new: RequestAuth | None) -> Iterator[Difference]:
    if old == new or isinstance(old, AccessTokenAuth) or isinstance(new, AccessTokenAuth):
        return  # of access tokens, `_access` tells
    message = f"requests are authorized by {_auth_text(new)}, and by {_auth_text(old)} until now"
    both = old is not None and new is not None
    is_other = both and {*_settings(old)} != {*_settings(new)}
    yield Difference(Bump.MAJOR if is_other else Bump.MINOR, _TRANSPORT + "/auth", message)


def _settings(auth: RequestAuth | None) -> Sequence[str]:
    return () if auth is None else auth.settings


def _auth_text(auth: RequestAuth | None) -> str:
    if auth is None:
        return "nothing but their headers"
    if isinstance(auth, ApiKeyAuth):
        kind, name = ("query parameter", auth.query) if auth.query else ("header", auth.header)
        return f"the setting {auth.setting!r} in the {kind} {name!r}"
    what = "HTTP Basic of" if isinstance(auth, BasicAuth) else "a bearer token of"
    return f"{what} the setting{'s' if len(auth.settings) > 1 else ''} {listed(auth.settings)}"


def _headers(
    place: str, old: Mapping[str, object], new: Mapping[str, object]
) -> Iterator[Difference]:
    for name in {**old, **new}:
        before, after = old.get(name, MISSING), new.get(name, MISSING)
        if before != after:
            was, now = shown(before, after), shown(after, before)
            message = f"the header {name!r} was {was} and is {now}"
            yield Difference(Bump.PATCH, place + pointer(name), message)


def _authentication(old: Authentication | None, new: Authentication | None) -> Iterator[Difference]:
    place = pointer("authentication")
    if old is None or new is None:
        if old is not new:
            what = "no longer be tested" if new is None else "be tested"
            yield Difference(Bump.MINOR, place, f"credentials can {what}")
    else:
        yield from changed(place + "/scheme", "the scheme", old.scheme, new.scheme, Bump.MINOR)
        if {*old.fields} != {*new.fields}:
            was, now = listed(old.fields), listed(new.fields)
            message = f"the credentials were the settings {was} and are {now}"
            yield Difference(Bump.MINOR, place + "/fields", message)
        yield from changed(place + "/test", "the request that tests them", old.test, new.test)
        what = "the partner's ID of an account"
        if old.account != new.account:
            message = (
                f"{what} was read as {shown(old.account, new.account)} and is read as "
                f"{shown(new.account, old.account)}: accounts are not recognised as the same"
            )
            yield Difference(Bump.MAJOR, place + "/account", message)
    yield from _access(None if old is None else old.oauth2, None if new is None else new.oauth2)


def _access(old: OAuth2Definition | None, new: OAuth2Definition | None) -> Iterator[Difference]:
    """Yield what changes in how access tokens are got (OAuth2)."""
    if old == new:
        return
    if old is None or new is None or old.grant != new.grant:
        was, becomes = (
            "no access tokens" if one is None else f"the grant {one.grant}" for one in (old, new)
        )
        message = f"it uses {becomes} from now on, and {was} until now: other credentials are due"
        yield Difference(Bump.MAJOR, _OAUTH2, message)
        return
    if more := [scope for scope in new.scopes if scope not in old.scopes]:
        again = new.refresh_token is not None
        message = f"it asks for further scopes: {' '.join(more)}"
        message += "; refresh tokens without them have to be authorized again" if again else ""
        yield Difference(Bump.MAJOR if again else Bump.MINOR, _OAUTH2 + "/scopes", message)
    if less := [scope for scope in old.scopes if scope not in new.scopes]:
        message = f"it no longer asks for the scopes: {' '.join(less)}"
        yield Difference(Bump.PATCH, _OAUTH2 + "/scopes", message)
    if old.credentials != new.credentials:
        message = (
            f"its credentials are in the settings {', '.join(new.credentials)}, and in "
            f"{', '.join(old.credentials)} until now"
        )
        yield Difference(Bump.MAJOR, _OAUTH2, message)
    what = "the URL that gives access tokens"
    for path, before, after in leaves(_OAUTH2 + "/tokenUrl", old.token_url, new.token_url):
        message = f"{what} was {shown(before, after)} and is {shown(after, before)}"
        is_same = _origin(before) == _origin(after) is not None
        yield Difference(Bump.PATCH if is_same else Bump.MAJOR, path, message)
    before, after = old.client_authentication, new.client_authentication
    what = "the place of the client's credentials in requests for tokens"
    yield from changed(_OAUTH2 + "/clientAuthentication", what, before, after)
    what = "a parameter of requests for tokens"
    yield from changed(_OAUTH2 + "/parameters", what, old.parameters, new.parameters)


# -- one request -----------------------------------------------------------------------------------


def _request(
    before: DestinationDefinition,
    after: DestinationDefinition,
    old: RequestDefinition,
    new: RequestDefinition,
) -> Iterator[Difference]:
    place = pointer("requests", new.name)
    # What customers have made themselves has to read other requests, too.
    own = _is_of_users(old, before) and _is_of_users(new, after)
    bump = Bump.MAJOR if own else Bump.PATCH
    yield from _call(place, old, new, after, bump)
    yield from _key(place + "/idempotencyKey", old, new)
    yield from _loss(place, old, new)
    yield from _reconcile(place + "/reconcile", old.reconcile, new.reconcile)
    yield from _batch(place + "/batch", old, new)
    for key, name, what in (
        ("read_only", "readOnly", "that it only reads"),
        ("atomic", "atomic", "that it leaves nothing half done"),
        ("remember", "remember", "that its answer is kept for the run"),
        ("answer_bytes", "answerBytes", "the most bytes of its answer"),
        ("listed", "list", "the list that may answer it"),
        ("expect", "expect", "what a success must fit"),
        ("refusals", "refusals", "an answer that refuses"),
        ("answers", "answers", "an error that counts as an answer"),
        ("description", "description", "its description"),
        ("example", "example", "its example of an answer"),
    ):
        pair = (_plain(getattr(one, key)) for one in (old, new))
        yield from changed(f"{place}/{name}", what, *pair)
    yield from _error_rules(place, old.error_rules, new.error_rules)


def _plain(value: Any) -> Any:
    """Return a value with objects in place of the model's own."""
    if is_dataclass(value):
        found = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {key: each for key, each in found.items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _is_of_users(request: RequestDefinition, definition: DestinationDefinition) -> bool:
    """Return whether a request goes to an address that is whatever a user entered."""
    call = request.call
    url = call.url if isinstance(call, RestDefinition) and call.url is not None else None
    source = definition.transport.base_url if url is None else url
    if isinstance(source, str) or chosen_urls(source) is not None or "://" in str(source):
        return False
    properties: Mapping[str, Mapping[str, Any]] = definition.settings["properties"]
    read = [spec for name, spec in properties.items() if reads(source, name)]
    return any(not {"enum", "default", "const"} & spec.keys() for spec in read)


def _call(
    place: str,
    old: RequestDefinition,
    new: RequestDefinition,
    definition: DestinationDefinition,
    bump: Bump,
) -> Iterator[Difference]:
    before, after = old.call, new.call
    if isinstance(before, RestDefinition) and isinstance(after, RestDefinition):
        yield from _rest(place + "/rest", before, after, definition, bump)
    elif isinstance(before, GraphQLDefinition) and isinstance(after, GraphQLDefinition):
        own = place + "/graphql"
        yield from changed(f"{own}/document", "its document", before.document, after.document)
        yield from changed(f"{own}/variables", "a variable", before.variables, after.variables)
    elif isinstance(after, PendingDefinition):
        if isinstance(before, PendingDefinition):
            yield from changed(place + "/pending", "what is missing", before.missing, after.missing)
        else:
            message = f"it can no longer be made: {after.missing}"
            yield Difference(Bump.MAJOR, place + "/pending", message)
    else:
        is_graphql = isinstance(after, GraphQLDefinition)
        own, kind = ("/graphql", "a GraphQL") if is_graphql else ("/rest", "a REST")
        was = "a GraphQL" if isinstance(before, GraphQLDefinition) else "a REST"
        message = f"it is {kind} request, and {was} request until now"
        if isinstance(before, PendingDefinition):
            message = "it can be made from now on"
        yield Difference(Bump.MINOR, place + own, message)


def _rest(
    place: str,
    old: RestDefinition,
    new: RestDefinition,
    definition: DestinationDefinition,
    bump: Bump,
) -> Iterator[Difference]:
    yield from changed(place + "/method", "its method", old.method, new.method, bump)
    yield from _address(place + "/url", old.url, new.url, definition)
    yield from changed(place + "/path", "a segment of its path", old.path, new.path, bump)
    yield from changed(place + "/query", "a parameter", old.query, new.query)
    what = "the format of lists and objects"
    yield from changed(place + "/arrayFormat", what, old.array_format, new.array_format)
    yield from _headers(place + "/headers", old.headers, new.headers)
    before, after = _body(old), _body(new)
    if before == after:
        if after is not None:
            what = f"a part of its {after} body"
            pair = (getattr(one, after) for one in (old, new))
            yield from changed(f"{place}/{after}", what, *pair)
    else:
        was, now = ("no body" if one is None else f"a body of {one}" for one in (before, after))
        own = f"{place}/{after or before}"
        message = f"it has {now}, and {was} until now"
        yield Difference(bump, own, message)
    if old.gzip != new.gzip:
        is_new = "compressed (gzip)" if new.gzip else "no longer compressed (gzip)"
        yield Difference(bump, place + "/gzip", f"its body is {is_new} from now on")
    yield from _sign(place + "/sign", old.sign, new.sign, bump)


def _body(call: RestDefinition) -> str | None:
    """Return the kind of body that a request has; None if it has none."""
    empty = (None, ())
    return next((kind for kind in _BODIES if getattr(call, kind) not in empty), None)


_SIGN: Final[Sequence[tuple[str, str, str]]] = (
    ("header", "header", "the header of its signature"),
    ("algorithm", "algorithm", "the algorithm of its signature"),
    ("encoding", "encoding", "the encoding of its signature"),
    ("timestamp_header", "timestampHeader", "the header with the time of its signature"),
    ("message", "message", "what is signed"),
    ("value", "value", "the value of its signature's header"),
    ("secret_encoding", "secretEncoding", "the encoding of the secret"),
)


def _sign(
    place: str, old: Signature | None, new: Signature | None, bump: Bump
) -> Iterator[Difference]:
    if old is None or new is None:
        if old is not new:
            what = f"signed, in {new.header!r}," if new else "no longer signed"
            yield Difference(bump, place, f"it is {what} from now on")
        return
    so = "who checks signatures must expect it"
    for key, name, what in _SIGN:
        before, after = (getattr(one, key) for one in (old, new))
        yield from changed(f"{place}/{name}", what, before, after, bump, so=so)
    so = "the secret must be in it"
    yield from changed(
        place + "/secret", "the secret of its signature", old.secret, new.secret, Bump.MAJOR, so=so
    )


def _batch(place: str, old: RequestDefinition, new: RequestDefinition) -> Iterator[Difference]:
    what = "the most events of a request"
    yield from changed(place + "/size", what, old.batch_size, new.batch_size)
    what = "the most bytes of a request"
    yield from changed(place + "/bytes", what, old.batch_bytes, new.batch_bytes)
    before, after = old.call, new.call
    if not (isinstance(before, RestDefinition) and isinstance(after, RestDefinition)):
        return
    what = "a part of the body of a batch"
    yield from changed(place + "/json", what, before.batch_json, after.batch_json)
    what = "how an answer names failed events"
    pair = (_plain(one.failed_items) for one in (before, after))
    yield from changed(place + "/failures", what, *pair)
    if before.all_or_nothing != after.all_or_nothing:
        all_or_nothing = (
            "nothing of a batch counts as applied if one of its events fails: the others are sent "
            "again without it"
        )
        each = "events that an answer does not name as failed count as delivered"
        now, was = (all_or_nothing, each) if after.all_or_nothing else (each, all_or_nothing)
        message = f"{now}; until now: {was}"
        yield Difference(Bump.MINOR, place + "/allOrNothing", message)


# -- lost answers ----------------------------------------------------------------------------------


def _key(place: str, old: RequestDefinition, new: RequestDefinition) -> Iterator[Difference]:
    """Yield that what is under way when the version changes is recognised differently."""
    before, after = old.idempotency_key, new.idempotency_key
    if before == after:
        return
    if before is None:
        assert after is not None  # noqa: S101 - they differ
        lasts = duration_in_words(after.seconds)
        message = f"a lost answer is sent again from now on, with the same key, for {lasts}"
        yield Difference(Bump.MINOR, place, message)
        return
    if after is None:
        message = f"a lost answer is no longer sent again; what is under way is {_HELD}"
        yield Difference(Bump.MAJOR, place, message)
        return
    twice = (
        f"what has a lost answer is {_HELD}, and the partner does not recognise what it got before "
        "if that is replayed, which may count twice"
    )
    if before.source != after.source:
        for path, was, now in leaves(place + "/from", before.source, after.source):
            message = f"keys were made of {shown(was, now)} and are made of {shown(now, was)}"
            yield Difference(Bump.MAJOR, path, f"{message}: {twice}")
    if (before.header, before.field) != (after.header, after.field):
        places = [
            f"the header {one.header!r}" if one.header is not None else f"the field {one.field!r}"
            for one in (before, after)
        ]
        own = place + ("/header" if after.header is not None else "/field")
        message = f"keys were in {places[0]} and are in {places[1]}: {twice}"
        yield Difference(Bump.MAJOR, own, message)
    if before.seconds != after.seconds:
        was, now = (duration_in_words(one.seconds) for one in (before, after))
        message = f"a lost answer was sent again for {was} and is for {now}: "
        if after.seconds < before.seconds:
            yield Difference(Bump.MAJOR, place + "/for", message + f"it is {_HELD} sooner")
        else:
            message += "it may count twice if the partner forgets keys before"
            yield Difference(Bump.MINOR, place + "/for", message)


def _loss(place: str, old: RequestDefinition, new: RequestDefinition) -> Iterator[Difference]:
    if old.idempotent and not new.idempotent:
        message = f"a lost answer was sent again and is no longer: it is {_HELD}"
        yield Difference(Bump.MAJOR, place + "/idempotent", message)
    elif new.idempotent and not old.idempotent:
        message = f"a lost answer was {_HELD} and is sent again"
        yield Difference(Bump.MINOR, place + "/idempotent", message)
    if old.on_lost_answer != new.on_lost_answer:
        if new.on_lost_answer == "resend":
            message = "a lost answer was held for an operator and is sent again: it may count twice"
        else:
            message = "a lost answer was sent again and is held for an operator"
        yield Difference(Bump.MAJOR, place + "/onLostAnswer", message)


def _reconcile(
    place: str, old: ReconcileDefinition | None, new: ReconcileDefinition | None
) -> Iterator[Difference]:
    if old == new:
        return
    if old is None:
        assert new is not None  # noqa: S101 - they differ
        message = f"the partner is asked about a lost answer from now on, by {new.ask}"
        yield Difference(Bump.MINOR, place, message)
    elif new is None:
        message = "the partner is no longer asked about a lost answer: an operator decides"
        yield Difference(Bump.MAJOR, place, message)
    else:
        for name in ("ask", "key", "amount", "shown"):
            what = f"how a lost answer is asked about ({name})"
            so = "balances noted before cannot be compared"
            before, after = (getattr(one, name) for one in (old, new))
            yield from changed(f"{place}/{name}", what, before, after, Bump.MAJOR, so=so)
        for name in ("period", "until", "nothing", "after"):
            what = f"how a lost answer is asked about ({name})"
            yield from changed(f"{place}/{name}", what, *(getattr(one, name) for one in (old, new)))


# -- errors ----------------------------------------------------------------------------------------


def _error_rules(
    place: str, old: Sequence[ErrorRule], new: Sequence[ErrorRule]
) -> Iterator[Difference]:
    place += "/errorRules"
    for rule in old:
        if not any(rule.when == one.when for one in new):
            message = f"the rule for {rule.when} is gone, which was: {_rule_text(rule)}"
            is_there = rule.repeat_means is not None
            yield Difference(Bump.MAJOR if is_there else Bump.PATCH, place, message)
    for at, rule in enumerate(new):
        own = place + pointer(at)
        before = next((one for one in old if one.when == rule.when), None)
        if before is None:
            message = f"the rule for {rule.when} is new: {_rule_text(rule)}"
            yield Difference(Bump.PATCH, own, message)
        else:
            yield from _rule(own, before, rule)
    kept = [rule.when for rule in old if any(rule.when == one.when for one in new)]
    if kept != [rule.when for rule in new if rule.when in kept]:
        yield Difference(Bump.PATCH, place, "error rules are tried in another order")


def _rule_text(rule: ErrorRule) -> str:
    words = [rule.error_class, "tried again" if rule.retryable else "not tried again"]
    words += ["nothing was applied"] if rule.nothing_applied else []
    words += ["the partner has it after a lost answer"] if rule.repeat_means else []
    return ", ".join(words)


def _rule(place: str, old: ErrorRule, new: ErrorRule) -> Iterator[Difference]:
    where = str(new.when)
    if old.repeat_means != new.repeat_means:
        has_it = "delivered after a lost answer, and filtered otherwise"
        if new.repeat_means is not None:
            message = f"{where} means from now on that the partner has the event: {has_it}"
            yield Difference(Bump.MINOR, place + "/repeatMeans", message)
        else:
            message = f"{where} meant that the partner has the event ({has_it}), and no longer does"
            yield Difference(Bump.MAJOR, place + "/repeatMeans", message)
    if old.nothing_applied != new.nothing_applied:
        if new.nothing_applied:
            message = f"{where} proves from now on that nothing was applied: events are sent again"
        else:
            message = f"{where} no longer proves that nothing was applied: events are {_HELD}"
            message += " if their request must not be repeated"
        yield Difference(Bump.MINOR, place + "/nothingApplied", message)
    if old.retryable != new.retryable:
        message = f"events are {'' if new.retryable else 'no longer '}tried again after {where}"
        yield Difference(Bump.MINOR, place + "/retryable", message)
    for key, name in (
        ("error_class", "class"),
        ("attempts", "attempts"),
        ("concerns", "concerns"),
        ("wait_for", "waitFor"),
        ("description", "description"),
    ):
        pair = (_plain(getattr(one, key)) for one in (old, new))
        yield from changed(f"{place}/{name}", f"{name} of {where}", *pair)
