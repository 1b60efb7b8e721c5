"""Partners that count what is sent to them, and answer about it as their documentation says.

Each takes usage in its own form, recognises what it has, refuses a wrong key and questions that its
documentation refuses, and forgets or repeats an event if a test says so.
"""

from __future__ import annotations

import abc
import base64
import json
import threading
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

__all__ = ["KEY", "PARTNERS", "Counted", "M3ter", "Metronome", "Partner", "milliseconds"]

KEY: Final = "sk_test_0123456789"

Reply = tuple[int, Any]


def milliseconds(text: str) -> int:
    """Return a time with its zone in milliseconds since 1970."""
    at = datetime.fromisoformat(text)
    assert at.tzinfo is not None, f"a time without a zone: {text}"
    return round(at.timestamp() * 1_000)


def _iso(at: int) -> str:
    seconds = datetime.fromtimestamp(at // 1_000, UTC)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{at % 1_000:03}Z"


@dataclass(frozen=True)
class Counted:
    """An event that counts: ``kind`` is its name, ``at`` its time in milliseconds since 1970."""

    id: str
    user: str
    kind: str
    at: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request; ``body`` is that of JSON, or the fields of a form."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, list[str]]
    body: Any

    def one(self, name: str, default: str | None = None) -> str:
        """Return a parameter of the query, which comes once."""
        found = self.query.get(name, [] if default is None else [default])
        assert len(found) == 1, f"{name} comes {len(found)} times"
        return found[0]


class Partner(abc.ABC):
    """A partner on a port of this machine."""

    slug: ClassVar[str]

    def __init__(self) -> None:
        self.events: list[Counted] = []
        self.known: set[object] = set()
        self.asked: list[Asked] = []
        self.broken: list[str] = []
        self.key = KEY
        self._lock = threading.Lock()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("content-length", 0))
                status, answer = partner.serve(
                    self.command, self.path, self.headers, self.rfile.read(size)
                )
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings with which it is reached."""
        return {"apiKey": KEY, "endpoint": self.url}

    def lose(self, one: str) -> None:
        """Forget what was counted of an event."""
        before = len(self.events)
        self.events = [event for event in self.events if event.id != one]
        assert len(self.events) == before - 1

    def repeat(self, one: str) -> None:
        """Count an event again."""
        self.events += [event for event in self.events if event.id == one]

    def serve(self, method: str, url: str, headers: Any, body: bytes) -> Reply:
        """Answer a request."""
        path, _, query = url.partition("?")
        segments = tuple(urllib.parse.unquote(one) for one in path.strip("/").split("/"))
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            read: Any = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        else:
            read = json.loads(body) if body else None
        parsed = urllib.parse.parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        asked = Asked(method, segments, parsed, read)
        with self._lock:
            if not self.is_allowed(headers.get("authorization", ""), segments):
                return 401, {"error": "unauthorized"}
            self.asked.append(asked)
            try:
                return self.answer(asked)
            except AssertionError as error:
                self.broken.append(f"{method} {url}: {error}")
                return 400, {"error": "see broken"}

    def is_allowed(self, authorization: str, path: Sequence[str]) -> bool:
        """Return whether a request has the key that is right at its path."""
        return bool(path) and authorization == f"Bearer {self.key}"

    @abc.abstractmethod
    def answer(self, asked: Asked) -> Reply:
        """Answer a request with the right key."""

    def count(self, key: object, event: Counted) -> None:
        """Count an event, unless one with this key was counted."""
        if key not in self.known:
            self.known.add(key)
            self.events.append(event)

    def within(self, user: str, kind: str, start: int, end: int) -> list[Counted]:
        """Return the events of a user from ``start`` on and before ``end``."""
        return [
            event
            for event in self.events
            if (event.user, event.kind) == (user, kind) and start <= event.at < end
        ]


def _added(events: Iterable[Counted], key: str | None) -> float | int:
    """Return how many events there are, or the sum of a value of them, as JSON has it."""
    found = list(events)
    if key is None:
        return len(found)
    values = [Decimal(str(event.values.get(key) or 0)) for event in found]
    amount = sum(values, Decimal())
    return int(amount) if amount == int(amount) else float(amount)


class OpenMeter(Partner):
    """CloudEvents; meters by slug, each with an event type; times in whole seconds."""

    slug = "openmeter"
    meters: ClassVar[Mapping[str, tuple[str, str, str | None]]] = {
        "requests_total": ("COUNT", "request", None),
        "tokens_total": ("SUM", "prompt", "tokens"),
        "slowest": ("MAX", "slow", "ms"),
    }

    @property
    def settings(self) -> Mapping[str, str]:
        return {"apiToken": KEY, "endpoint": self.url}

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "api", "v1", "events"):
                for one in asked.body:
                    at = milliseconds(one["time"]) // 1_000 * 1_000
                    event = Counted(one["id"], one["subject"], one["type"], at, one["data"])
                    self.count((one["source"], one["id"]), event)
                return 204, None
            case ("GET", "api", "v1", "meters"):
                return 200, [{"slug": slug} for slug in self.meters]
            case ("GET", "api", "v1", "meters", slug) if slug in self.meters:
                aggregation, kind, key = self.meters[slug]
                shown = {"id": f"01{slug}", "slug": slug, "eventType": kind}
                value = {} if key is None else {"valueProperty": f"$.{key}"}
                return 200, {**shown, "aggregation": aggregation, **value}
            case ("GET", "api", "v1", "meters", slug, "query") if slug in self.meters:
                return 200, self._query(slug, asked)
        return 404, {"status": 404, "title": "Not Found", "type": "about:blank"}

    def _query(self, slug: str, asked: Asked) -> Any:
        _, kind, key = self.meters[slug]
        start, end, user = asked.one("from"), asked.one("to"), asked.one("subject")
        found = self.within(user, kind, milliseconds(start), milliseconds(end))
        row: dict[str, Any] = {
            "value": _added(found, key),
            "windowStart": start,
            "windowEnd": end,
            "subject": user,
            "groupBy": {},
        }
        return {"from": start, "to": end, "data": [row] if found else []}


class Stripe(Partner):
    """Meter events as forms; meters on pages of two; summaries of whole minutes."""

    slug = "stripe-billing-meters"
    meters: ClassVar[Mapping[str, tuple[str, str]]] = {
        "mtr_1": ("storage", "last"),
        "mtr_2": ("seats", "count"),
        "mtr_3": ("api_requests", "sum"),
        # More than a page has, before the last one.
        **{f"mtr_spare_{at}": (f"spare_{at}", "sum") for at in range(100)},
        "mtr_4": ("tokens", "sum"),
    }

    @property
    def settings(self) -> Mapping[str, str]:
        return {"secretKey": KEY, "endpoint": self.url}

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "v1", "billing", "meter_events"):
                return self._create(asked.body)
            case ("GET", "v1", "billing", "meters"):
                return 200, self._meters(asked)
            case ("GET", "v1", "billing", "meters", meter, "event_summaries"):
                return self._summaries(meter, asked)
        return 404, {"error": {"type": "invalid_request_error"}}

    def _create(self, form: Mapping[str, str]) -> Reply:
        name, one = form["event_name"], form["identifier"]
        if name not in {kind for kind, _ in self.meters.values()}:
            return 400, {"error": {"type": "invalid_request_error", "message": "no active meter"}}
        values = {"value": int(form["payload[value]"])}
        user = form["payload[stripe_customer_id]"]
        self.count(one, Counted(one, user, name, int(form["timestamp"]) * 1_000, values))
        payload = {"stripe_customer_id": user, "value": form["payload[value]"]}
        return 200, {
            "object": "billing.meter_event",
            "event_name": name,
            "identifier": one,
            "payload": payload,
        }

    def _meters(self, asked: Asked) -> Any:
        assert asked.one("status", "active") == "active"
        limit = int(asked.one("limit", "10"))
        assert 1 <= limit <= 100
        ids = list(self.meters)
        first = ids.index(asked.one("starting_after")) + 1 if "starting_after" in asked.query else 0
        shown = [
            {
                "object": "billing.meter",
                "id": one,
                "event_name": self.meters[one][0],
                "default_aggregation": {"formula": self.meters[one][1]},
                "status": "active",
            }
            for one in ids[first : first + limit]
        ]
        return {"object": "list", "data": shown, "has_more": first + limit < len(ids)}

    def _summaries(self, meter: str, asked: Asked) -> Reply:
        start, end = int(asked.one("start_time")), int(asked.one("end_time"))
        if start % 60 or end % 60:
            return 400, {"error": {"message": "must be aligned with minute boundaries"}}
        kind, formula = self.meters[meter]
        assert formula == "sum"
        found = self.within(asked.one("customer"), kind, start * 1_000, end * 1_000)
        summary = {
            "object": "billing.meter_event_summary",
            "id": "mtrusg_1",
            "aggregated_value": _added(found, "value"),
            "start_time": start,
            "end_time": end,
            "meter": meter,
        }
        return 200, {"object": "list", "data": [summary] if found else [], "has_more": False}


class Lago(Partner):
    """Events in batches, one for each transaction ID; the list of events includes its end."""

    slug = "lago"

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "api", "v1", "events", "batch"):
                events = asked.body["events"]
                for one in events:
                    user, transaction = one["external_subscription_id"], one["transaction_id"]
                    at = int(one["timestamp"]) * 1_000
                    event = Counted(transaction, user, one["code"], at, one["properties"])
                    self.count((user, transaction), event)
                return 200, {"events": events}
            case ("GET", "api", "v1", "billable_metrics"):
                return 200, {"billable_metrics": [], "meta": {"total_count": 0}}
            case ("GET", "api", "v1", "events"):
                return 200, self._list(asked)
        return 404, {"status": 404, "error": "Not Found"}

    def _list(self, asked: Asked) -> Any:
        start, end = (milliseconds(asked.one(f"timestamp_{one}")) for one in ("from", "to"))
        user, code = asked.one("external_subscription_id"), asked.one("code")
        found = self.within(user, code, start, end + 1)
        size = int(asked.one("per_page", "100"))
        shown = [
            {
                "transaction_id": event.id,
                "external_subscription_id": event.user,
                "code": event.kind,
                "timestamp": _iso(event.at),
                "properties": event.values,
            }
            for event in found[:size]
        ]
        pages = -(-len(found) // size)
        return {
            "events": shown,
            "meta": {
                "current_page": min(1, pages),
                "next_page": 2 if pages > 1 else None,
                "prev_page": None,
                "total_pages": pages,
                "total_count": len(found),
            },
        }


class Orb(Partner):
    """Events by idempotency keys; quantities of the metrics that a subscription pays for."""

    slug = "orb"
    metrics: ClassVar[Mapping[str, tuple[str, str | None]]] = {
        "async_job_run": ("async_job_run", None),
        "Compute / time (ms)": ("compute", "compute_time_ms"),
    }

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "ingest"):
                for one in asked.body["events"]:
                    at, user = milliseconds(one["timestamp"]), one["external_customer_id"]
                    key, values = one["idempotency_key"], one["properties"]
                    self.count(key, Counted(key, user, one["event_name"], at, values))
                return 200, {"validation_failed": []}
            case ("GET", "ping"):
                return 200, {"response": "pong"}
            case ("GET", "subscriptions"):
                return 200, self._subscriptions(asked)
            case ("GET", "subscriptions", one, "usage"):
                return 200, self._usage(one, asked)
        return 404, {"status": 404, "type": "https://docs.withorb.com/reference/error-responses"}

    def _subscriptions(self, asked: Asked) -> Any:
        assert asked.one("status") == "active"
        user = asked.one("external_customer_id")
        users = {event.user for event in self.events}
        customer = {"id": "F6QMsK6UVsQRVGkE", "external_customer_id": user}
        one = {"id": f"of {user}", "status": "active", "customer": customer}
        data = [one] if user in users else []
        return {"data": data, "pagination_metadata": {"has_more": False, "next_cursor": None}}

    def _usage(self, one: str, asked: Asked) -> Any:
        start, end = asked.one("timeframe_start"), asked.one("timeframe_end")
        assert start.endswith("Z")
        assert end.endswith("Z")
        assert asked.one("view_mode") == "periodic"
        user = one.removeprefix("of ")
        data = []
        for name, (kind, key) in self.metrics.items():
            found = self.within(user, kind, milliseconds(start), milliseconds(end))
            window = {"timeframe_start": start, "timeframe_end": end}
            data.append(
                {
                    "billable_metric": {"id": f"id of {name}", "name": name},
                    "usage": [{"quantity": _added(found, key), **window}],
                    "view_mode": "periodic",
                }
            )
        return {"data": data}


class Metronome(Partner):
    """Events by transaction IDs; customers with aliases; metrics and usage on pages of one."""

    slug = "metronome"
    aliases: ClassVar[Mapping[str, str]] = {
        "team/1 ä@example.com": "d7abd0cd-4ae9-4db7-8676-e986a4ebd8dc",
    }
    direct: ClassVar[str] = "04ca7e72-4229-4a6e-ab11-9f7376fccbcb"
    metrics: ClassVar[Mapping[str, tuple[str, str, str | None]]] = {
        "Data transfer": ("m1", "transfer", "bytes"),
        "api_request": ("m2", "api_request", None),
        "storage": ("m3", "storage", None),
    }

    @property
    def settings(self) -> Mapping[str, str]:
        return {"apiToken": KEY, "endpoint": self.url}

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "v1", "ingest"):
                for one in asked.body:
                    user = self.aliases.get(one["customer_id"], one["customer_id"])
                    key, at = one["transaction_id"], milliseconds(one["timestamp"])
                    values = one.get("properties", {})
                    self.count(key, Counted(key, user, one["event_type"], at, values))
                return 200, None
            case ("GET", "v1", "customers"):
                found = self.aliases.get(asked.one("ingest_alias", ""))
                return 200, {"data": [{"id": found}] if found else [], "next_page": None}
            case ("GET", "v1", "customers", one, "billable-metrics"):
                return self._metrics(one, asked)
            case ("POST", "v1", "usage"):
                return self._usage(asked)
        return 404, {"message": "Not Found"}

    def _metrics(self, customer: str, asked: Asked) -> Reply:
        if customer not in {self.direct, *self.aliases.values()}:
            return 404, {"message": "Customer not found"}
        assert 1 <= int(asked.one("limit")) <= 100
        at = int(asked.one("next_page", "0"))
        name, (one, kind, key) = list(self.metrics.items())[at]
        shown = {
            "id": one,
            "name": name,
            "aggregation_type": "SUM" if key else "COUNT",
            "event_type_filter": {"in_values": [kind]},
        }
        following = str(at + 1) if at + 1 < len(self.metrics) else None
        return 200, {"data": [shown], "next_page": following}

    def _usage(self, asked: Asked) -> Reply:
        body = asked.body
        start, end = milliseconds(body["starting_on"]), milliseconds(body["ending_before"])
        if start % 86_400_000 or end % 86_400_000:
            return 400, {"message": "must be midnight"}
        assert body["window_size"] == "none"
        (customer,), (metric,) = body["customer_ids"], body["billable_metrics"]
        (kind, key) = next(
            (kind, key) for one, kind, key in self.metrics.values() if one == metric["id"]
        )
        # As if the usage came in three windows, one a page; the last one has none.
        events = self.within(customer, kind, start, end)
        pages = [events[::2], events[1::2], []]
        at = int(asked.one("next_page", "0"))
        found = pages[at]
        row: dict[str, Any] = {
            "customer_id": customer,
            "billable_metric_id": metric["id"],
            "start_timestamp": body["starting_on"],
            "end_timestamp": body["ending_before"],
            "value": _added(found, key) if found else None,
        }
        return 200, {"data": [row], "next_page": str(at + 1) if at + 1 < len(pages) else None}


class M3ter(Partner):
    """Measurements by UIDs; accounts and meters by codes; 20,000 measurements in an answer."""

    slug = "m3ter"
    meters: ClassVar[Mapping[str, str]] = {"api_requests": "meter-1", "storage": "meter-2"}
    most = 20_000

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "organizationId": "org-1",
            "accessKeyId": "access-1",
            "accessKeySecret": KEY,
            "endpoint": self.url,
            "ingestEndpoint": self.url,
        }

    def is_allowed(self, authorization: str, path: Sequence[str]) -> bool:
        if tuple(path) == ("oauth", "token"):
            basic = base64.b64encode(f"access-1:{self.key}".encode()).decode()
            return authorization == f"Basic {basic}"
        return authorization == f"Bearer token of {self.key}"

    def answer(self, asked: Asked) -> Reply:
        match (asked.method, *asked.path):
            case ("POST", "oauth", "token"):
                token = {"access_token": f"token of {self.key}", "token_type": "Bearer"}
                return 200, {**token, "expires_in": 18_000}
            case ("POST", "organizations", "org-1", "measurements"):
                for one in asked.body["measurements"]:
                    event = Counted(
                        one["uid"], one["account"], one["meter"], milliseconds(one["ts"]), {}
                    )
                    self.count(one["uid"], event)
                return 200, {"result": "accepted"}
            case ("GET", "organizations", "org-1", "accounts"):
                accounts = {event.user: f"id of {event.user}" for event in self.events}
                return 200, self._listed(accounts, asked)
            case ("GET", "organizations", "org-1", "meters"):
                return 200, self._listed(self.meters, asked)
            case ("POST", "organizations", "org-1", "usage", "query"):
                return 200, self._query(asked.body)
        return 404, {"message": "Not Found"}

    def _listed(self, known: Mapping[str, str], asked: Asked) -> Any:
        code = asked.one("codes", "")
        return {"data": [{"id": known[code], "code": code}] if code in known else []}

    def _query(self, body: Any) -> Any:
        (account,), (meter,) = body["accountIds"], body["meterIds"]
        assert "aggregations" not in body
        code = next(code for code, one in self.meters.items() if one == meter)
        start, end = milliseconds(body["startDate"]), milliseconds(body["endDate"])
        found = self.within(account.removeprefix("id of "), code, start, end)
        limit = min(self.most, body["limit"])
        shown = [{"timestamp": _iso(event.at)} for event in reversed(found)]
        return {"data": shown[:limit], "hasMoreData": len(found) > limit}


PARTNERS: Final = {one.slug: one for one in (OpenMeter, Stripe, Lago, Orb, Metronome, M3ter)}
