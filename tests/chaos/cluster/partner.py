"""A partner that keeps an exact log: which process sent what, and when."""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.cluster.networks import Host
from tests.destinations.conftest import ACTIONS, DESTINATION, DUMPER
from tests.destinations.pipeline.conftest import with_reconcile

HEADER = "X-Process"


def write_definition(
    folder: Path, version: str = "1.2.3", *, batch: int = 8, timeout: float = 20.0
) -> Path:
    """Write the definition of a destination that counts for users; returns its folder.

    Each event has a number, so that the partner sees their order, and each request the name of the
    process that sends it, which is a setting.
    """
    documents: dict[str, Any] = json.loads(
        json.dumps({"destination": DESTINATION, "count": ACTIONS["count"]})
    )
    with_reconcile(documents)
    destination = documents["destination"]
    destination["version"] = version
    destination["presets"] = destination["presets"][:1]
    requests = destination["requests"]
    destination["requests"] = {name: requests[name] for name in ("find", "count", "shown")}
    count = destination["requests"]["count"]
    count["batch"]["size"] = batch
    count["graphql"]["document"] = (
        "mutation Count($by: Int!, $thing: String!, $number: Int!)"
        " { count(by: $by, thing: $thing, number: $number) { done why } }"
    )
    count["graphql"]["variables"]["number"] = {"@path": "$.payload.number"}
    process = {"title": "Process", "description": "Who sends.", "type": "string", "default": ""}
    destination["settings"]["properties"]["process"] = process
    destination["transport"]["headers"][HEADER] = {"@template": "{{settings.process}}"}
    # Else a frozen process could cut its own request off.
    destination["transport"]["timeout"] = {"connect": 1, "read": timeout, "total": timeout}
    fields = documents["count"]["fields"]
    fields["properties"]["number"] = {
        **fields["properties"]["by"],
        "default": {"@path": "$.properties.number"},
    }
    fields["required"].append("number")
    # Some events touch an account that several users share, whichever workers have them.
    fields["properties"]["group"] = {
        **fields["properties"]["thing"],
        "default": {"@path": "$.properties.group"},
    }
    documents["count"]["touches"] = [{"@path": "$.payload.group"}]
    folder.mkdir(parents=True)
    for name, document in documents.items():
        text = yaml.dump(json.loads(json.dumps(document)), Dumper=DUMPER, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def group_of(user: str, number: int) -> str | None:
    """Return the account that an event of a user touches besides; None for most of them."""
    return f"group {zlib.crc32(user.encode()) % 2}" if number % 5 == 0 else None


@dataclass(frozen=True)
class Counted:
    """An event that the partner has counted; times are seconds of the monotonic clock."""

    process: str
    user: str
    number: int
    by: int
    began: float
    ended: float


class LoggingPartner:
    """Counts for users, and answers a while later, until it is closed."""

    def __init__(
        self, chance: random.Random, slowest: float = 0.02, *, host: Host | None = None
    ) -> None:
        self.log: list[Counted] = []
        self.counts: Counter[str] = Counter()
        self.last: dict[str, int] = {}
        self.shares = True
        """Whether some events touch accounts that several users share."""
        self._chance = chance
        self._slowest = slowest
        self._lock = threading.Lock()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(partner._answer(self.headers[HEADER] or "", body)).encode()
                head = {"Content-Type": "application/json", "Content-Length": str(len(answer))}
                self.send_response(200)
                for name, value in head.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Write nothing of senders that were killed."""

        place = host or Host()
        with place.within():
            self._server = Server((place.address, 0), Handler)
        self._address = place.address
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._address}:{self.port}/graphql"

    def _answer(self, process: str, body: Any) -> dict[str, Any]:
        variables = body["variables"]
        things = _of(variables, "thing")
        if "mutation" not in body["query"]:
            with self._lock:
                return _named([{"used": self.counts[thing]} for thing in things])
        began = time.monotonic()
        with self._lock:
            seconds = self._chance.uniform(0, self._slowest)
        time.sleep(seconds)
        ended = time.monotonic()
        with self._lock:
            for thing, by, number in zip(
                things, _of(variables, "by"), _of(variables, "number"), strict=True
            ):
                self.counts[thing] += by
                self.last[thing] = max(number, self.last.get(thing, -1))
                self.log.append(Counted(process, thing, number, by, began, ended))
        return _named([{"done": True}] * len(things))

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    # -- what must hold ------------------------------------------------------------------------

    @property
    def doubles(self) -> Sequence[tuple[str, int]]:
        """The events that were counted more than once: users and numbers."""
        times = Counter((one.user, one.number) for one in self.log)
        return [event for event, count in times.items() if count > 1]

    def told_of_doubles(self) -> str:
        """Return all that was sent of the users of doubles, for the message of a failure."""
        users = {user for user, _ in self.doubles}
        return "\n".join(map(str, [one for one in self.log if one.user in users][-200:]))

    @property
    def disorder(self) -> Sequence[tuple[Counted, Counted]]:
        """Events of a user that came after a later one, or while another was being counted."""
        by_user: dict[str, list[Counted]] = defaultdict(list)
        for one in self.log:
            by_user[one.user].append(one)
        return [
            (before, after)
            for events in by_user.values()
            for before, after in itertools.pairwise(events)
            if after.number <= before.number
            or (after.began != before.began and after.began < before.ended)
        ]

    @property
    def overlaps(self) -> Sequence[tuple[Counted, Counted]]:
        """Events of different requests that touched one account at the same time."""
        by_group: dict[str, list[Counted]] = defaultdict(list)
        for one in sorted(self.log, key=lambda one: one.began) if self.shares else ():
            group = group_of(one.user, one.number)
            if group is not None:
                by_group[group].append(one)
        return [
            (before, after)
            for events in by_group.values()
            for before, after in itertools.pairwise(events)
            if after.began != before.began and after.began < before.ended
        ]

    def sent_by(self, process: str, since: float) -> int:
        """Return how many events of a process began to be counted after a time."""
        return sum(one.process == process and one.began > since for one in self.log)


def _of(variables: dict[str, Any], name: str) -> list[Any]:
    """Return the values of a variable: of a batch, or of the only event."""
    if name in variables:
        return [variables[name]]
    found = [(re.fullmatch(rf"{name}_(\d+)", key), value) for key, value in variables.items()]
    return [value for _, value in sorted((int(key[1]), value) for key, value in found if key)]


def _named(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an answer: the values by the names of a batch, and the first by those of one event."""
    named = {f"e{index}": value for index, value in enumerate(values)}
    return {"data": {**named, "count": values[0], "shown": values[0]}}
