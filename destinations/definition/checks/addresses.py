"""Check URLs and paths: what an event could choose, and what may be missing from them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.definition.document import Document
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
from destinations.errors import Issue, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["address_issues", "open_urls", "values_in_addresses"]


def address_issues(document: Document) -> Iterator[Issue]:
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


def open_urls(document: Document) -> Iterator[Issue]:
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


_BASE_URL = "/transport/baseUrl"


_OF_TOKENS = "/authentication/oauth2/tokenUrl"


_FIXED: Final = (_BASE_URL, _OF_TOKENS)
"""Addresses that are the same for all events."""


def values_in_addresses(document: Document) -> Iterator[Issue]:
    """Yield the URLs that contain values of events: these are always encoded."""
    for place, value in _address_mappings(document.data):
        if place not in _FIXED and holds_values(read_address(value)):
            yield document.issue(place, f"must not hold a value of the event: {_INSTEAD}")


_INSTEAD = "write transport.baseUrl and rest.path, a list; each item becomes one encoded segment"


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
