"""Make the requests that Segment sends to an endpoint, and wrong ones."""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from urllib.parse import quote, urlsplit

from destinations.clock import unix_time
from destinations.http.answer import HttpRequest
from destinations.secrets import Secret, reveal
from destinations.segment.event import MAX_EVENT_BYTES

__all__ = ["CALLS", "Endpoint", "Samples", "encoded_settings", "new_mark"]

CALLS: Final = ("track", "identify", "page", "screen", "group", "alias")
"""The six calls of Segment's Spec, the most frequent ones first."""

_JSON: Final = "application/json"
_VENDOR_JSON: Final = "application/vnd.segment+json"

_ANSWER_BYTES: Final = 64 * 1024
"""The most bytes of an answer that are read: a message is far shorter."""

_MORE_THAN_LARGEST: Final = MAX_EVENT_BYTES * 5 // 4
_HUGE: Final = 2 * 1024 * 1024

_PREFIX: Final = re.compile(r"[A-Za-z]{2,4}_(?:test|live|prod)_")
"""The beginning that all keys of a partner share."""

_CLASSES: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits)

_KEY_PARAMETERS: Final = ("apiKey", "api_key", "key", "token", "writeKey")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint for events: its URL, a customer's key, and the customer's further settings.

    Without a ``key`` only requests that need none are made. ``settings`` are sent as
    ``X-Segment-Settings``; None if the destination has no other setting than its key.
    """

    url: str
    key: Secret | None = None
    settings: Mapping[str, Any] | None = None


def new_mark() -> str:
    """Return a new mark, by which the events of a run are found in the partner's account."""
    return f"portal-check-{secrets.token_hex(4)}"


class Samples:
    """The events and requests of one run; ``mark`` is in the ids of all of its events.

    ``call`` is a call that the endpoint accepts, as far as one is known.
    """

    def __init__(self, endpoint: Endpoint, mark: str) -> None:
        self.call = CALLS[0]
        self._endpoint = endpoint
        self._mark = mark
        self._numbers = count(1)
        self._wrong_key = _wrong_key(endpoint.key)

    @property
    def has_settings(self) -> bool:
        """Whether each request has the customer's settings."""
        return self._endpoint.settings is not None

    def event(self, call: str | None = None, **changes: Any) -> dict[str, Any]:
        """Return a new event as Segment sends it; a change to None leaves its key out."""
        now = datetime.fromtimestamp(unix_time(), UTC).isoformat(timespec="milliseconds")
        at = now.replace("+00:00", "Z")
        call = call or self.call
        event = {
            "type": call,
            "messageId": f"{self._mark}-{next(self._numbers)}",
            "anonymousId": f"{self._mark}-anonymous",
            "userId": self._mark,
            "timestamp": at,
            "originalTimestamp": at,
            "sentAt": at,
            "receivedAt": at,
            "channel": "server",
            "version": 2,
            "context": {"library": {"name": "portal-check", "version": "1"}},
            "integrations": {},
            **self._specific(call),
            **changes,
        }
        return {name: value for name, value in event.items() if value is not None}

    def _specific(self, call: str) -> Mapping[str, Any]:
        """Return what only events of this call have."""
        match call:
            case "track":
                return {"event": "Portal Check", "properties": {"check": self._mark}}
            case "identify":
                return {"traits": {"name": "Portal Check", "email": f"{self._mark}@example.com"}}
            case "page" | "screen":
                return {"name": "Portal Check", "properties": {"check": self._mark}}
            case "group":
                return {"groupId": f"{self._mark}-group", "traits": {"name": "Portal Check"}}
            case "alias":
                return {"previousId": f"{self._mark}-previous"}
        return {}

    def post(self, body: object, **headers: str | None) -> HttpRequest:
        """Return a request with the key; ``body`` is sent as JSON unless it is bytes.

        ``Content_Type="..."`` sets the header of this name, None leaves it out.
        """
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request("POST", self._endpoint.url, data, named)

    def get(self) -> HttpRequest:
        """Return a request without a body, and with the key."""
        return self._request("GET", self._endpoint.url, None, {"Content-Type": None})

    def with_key_in_url(self, body: object) -> HttpRequest:
        """Return a request with the key in its URL, under the names that are usual for it."""
        key = quote(reveal(self._endpoint.key or ""), safe="")
        query = "&".join(f"{name}={key}" for name in _KEY_PARAMETERS)
        parts = urlsplit(self._endpoint.url)
        query = f"{parts.query}&{query}" if parts.query else query
        url = parts._replace(query=query).geturl()
        return self._request("POST", url, json.dumps(body).encode(), {"Authorization": None})

    def with_wrong_key(self, body: object) -> HttpRequest:
        """Return a request with a key of the same form as the right one."""
        return self.post(body, Authorization=_basic(self._wrong_key))

    def with_settings(self, body: object, settings: str) -> HttpRequest:
        """Return a request with this ``X-Segment-Settings``."""
        return self.post(body, X_Segment_Settings=settings)

    def with_vendor_type(self, body: object) -> HttpRequest:
        """Return a request with Segment's own type of JSON."""
        return self.post(body, Content_Type=_VENDOR_JSON)

    def larger(self) -> dict[str, Any]:
        """Return an event that is a quarter larger than the largest that Segment takes."""
        return self._padded(_MORE_THAN_LARGEST)

    def huge(self) -> dict[str, Any]:
        """Return an event of 2 MiB."""
        return self._padded(_HUGE)

    def _padded(self, size: int) -> dict[str, Any]:
        event = self.event()
        event["context"] = {**event["context"], "padding": ""}
        event["context"]["padding"] = "x" * (size - len(json.dumps(event)))
        return event

    def _request(
        self, method: str, url: str, body: bytes | None, changes: Mapping[str, str | None]
    ) -> HttpRequest:
        settings = self._endpoint.settings
        headers: dict[str, str | None] = {
            "User-Agent": "Segment.io/1.0",
            "Content-Type": _JSON,
            "Authorization": None if self._endpoint.key is None else _basic(self._endpoint.key),
            "X-Segment-Settings": None if settings is None else encoded_settings(settings),
            **changes,
        }
        sent = {name: value for name, value in headers.items() if value is not None}
        return HttpRequest(method, url, sent, body, answer_bytes=_ANSWER_BYTES)


def encoded_settings(settings: object) -> str:
    """Return settings as ``X-Segment-Settings`` has them: JSON in Base64."""
    return base64.b64encode(json.dumps(settings).encode()).decode()


def _basic(key: str) -> str:
    """Return the header ``Authorization`` with a key as Segment sends it: as a user name."""
    return f"Basic {base64.b64encode(reveal(key).encode() + b':').decode()}"


def _wrong_key(key: Secret | None) -> str:
    """Return another key of the same form, with the same prefix if it has one of the usual ones."""
    value = reveal(key or "")
    prefix = _PREFIX.match(value)
    start = prefix.end() if prefix else 0
    made = "".join(map(_of_same_class, value[start:]))
    if made == value[start:]:  # chance, or a key without a letter or a digit
        made += secrets.token_hex(16)
    return value[:start] + made


def _of_same_class(character: str) -> str:
    found = next((one for one in _CLASSES if character in one), None)
    return character if found is None else secrets.choice(found)
