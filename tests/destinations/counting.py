"""A partner on this machine that counts usage, and the definition of a destination for it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

__all__ = ["KEY", "SETTINGS", "CountingPartner", "track", "write_counter"]

KEY: Final = "key_0123456789"


def SETTINGS(partner: CountingPartner) -> dict[str, str]:  # noqa: N802 - as the constant that it makes
    """Return the settings for a partner."""
    return {"apiKey": KEY, "endpoint": partner.url}


def _field(path: str, kind: str = "string") -> dict[str, Any]:
    return {"title": "T", "description": "D.", "type": kind, "default": {"@path": path}}


DESTINATION: Final[dict[str, Any]] = {
    "name": "Counter",
    "slug": "counter",
    "version": "1.0.0",
    "description": "Counts usage.",
    "settings": {
        "type": "object",
        "required": ["apiKey"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {"title": "K", "description": "K.", "type": "string", "format": "password"},
            "endpoint": {"title": "E", "description": "E.", "type": "string"},
        },
    },
    "authentication": {"scheme": "bearer", "fields": ["apiKey"], "test": "whoami"},
    "transport": {
        "baseUrl": {"@path": "$.settings.endpoint"},
        "auth": {"bearer": "apiKey"},
        "timeout": {"connect": 2, "read": 2, "total": 4},
        "concurrency": 3,
    },
    "requests": {
        "whoami": {
            "description": "Tests the key.",
            "idempotent": True,
            "rest": {"method": "GET", "path": ["me"]},
        },
        "send": {
            "description": "Sends usage.",
            "idempotent": False,
            "rest": {
                "method": "POST",
                "path": ["events"],
                "json": {
                    "id": {"@path": "$.event.messageId"},
                    "user": {"@path": "$.payload.customer"},
                    "meter": {"@path": "$.payload.meter"},
                    "amount": {"@path": "$.payload.amount"},
                    "at": {"@path": "$.event.timestamp"},
                },
            },
            "errorRules": [
                {
                    "when": {"status": 409},
                    "class": "conflict",
                    "retryable": False,
                    "nothingApplied": True,
                    "repeatMeans": "delivered",
                },
                {
                    "when": {"status": 422},
                    "class": "invalid",
                    "retryable": False,
                    "nothingApplied": True,
                },
            ],
        },
        "meters": {
            "description": "Lists meters.",
            "idempotent": True,
            "rest": {
                "method": "GET",
                "path": ["meters"],
                "query": {"page": {"@path": "$.page"}},
            },
        },
        "sums": {
            "description": "Shows what was counted.",
            "idempotent": True,
            "rest": {
                "method": "GET",
                "path": ["meters", {"@path": "$.answers.meter.id"}, "usage"],
                "query": {
                    "user": {"@path": "$.usage.user"},
                    "from": {"@path": "$.usage.from"},
                    "to": {"@convert": {"value": {"@path": "$.usage.to"}, "to": "milliseconds"}},
                    "page": {"@path": "$.page"},
                },
            },
            "answers": [{"name": "unknown_user", "when": {"status": 404}}],
        },
    },
    "presets": [{"name": "Usage", "partnerAction": "count", "subscribe": 'type = "track"'}],
}

ACTION: Final[dict[str, Any]] = {
    "slug": "count",
    "title": "Count",
    "description": "Count usage.",
    "defaultSubscription": 'type = "track"',
    "fields": {
        "type": "object",
        "required": ["customer", "meter"],
        "additionalProperties": False,
        "properties": {
            "customer": _field("$.properties.customer"),
            "meter": _field("$.event"),
            "amount": {**_field("$.properties.amount"), "type": ["string", "number"]},
        },
    },
    "perform": {"request": "send"},
    "usage": {
        "user": {"@path": "$.payload.customer"},
        "feature": {"@path": "$.payload.meter"},
        "amount": {"@path": "$.payload.amount"},
        "ask": {
            "steps": [
                {
                    "name": "meter",
                    "request": "meters",
                    "find": {
                        "items": {"@path": "$.answer.data"},
                        "where": {"event.name": {"@path": "$.usage.feature"}},
                        "next": {"@path": "$.answer.next"},
                    },
                },
                {"name": "sums", "request": "sums"},
            ],
            "shown": {"@arrayPath": ["$.answers.sums.data", {"@path": "$.value"}]},
            "next": {"@path": "$.answer.next"},
            "nothing": ["unknown_user"],
        },
    },
}


def write_counter(
    folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], object] | None = None
) -> Path:
    """Write the definition to ``counter`` in a folder, changed by a function of both documents."""
    destination, action = (json.loads(json.dumps(one)) for one in (DESTINATION, ACTION))
    if change is not None:
        change(destination, action)
    place = folder / "counter"
    place.mkdir(exist_ok=True)
    for name, document in (("destination", destination), ("count", action)):
        text = yaml.safe_dump(document, sort_keys=False)
        (place / f"{name}.yaml").write_text(text, "utf-8")
    return place


def track(identity: str, user: str, amount: Any = 1, **more: Any) -> dict[str, Any]:
    """Return an event of 2026-03-05, 14:30, unless ``at`` says otherwise."""
    at = more.pop("at", "2026-03-05T14:30:00.000Z")
    customer = more.pop("customer", user)
    return {
        "type": "track",
        "event": more.pop("meter", "calls"),
        "messageId": identity,
        "userId": user,
        "timestamp": at,
        "properties": {"amount": amount, "customer": customer},
        **more,
    }


class CountingPartner:
    """Counts what comes, each event once by its id, and shows sums in pages.

    ``answers`` are statuses for the next events, in turn: 0 counts and drops the connection. A
    status in ``shows`` is the answer about a user, or the whole text if it is one. ``extra`` is
    added to what a user is shown to have. ``asked`` counts requests by their path. The next
    ``busy`` questions are answered with 429.
    """

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.answers: list[int] = []
        self.shows: dict[str, Any] = {}
        self.extra: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.queries: list[Mapping[str, str]] = []
        self.busy = 0
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._reply(*partner.take(json.loads(body)))

            def do_GET(self) -> None:
                self._reply(*partner.show(self.path))

            def _reply(self, status: int, body: Any) -> None:
                if not status:
                    self.close_connection = True
                    return
                is_text = isinstance(body, str)
                data = body.encode() if is_text else json.dumps(body).encode()
                self.send_response(status)
                kind = "text/html" if is_text else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, event: dict[str, Any]) -> tuple[int, Any]:
        """Count an event, or refuse it."""
        status = self.answers.pop(0) if self.answers else 200
        if status in {0, 200}:
            self.events.setdefault(event["id"], event)
        return status, {}

    def show(self, path: str) -> tuple[int, Any]:
        """Show meters or sums."""
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        names = [unquote(one) for one in parts.path.split("/")[1:]]
        self.asked["/".join(names)] += 1
        if self.busy:
            self.busy -= 1
            return 429, {}
        if names == ["meters"]:
            return 200, self._meters(int(query.get("page", 1)))
        if len(names) == 3:
            self.queries.append(query)
            return self._sums(names[1], query)
        return 200, {}

    def _meters(self, page: int) -> Any:
        """Show two meters, each of its own event; those of ``calls`` are on page 2."""
        all_of = [{"id": "m0", "event": {"name": "none"}}, {"id": "m1", "event": {"name": "GB"}}]
        if page == 1:
            return {"data": all_of, "next": 2}
        return {"data": [{"id": "m2", "event": {"name": ["calls", "other"]}}]}

    def _sums(self, meter: str, query: Mapping[str, str]) -> tuple[int, Any]:
        user = query["user"]
        shown = self.shows.get(user)
        if shown is not None:
            return (shown, {}) if isinstance(shown, int) else (200, shown)
        names = {"m1": {"GB"}, "m2": {"calls", "other"}}[meter]
        values = [
            str(one["amount"])
            for one in self.events.values()
            if one["user"] == user
            and one["meter"] in names
            and datetime.fromisoformat(query["from"]) <= datetime.fromisoformat(one["at"])
            and datetime.fromisoformat(one["at"]).timestamp() * 1000 < int(query["to"])
        ]
        values += [self.extra[user]] if user in self.extra else []
        if not values:
            return 404, {}
        page = int(query.get("page", 0))
        rows = [{"value": json.loads(one)} for one in values[page : page + 1]]
        more = {"next": page + 1} if page + 1 < len(values) else {}
        return 200, {"data": rows, **more}
