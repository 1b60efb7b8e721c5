"""Tell which settings of a definition say where requests go, and whose account they are for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from destinations.by_identity import ByIdentity
from destinations.definition.model import DestinationDefinition
from destinations.definition.request_model import (
    GraphQLDefinition,
    RequestDefinition,
    RestDefinition,
)
from destinations.definition.url_pieces import chosen_urls
from destinations.segment.mapping.roots import reads

__all__ = [
    "account_settings",
    "address_settings",
    "duration_settings",
    "host_settings",
    "names_read",
]


def address_settings(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings that URLs, headers, signatures or credentials are made of.

    Any mapping with the word counts, so there may be one too many, and never one too few.
    """
    return _of_addresses(ByIdentity(definition))


@lru_cache(maxsize=8)
def _of_addresses(key: ByIdentity[DestinationDefinition]) -> frozenset[str]:
    definition = key.value
    transport, authentication = definition.transport, definition.authentication
    named = {*definition.secret_settings, *(transport.auth.settings if transport.auth else ())}
    named.update(() if authentication is None else authentication.fields)
    sources: list[object] = [_url(transport.base_url), dict(transport.headers)]
    if definition.oauth2 is not None:
        named.update(definition.oauth2.credentials)
        sources += [*_token_urls(definition), dict(definition.oauth2.parameters)]
    for request in definition.requests.values():
        sources += _address_of(request)
    return frozenset(named) | _read(definition, sources)


def host_settings(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings that say to which host requests go; see `address_settings`."""
    return _of_hosts(ByIdentity(definition))


@lru_cache(maxsize=8)
def _of_hosts(key: ByIdentity[DestinationDefinition]) -> frozenset[str]:
    definition = key.value
    calls = [one.call for one in definition.requests.values()]
    urls = [call.url for call in calls if isinstance(call, RestDefinition)]
    bases = [*map(_url, [definition.transport.base_url, *urls])]
    return _read(definition, [*bases, *_token_urls(definition)])


def account_settings(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings that tell the accounts of a partner apart.

    In addition to those of addresses and credentials these are all that the partner is asked with:
    by the authentication test, about lost answers, and for what is remembered.
    """
    asked = {one.reconcile.ask for one in definition.requests.values() if one.reconcile}
    if definition.authentication is not None:
        asked.add(definition.authentication.test)
    sources: list[object] = []
    for name, request in definition.requests.items():
        if name in asked or request.remember:
            sources += _content_of(request)
    return address_settings(definition) | _read(definition, sources)


def duration_settings(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings whose values are durations, such as 12h."""
    windows = [action.window for action in definition.actions.values()]
    names = {one.grace_setting for one in windows if one is not None}
    return frozenset(one for one in names if one is not None)


def _url(source: object) -> object:
    """Return a URL's mapping, such that it also reads the setting by which it is chosen."""
    chosen = chosen_urls(source)
    return source if chosen is None else [{"@path": f"$.settings.{chosen[0]}"}, source]


def _token_urls(definition: DestinationDefinition) -> list[object]:
    """Return the mapping to the token endpoint's URL, if there is one."""
    return [] if definition.oauth2 is None else [_url(definition.oauth2.token_url)]


def _reads_all(source: object) -> bool:
    """Return whether a mapping may read the settings as a whole: no name of one follows."""
    return _WHOLE.search(json.dumps(source, default=str)) is not None


_WHOLE: Final = re.compile(r"\bsettings\b(?![\\\"'\s]*[.\[])")


def _address_of(request: RequestDefinition) -> Iterator[object]:
    call = request.call
    if isinstance(call, RestDefinition):
        yield from (_url(call.url), list(call.path), dict(call.query), dict(call.headers))
        if call.sign is not None:
            yield call.sign.secret


def _content_of(request: RequestDefinition) -> Iterator[object]:
    call = request.call
    if isinstance(call, RestDefinition):
        yield from (call.json, call.text, list(call.ndjson), call.batch_json)
        if call.form is not None:
            yield dict(call.form)
    elif isinstance(call, GraphQLDefinition):
        yield dict(call.variables)


def _read(definition: DestinationDefinition, sources: list[object]) -> frozenset[str]:
    names = definition.settings["properties"]
    return frozenset().union(*(names_read(one, names) for one in sources))


def names_read(source: object, names: Iterable[str]) -> frozenset[str]:
    """Return which of the settings with these names a mapping may read."""
    if not reads(source, "settings"):
        return frozenset()
    is_whole = _reads_all(source)
    return frozenset(name for name in names if is_whole or reads(source, re.escape(name)))
