"""Build and check ``authentication.oauth2``: how access tokens are got (RFC 6749)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.definition.document import Document
from destinations.definition.oauth2_model import OAuth2Definition, UrlChoice
from destinations.errors import Issue, did_you_mean
from destinations.segment.json_pointer import pointer

__all__ = ["build_oauth2", "check_oauth2", "oauth2_names"]


def build_oauth2(data: Mapping[str, Any] | None) -> OAuth2Definition | None:
    """Build it from a checked definition; None if there is none."""
    if data is None:
        return None
    url = data["tokenUrl"]
    return OAuth2Definition(
        grant=data["grant"],
        token_url=UrlChoice(url["setting"], url["urls"]) if _is_choice(url) else url,
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
    url = oauth2.get("tokenUrl")
    return [*named, url["setting"]] if _is_choice(url) else named


_NAMES: Final = ("clientId", "clientSecret", "refreshToken")
_PLACE: Final = "/authentication/oauth2"


def _is_choice(url: object) -> bool:
    return isinstance(url, dict) and "urls" in url


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
    yield from _token_url(document, oauth2["tokenUrl"])
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
            yield document.issue(place, _unknown(name, properties))
            continue
        if key != "clientId" and properties[name].get("format") != "password":
            message = f"is {name}, which is not secret: give that setting format: password"
            yield document.issue(place, message)
        if name not in fields:
            message = f"is {name}, which authentication.fields lacks: add it to the credentials"
            yield document.issue(place, message)


def _token_url(document: Document, url: object) -> Iterator[Issue]:
    place = _PLACE + "/tokenUrl"
    if isinstance(url, str):
        yield from _absolute(document, place, url)
    if not isinstance(url, dict) or not _is_choice(url):
        return
    name, urls = url.get("setting"), url["urls"]
    if not isinstance(name, str) or not isinstance(urls, dict):
        message = (
            "must have a setting and its urls, such as {setting: region, urls: {eu: https://...}}"
        )
        yield document.issue(place, message)
        return
    for choice, one in urls.items():
        if isinstance(one, str):
            yield from _absolute(document, place + pointer("urls", choice), one)
    yield from _choice(document, place, name, urls)


def _choice(
    document: Document, place: str, name: str, urls: Mapping[str, object]
) -> Iterator[Issue]:
    """Yield what does not fit between URLs and the setting that chooses one of them."""
    settings = document.data["settings"]
    if name not in settings["properties"]:
        yield document.issue(place + "/setting", _unknown(name, settings["properties"]))
        return
    spec = settings["properties"][name]
    choices = [str(one) for one in spec.get("enum", ())]
    if not choices:
        message = f"is {name}, which may be anything: give that setting an enum"
        yield document.issue(place + "/setting", message)
        return
    if name not in settings.get("required", ()) and "default" not in spec:
        message = f"is {name}, which may be missing: require it, or give it a default"
        yield document.issue(place + "/setting", message)
    for choice in choices:
        if choice not in urls:
            yield document.issue(place + "/urls", f"has no URL for {choice!r}, a value of {name}")
    for choice in urls:
        if choice not in choices:
            message = f"{choice!r} is not a value of {name}: {', '.join(choices)}"
            message += did_you_mean(choice, choices)
            yield document.issue(place + pointer("urls", choice), message)


def _absolute(document: Document, place: str, url: str) -> Iterator[Issue]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        message = f"is {url!r}: expected a URL, such as https://api.example.com/oauth/token"
        yield document.issue(place, message)


def _unknown(name: str, settings: Collection[str]) -> str:
    listed = ", ".join(settings) or "none"
    return f"unknown setting {name!r}; known: {listed}{did_you_mean(name, settings)}"
