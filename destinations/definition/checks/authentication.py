"""Check credentials: their settings, and that they reach requests, once and unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from destinations.definition.build import basic_settings, request_auth
from destinations.definition.document import Document
from destinations.definition.mapping_places import destination_mappings
from destinations.definition.model import (
    AccessTokenAuth,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    RequestAuth,
)
from destinations.definition.oauth2 import check_oauth2, oauth2_names
from destinations.definition.setting_uses import names_read
from destinations.errors import Issue, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["auth_issues", "authentication_issues", "shown_secrets", "unused_credentials"]


_USER_AND_PASSWORD: Final = 2


def authentication_issues(document: Document) -> Iterator[Issue]:
    """Yield the issues in ``authentication``: its settings, its test, and OAuth2."""
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


def unused_credentials(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
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


def auth_issues(document: Document) -> Iterator[Issue]:
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


def shown_secrets(document: Document) -> Iterator[Issue]:
    """Yield the settings by which requests are signed, and which would be shown."""
    settings = document.data["settings"]["properties"]
    shown = [name for name, spec in settings.items() if spec.get("format") != "password"]
    for name, request in document.data["requests"].items():
        secret = request.get("rest", {}).get("sign", {}).get("secret")
        for one in sorted(names_read(secret, shown)):
            place = pointer("requests", name, "rest", "sign", "secret")
            message = f"{one} is a key: give it format: password, so that it is masked"
            yield document.issue(place, message)
