"""A partner that meters usage, and recognises what it has by keys, for a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock

__all__ = ["HOUR", "KilledError", "MeteringPartner", "metered"]

HOUR = 3600.0
LASTS = 24 * HOUR
LOST = TransportError("no answer: timed out", sent=True, timeout=True)


class KilledError(BaseException):
    """The process ends in the middle of a request."""


def metered(
    *,
    asks: bool = False,
    batch: int = 4,
    failures: bool = False,
    all_or_nothing: bool = False,
    header: str | None = None,
    source: object = None,
    rule: bool = True,
    **more: Any,
) -> Callable[[dict[str, Any]], None]:
    """Let things be counted by requests with a key that the partner keeps for a day."""

    def change(documents: dict[str, Any]) -> None:
        requests = documents["destination"]["requests"]
        thing = {"@path": "$.payload.thing"}
        count = requests["count"] = {
            "description": "Count a thing.",
            "idempotent": False,
            "batch": {"size": batch},
            "rest": {
                "method": "POST",
                "url": "http://127.0.0.1:9/usage",
                "json": {"by": {"@path": "$.payload.by"}, "thing": thing},
            },
            "idempotencyKey": {
                "from": {"@path": "$.event.messageId"} if source is None else source,
                "for": "24h",
                **({"field": "key"} if header is None else {"header": header}),
            },
            "errorRules": [
                {
                    "when": {"status": 409, **({"code": "exists"} if failures else {})},
                    "class": "conflict",
                    "retryable": False,
                    "nothingApplied": False,
                    **({"repeatMeans": "delivered"} if rule else {}),
                },
                {
                    "when": {"status": 422},
                    "class": "invalid",
                    "retryable": False,
                    "nothingApplied": True,
                },
            ],
            **more,
        }
        if failures:
            count["batch"]["failures"] = {
                "status": [409],
                "items": {"@path": "$.failed"},
                "index": {"@path": "$.at"},
                "code": {"@path": "$.code"},
            }
        if all_or_nothing:
            count["batch"]["allOrNothing"] = True
        if asks:
            requests["shown"] = {
                "description": "What was counted.",
                "idempotent": True,
                "rest": {
                    "method": "GET",
                    "url": "http://127.0.0.1:9/usage",
                    "path": [thing],
                },
            }
            count["reconcile"] = {
                "ask": "shown",
                "key": [thing],
                "amount": {"@path": "$.payload.by"},
                "shown": {"@path": "$.answer.used"},
            }

    return change


class MeteringPartner:
    """Counts what it does not know by its key; acts as it is told, one act a request.

    ``done`` answers, ``lost`` counts and says nothing, ``none`` says nothing and counts nothing,
    ``die`` counts and ends the process, ``die first`` counts nothing and ends it; a number is an
    HTTP status, with nothing counted. It forgets a key ``lasts`` seconds after it came first. A
    known key is taken in silence, or refused with 409: all of a batch if it is ``atomic``. Things
    that begin with "bad" are refused.
    """

    def __init__(self, clock: StillClock, *, refuses: bool = True, atomic: bool = False) -> None:
        self.clock = clock
        self.refuses = refuses
        self.atomic = atomic
        self.lasts = LASTS
        self.acts: list[str] = []
        self.always = "done"
        self.counts: Counter[str] = Counter()
        self.keys: dict[str, float] = {}
        self.applied: Counter[str] = Counter()
        self.sent: list[tuple[float, list[str]]] = []
        self.headers: list[Any] = []
        self.header = ""
        self.retry_after = ""
        self.asked = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        if request.method == "GET":
            self.asked += 1
            used = self.counts[request.url.rpartition("/")[2]]
            return HttpResponse(200, {}, json.dumps({"used": used}).encode())
        body = json.loads(request.body or b"null")
        events = body if isinstance(body, list) else [body]
        self.headers.append(request.headers)
        if self.header:
            events = [{**one, "key": request.headers[self.header]} for one in events]
        act = self.acts.pop(0) if self.acts else self.always
        self.sent.append((self.clock.now, [one["key"] for one in events]))
        if act == "die first":
            raise KilledError
        if act == "none":
            raise LOST
        if act.isdigit():
            headers = {"retry-after": self.retry_after} if self.retry_after else {}
            return HttpResponse(int(act), headers, b"{}")
        answer = self._count(events)
        if act == "die":
            raise KilledError
        if act == "lost":
            raise LOST
        return answer

    def _count(self, events: list[dict[str, Any]]) -> HttpResponse:
        now = self.clock.now
        self.keys = {key: at for key, at in self.keys.items() if now - at < self.lasts}
        failed = [
            {"at": at, "code": "exists" if one["key"] in self.keys else "bad"}
            for at, one in enumerate(events)
            if (self.refuses and one["key"] in self.keys) or str(one["thing"]).startswith("bad")
        ]
        places = {one["at"] for one in failed}
        if not (failed and self.atomic):
            for at, one in enumerate(events):
                if at not in places and one["key"] not in self.keys:
                    self.keys[one["key"]] = now
                    self.counts[one["thing"]] += one["by"]
                    self.applied[one["key"]] += 1
        if not failed:
            return HttpResponse(200, {}, b"{}")
        exists = all(one["code"] == "exists" for one in failed)
        status = 409 if exists or len(events) > 1 else 422
        return HttpResponse(status, {}, json.dumps({"failed": failed}).encode())

    def times(self, key: str) -> list[float]:
        """When requests with a key came."""
        return [at for at, keys in self.sent if key in keys]

    def close(self) -> None:
        """Nothing is open."""
