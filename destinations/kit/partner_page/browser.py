"""Make the events that analytics.js sends for the calls of a page, in one browser.

As in a browser, an Identify call is remembered: later calls carry its ``userId``, and traits of the
same user add up (analytics.js, "Identify" and "User" in its documentation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from destinations.kit.partner_page.calls import Call, SampleError
from destinations.segment.event import Event

__all__ = ["SAMPLE_SECONDS", "Browser"]

_ANONYMOUS: Final = "00000000-0000-4000-8000-000000000000"
_TIME: Final = "2024-01-01T00:00:00.000Z"
SAMPLE_SECONDS: Final = datetime.fromisoformat(_TIME).timestamp()
"""When samples happen, in seconds since 1970."""
_CONTEXT: Final[Mapping[str, Any]] = {
    "library": {"name": "analytics.js", "version": "npm:next-1.0.0"},
    "page": {
        "path": "/",
        "referrer": "",
        "search": "",
        "title": "Example",
        "url": "https://www.example.com/",
    },
    "userAgent": "Mozilla/5.0",
    "locale": "en-US",
}


class Browser:
    """A visitor's browser with analytics.js; ids and times are fixed, so that pages do not change.

    ``user`` is the id of a visitor who was identified before, None for an anonymous one.
    """

    def __init__(self, user: str | None = None) -> None:
        self._user = user
        self._traits: dict[str, Any] = {}
        self._sent = 0

    def send(self, call: Call) -> Event:
        """Return the event of ``call``; raises `SampleError` if analytics.js would refuse it."""
        makers: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "identify": self._identify,
            "track": _track,
            "page": _page,
            "screen": _page,
            "group": _group,
            "alias": self._alias,
        }
        own = makers[call.method](call)
        self._sent += 1
        event: Event = {
            "type": call.method,
            "messageId": f"ajs-next-{self._sent:032d}",
            "timestamp": _TIME,
            "anonymousId": _ANONYMOUS,
            "userId": self._user,
            "context": dict(_CONTEXT),
            "integrations": {},
        }
        return {key: value for key, value in {**event, **own}.items() if value is not None}

    def _identify(self, call: Call) -> dict[str, Any]:
        values = list(call.arguments)
        user = _text_id(values.pop(0)) if values and not isinstance(values[0], dict) else None
        traits, options = _objects(call, values)
        if user is None or self._user in {None, user}:
            self._traits = {**self._traits, **traits}
        else:
            self._traits = traits
        self._user = user or self._user
        return {"traits": dict(self._traits), **_options(options)}

    def _alias(self, call: Call) -> dict[str, Any]:
        if not call.arguments:
            raise SampleError("alias needs the new id of the user", call.line)
        user, *rest = map(_text_id, call.arguments[:2])
        return {"userId": user, "previousId": rest[0] if rest else self._user or _ANONYMOUS}


def _track(call: Call) -> dict[str, Any]:
    if not call.arguments or not isinstance(call.arguments[0], str) or not call.arguments[0]:
        raise SampleError("track needs the name of an event as its first argument", call.line)
    properties, options = _objects(call, list(call.arguments[1:]))
    return {"event": call.arguments[0], "properties": properties, **_options(options)}


def _page(call: Call) -> dict[str, Any]:
    """Return a page or screen call: ([category], [name], [properties], [options])."""
    texts = [value for value in call.arguments[:2] if isinstance(value, str)]
    properties, options = _objects(call, list(call.arguments[len(texts) :]))
    category, name = (texts[0], texts[1]) if len(texts) == 2 else (None, *texts, None)[:2]
    return {"category": category, "name": name, "properties": properties, **_options(options)}


def _group(call: Call) -> dict[str, Any]:
    if not call.arguments or isinstance(call.arguments[0], dict):
        raise SampleError("group needs the id of the group as its first argument", call.line)
    traits, options = _objects(call, list(call.arguments[1:]))
    return {"groupId": _text_id(call.arguments[0]), "traits": traits, **_options(options)}


def _objects(call: Call, values: list[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the properties or traits, and the options: the two objects at a call's end."""
    found = [{} if value is None else value for value in values]
    if len(found) > 2 or any(not isinstance(value, dict) for value in found):
        raise SampleError(
            f"after its names and ids, {call.method} takes an object of values and one of options",
            call.line,
        )
    first, second = [*found, {}, {}][:2]
    return dict(first), dict(second)


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an event that options set; unknown keys go into its context."""
    top = {"integrations", "anonymousId", "timestamp", "userId"}
    own = {key: value for key, value in options.items() if key in top}
    context = options.get("context", {})
    more = {key: value for key, value in options.items() if key not in {*top, "context"}}
    return {**own, "context": {**_CONTEXT, **context, **more}} if context or more else own


def _text_id(value: Any) -> str | None:
    """Return an id as text, as analytics.js does with numbers."""
    return None if value is None else str(value)
