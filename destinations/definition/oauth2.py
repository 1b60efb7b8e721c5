"""Build and check ``authentication.oauth2``: how access tokens are got (RFC 6749)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.oauth2_model import OAuth2Definition
from destinations.definition.url_pieces import chosen_urls
from destinations.errors import Issue, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["build_oauth2", "check_oauth2", "oauth2_names"]


def build_oauth2(data: Mapping[str, Any] | None) -> OAuth2Definition | None:
    """Build it from a checked definition; None if there is none."""
    if data is None:
        return None
    return OAuth2Definition(
        grant=data["grant"],
        token_url=data["tokenUrl"],
        client_id=data["clientId"],
        client_secret=data.get("clientSecret"),
        refresh_token=data.get("refreshToken"),
        scopes=tuple(data.get("scopes", ())),
        client_authentication=data.get("clientAuthentication", "basic"),
        parameters=data.get("parameters", {}),
    )


def oauth2_names(data: Mapping[str, Any]) -> Collection[str]:
    """Return the settings that the token requests of a destination are made of, as it names them.

    ``data`` is the whole of ``destination.yaml``, which need not be checked yet.
    """
    oauth2 = data.get("authentication", {}).get("oauth2", {})
    named = [oauth2[key] for key in _NAMES if key in oauth2]
    chosen = chosen_urls(oauth2.get("tokenUrl"))
    return named if chosen is None else [*named, chosen[0]]


_NAMES: Final = ("clientId", "clientSecret", "refreshToken")
_PLACE: Final = "/authentication/oauth2"


def check_oauth2(document: Document) -> Iterator[Issue]:
    """Yield the issues in ``authentication.oauth2``, but for its mappings."""
    authentication = document.data["authentication"]
    oauth2 = authentication.get("oauth2")
    is_scheme = authentication["scheme"] == "oauth2"
    if oauth2 is None:
        if is_scheme:
            message = "is oauth2, and authentication has no oauth2 that says how tokens are got"
            yield document.issue("/authentication/scheme", message)
        return
    if not is_scheme:
        message = "has no effect: expected scheme: oauth2 beside it"
        yield document.issue(_PLACE, message)
    yield from _grant(document, oauth2)
    yield from _credentials(document, oauth2)
    places = [("/transport/headers", document.data["transport"].get("headers", {}))]
    for name, request in document.data["requests"].items():
        place = pointer("requests", name, "rest", "headers")
        places.append((place, request.get("rest", {}).get("headers", {})))
    for place, headers in places:
        for name in headers:
            if name.lower() == "authorization":
                message = "must not be set: scheme oauth2 makes this header of the access token"
                yield document.issue(place + pointer(name), message)


def _grant(document: Document, oauth2: Mapping[str, Any]) -> Iterator[Issue]:
    is_refresh = oauth2["grant"] == "refreshToken"
    if is_refresh and "refreshToken" not in oauth2:
        message = "is refreshToken: expected the setting that holds it, as refreshToken: NAME"
        yield document.issue(_PLACE + "/grant", message)
    if not is_refresh and "refreshToken" in oauth2:
        message = "is only for grant: refreshToken; with clientCredentials there is none"
        yield document.issue(_PLACE + "/refreshToken", message)
    if not is_refresh and "clientSecret" not in oauth2:
        message = (
            "is clientCredentials: expected the setting with the secret, as clientSecret: NAME"
        )
        yield document.issue(_PLACE + "/grant", message)


def _credentials(document: Document, oauth2: Mapping[str, Any]) -> Iterator[Issue]:
    properties = document.data["settings"]["properties"]
    fields = document.data["authentication"]["fields"]
    for key in _NAMES:
        if key not in oauth2:
            continue
        name, place = oauth2[key], f"{_PLACE}/{key}"
        if name not in properties:
            yield document.issue(place, unknown_name("setting", name, properties))
            continue
        if key != "clientId" and properties[name].get("format") != "password":
            message = f"is {name}, which is not secret: give that setting format: password"
            yield document.issue(place, message)
        if name not in fields:
            message = f"is {name}, which authentication.fields lacks: add it to the credentials"
            yield document.issue(place, message)
