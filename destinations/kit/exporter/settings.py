"""Tell the settings that are none at Segment, and put the defaults of some in their places.

The catalog does not ask for a setting with ``x-catalog: false``, so its default is a constant of
the code. What a customer authorizes, Segment keeps itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from destinations.definition import DestinationDefinition, RequestDefinition, RestDefinition
from destinations.definition.reads import Found, Shape, unreadable
from destinations.definition.url_pieces import chosen_urls
from destinations.segment.javascript.printing import to_string
from destinations.segment.json_pointer import pointer, with_value
from destinations.segment.mapping.parts import split
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.templates import split_template

__all__ = [
    "constants",
    "has_default",
    "kept_by_segment",
    "missing_there",
    "settings_shape",
    "unreadable_settings",
    "with_constants",
]

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]+")
"""Texts of which a part of a path is the same, whether the author or a setting says it."""


def has_default(spec: Mapping[str, Any]) -> bool:
    """Return whether a setting without a value has one all the same; empty text is none."""
    default = spec.get("default")
    return default is not None and default != ""


def kept_by_segment(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings that Segment keeps itself: the credentials of what customers authorize.

    With its own credentials (``clientCredentials``), a client is entered in the form as any other.
    """
    oauth2 = definition.oauth2
    is_authorized = oauth2 is not None and oauth2.grant == "refreshToken"
    return frozenset(oauth2.credentials) if oauth2 is not None and is_authorized else frozenset()


def constants(definition: DestinationDefinition) -> Mapping[str, Any]:
    """Return the defaults of the settings that the catalog does not ask for."""
    return {
        key: one["default"]
        for key, one in definition.settings["properties"].items()
        if not one.get("x-catalog", True) and "default" in one
    }


def missing_there(definition: DestinationDefinition) -> Mapping[str, str]:
    """Return the settings that are none at Segment, each with why it cannot be read there."""
    known = constants(definition)
    found = {}
    for key, one in definition.settings["properties"].items():
        if one.get("x-catalog", True):
            continue
        found[key] = f"reads the setting {key}, which Segment's form has not (x-catalog: false)" + (
            ": its default can stand for it only in @path and in templates"
            if key in known
            else ", and which has no default: give it one"
        )
    for key in kept_by_segment(definition):
        found[key] = f"reads the setting {key}, which Segment keeps itself and gives to no request"
    return found


def settings_shape(definition: DestinationDefinition) -> Shape:
    """Return the settings that code can read there."""
    missing = missing_there(definition)
    keys = [key for key in definition.settings["properties"] if key not in missing]
    names = ", ".join(sorted(missing))
    whole = f"reads all settings, and Segment has no {names}: name each that it needs"
    return Shape("setting", dict.fromkeys(keys), elsewhere=missing, whole=whole if missing else "")


def unreadable_settings(source: object, place: str, roots: Shape) -> Iterator[Found]:
    """Yield what a mapping, or the choice of a URL by a setting, reads and is not there."""
    chosen = chosen_urls(source)
    if chosen is None:
        yield from unreadable(source, place, roots)
        return
    setting, urls = chosen
    issue = roots.issue(("settings", setting))
    if issue is not None:
        yield f"{place}/setting", issue
    for key, one in urls.items():
        yield from unreadable(one, place + pointer("urls", key), roots)


def with_constants(definition: DestinationDefinition) -> DestinationDefinition:
    """Return a definition whose requests have `constants` in the places of their settings."""
    known = constants(definition)
    if not known:
        return definition
    constant = _Constants(known)
    authentication = definition.authentication
    if authentication is not None and authentication.oauth2 is not None:
        oauth2 = authentication.oauth2
        parameters = {key: constant.of(one) for key, one in oauth2.parameters.items()}
        oauth2 = replace(oauth2, token_url=constant.of_url(oauth2.token_url), parameters=parameters)
        authentication = replace(authentication, oauth2=oauth2)
    transport = definition.transport
    return replace(
        definition,
        authentication=authentication,
        transport=replace(
            transport,
            base_url=constant.of_url(transport.base_url),
            headers=constant.of(transport.headers),
        ),
        requests={key: _request(one, constant) for key, one in definition.requests.items()},
    )


def _request(request: RequestDefinition, constant: _Constants) -> RequestDefinition:
    call, key = request.call, request.idempotency_key
    if not isinstance(call, RestDefinition):
        return request
    sign = call.sign
    return replace(
        request,
        call=replace(
            call,
            url=constant.of_url(call.url),
            path=tuple(map(constant.of_segment, call.path)),
            query=constant.of(call.query),
            headers=constant.of(call.headers),
            json=constant.of(call.json),
            form=constant.of(call.form),
            text=constant.of(call.text),
            ndjson=tuple(map(constant.of, call.ndjson)),
            sign=None if sign is None else replace(sign, secret=constant.of(sign.secret)),
            batch_json=constant.of(call.batch_json),
        ),
        idempotency_key=None if key is None else replace(key, source=constant.of(key.source)),
    )


class _Constants:
    """Puts constants into mappings; where that cannot be done, a mapping stays as it is."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def of(self, mapping: Any) -> Any:
        """Return a mapping of a request."""
        found = split(mapping)
        if found is None:
            if isinstance(mapping, Mapping):
                return {key: self.of(one) for key, one in mapping.items()}
            if isinstance(mapping, list | tuple):
                return [self.of(one) for one in mapping]
            return mapping
        given = mapping.get(found.directive.name)
        if found.directive.name == "@path" and isinstance(given, str):
            name = self._name(given)
            return mapping if name is None else self._known[name]
        if found.directive.name == "@template" and isinstance(given, str):
            return self._template(mapping, given)
        for part in found.parts:
            if part.on == "data":
                mapping = with_value(mapping, part.place, self.of(part.value))
        return mapping

    def of_url(self, source: Any) -> Any:
        """Return the mapping of a URL, or the choice of one by a setting."""
        chosen = chosen_urls(source)
        if chosen is None:
            return self.of(source)
        setting, urls = chosen
        if setting not in self._known:
            return {"setting": setting, "urls": {key: self.of(one) for key, one in urls.items()}}
        return self.of(urls.get(to_string(self._known[setting]), source))

    def of_segment(self, item: Any) -> Any:
        """Return a segment of a path; what the author writes is encoded less than a value."""
        found = self.of(item)
        is_same = item == found or not isinstance(found, str) or _PLAIN.fullmatch(found)
        return found if is_same else item

    def _name(self, path: str) -> str | None:
        keys = split_path(strip_root(path))
        is_known = len(keys) == 2 and keys[0] == "settings" and keys[1] in self._known
        return keys[1] if is_known else None

    def _template(self, mapping: Mapping[str, Any], template: str) -> Any:
        pieces = split_template(template)
        names = [self._name(path) for path in pieces[1::2]]
        if not any(names):
            return mapping
        written = [
            "{{" + path + "}}" if name is None else to_string(self._known[name])
            for path, name in zip(pieces[1::2], names, strict=True)
        ]
        pieces[1::2] = written
        text = "".join(pieces)
        return text if all(names) else {"@template": text}
