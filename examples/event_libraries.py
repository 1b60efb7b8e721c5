"""What Segment's libraries put around a call: the context, the ids and the times of an event.

The six shapes follow the public documentation of the libraries' common fields. Addresses are from
the ranges kept for documentation (RFC 5737).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

__all__ = ["LIBRARIES", "PLAIN_LIBRARY", "Event", "Library", "encode"]

Event = dict[str, object]

_START: Final = datetime(2022, 10, 3, tzinfo=UTC)
_LOCALES: Final = ("en-US", "en-GB", "de-DE", "fr-FR", "ja-JP", "pt-BR")
_ZONES: Final = ("Europe/London", "America/New_York", "Asia/Tokyo", "Europe/Berlin")
_PAGES: Final = (
    ("/", "Home"),
    ("/pricing", "Pricing"),
    ("/docs/größe", "Größe und Gewicht"),
    ("/account", "Account"),
)
_BROWSERS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; rv:105.0) Gecko/20100101 Firefox/105.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:105.0) Gecko/20100101 Firefox/105.0",
)


@dataclass(frozen=True, slots=True)
class Library:
    """One sender of events.

    ``message_id`` makes an id from random text, None for a sender that leaves it out. ``escapes``:
    whether non-ASCII text is written as escapes; ``separators`` as :func:`json.dumps` has them.
    """

    name: str
    version: str
    channel: str
    context: Callable[[Random], Event]
    message_id: Callable[[str], str] | None
    anonymous: bool
    escapes: bool = False
    separators: tuple[str, str] = (",", ":")

    def envelope(self, rng: Random, milliseconds: int) -> Event:
        """All of an event but the call itself, made ``milliseconds`` after the file's start."""
        sent = _START + timedelta(milliseconds=milliseconds)
        event: Event = {
            "channel": self.channel,
            "context": {
                "library": {"name": self.name, "version": self.version},
                **self.context(rng),
            },
            "integrations": {},
            "originalTimestamp": _time(sent),
            "receivedAt": _time(sent + timedelta(milliseconds=rng.randrange(200, 900))),
            "sentAt": _time(sent + timedelta(milliseconds=rng.randrange(1, 150))),
            "timestamp": _time(sent),
            "version": 2,
        }
        if self.message_id is not None:
            event["messageId"] = self.message_id(_uuid(rng))
        if self.anonymous:
            event["anonymousId"] = _uuid(rng)
        return event


def encode(event: Mapping[str, object], library: Library) -> bytes:
    """Return an event as the library writes it on one line."""
    text = json.dumps(event, ensure_ascii=library.escapes, separators=library.separators)
    return text.encode()


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _browser(rng: Random) -> Event:
    path, title = rng.choice(_PAGES)
    context: Event = {
        "ip": f"203.0.113.{rng.randrange(1, 255)}",
        "locale": rng.choice(_LOCALES),
        "page": {
            "path": path,
            "referrer": "",
            "search": "",
            "title": title,
            "url": f"https://www.example.com{path}",
        },
        "userAgent": rng.choice(_BROWSERS),
    }
    if rng.random() < 0.2:
        context["campaign"] = {"name": "autumn", "source": "newsletter", "medium": "email"}
    return context


def _server(_rng: Random) -> Event:
    return {}


def _http(rng: Random) -> Event:
    return {"ip": f"192.0.2.{rng.randrange(1, 255)}"} if rng.random() < 0.5 else {}


def _phone(rng: Random, device: Event, system: Event, screen: Event) -> Event:
    return {
        "app": {
            "name": "Example",
            "namespace": "com.example.app",
            "version": "3.2.0",
            "build": "310",
        },
        "device": {"id": _uuid(rng), **device},
        "ip": f"198.51.100.{rng.randrange(1, 255)}",
        "locale": rng.choice(_LOCALES),
        "network": {"bluetooth": False, "cellular": rng.random() < 0.5, "wifi": True},
        "os": system,
        "screen": screen,
        "timezone": rng.choice(_ZONES),
    }


def _ios(rng: Random) -> Event:
    return _phone(
        rng,
        {"manufacturer": "Apple", "model": "iPhone14,5", "type": "ios", "adTrackingEnabled": False},
        {"name": "iOS", "version": "16.0.2"},
        {"width": 390, "height": 844},
    )


def _android(rng: Random) -> Event:
    return {
        **_phone(
            rng,
            {"manufacturer": "Google", "model": "Pixel 6", "name": "oriole", "type": "android"},
            {"name": "Android", "version": "13"},
            {"density": 2.625, "height": 2274, "width": 1080},
        ),
        "userAgent": "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TP1A.220624.021)",
    }


LIBRARIES: Final = (
    Library(
        "analytics.js", "next-1.46.0", "client", _browser, "ajs-next-{}".format, anonymous=True
    ),
    Library("analytics-node", "6.2.0", "server", _server, "node-{}".format, anonymous=False),
    Library(
        "analytics-python",
        "2.2.0",
        "server",
        _server,
        str,
        anonymous=False,
        escapes=True,
        separators=(", ", ": "),
    ),
    Library("analytics-ios", "4.1.6", "mobile", _ios, str.upper, anonymous=True),
    Library("analytics-android", "4.10.4", "mobile", _android, str, anonymous=True),
    Library("http", "1", "server", _http, None, anonymous=False),
)

PLAIN_LIBRARY: Final = LIBRARIES[1]
