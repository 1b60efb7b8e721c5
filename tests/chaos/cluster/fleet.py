"""Processes of ``destinations serve`` that share a store in PostgreSQL, and senders of events."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from destinations.pipeline.lease import LANES
from destinations.pipeline.ledger import Selection
from destinations.postgres import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.store import PostgresStore
from destinations.store import broken_rules
from tests.chaos.cluster.networks import DB, PARTNER, Host, Network
from tests.chaos.cluster.partner import LoggingPartner, group_of, write_definition
from tests.forked import ForkedPopen
from tests.postgres_server import PostgresServer, free_port

LEASE: Final = 2.0
"""Seconds of a lease: short, but not so short that a busy machine ends processes by itself."""

PATIENCE: Final = 60.0
SOON: Final = 0.02
KEYS: Final = {"SAMPLE_KEY": "sk_test_0123456789", "RECEIVER_KEY": "rk_test_0123456789abcdef"}
"""The secrets of processes, by the names of their variables."""

HEADERS: Final = {
    "Content-Type": "application/json",
    "Authorization": f"Bearer {KEYS['RECEIVER_KEY']}",
}
"""What a sender of events sends with them."""


def wait_until(is_so: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Return when it is so; fail when it is not in time."""
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, "it did not become so"
        time.sleep(SOON)


class Member:
    """One process. Its name, which the partner is told, is of no other one."""

    def __init__(self, fleet: Fleet, name: str, role: str, definition: Path, host: Host) -> None:
        self.name = name
        self.role = role
        self.host = host
        self.port = free_port()
        self._log = fleet.folder / f"{name}.log"
        config = fleet.folder / f"{name}.json"
        config.write_text(json.dumps(fleet.configuration(self, definition)), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(config)]
        # What is forked from another process is on the host of that one, with what that has loaded.
        is_here = host.within is contextlib.nullcontext and not fleet.environment
        popen = ForkedPopen[bytes] if is_here else subprocess.Popen[bytes]
        with self._log.open("wb") as log, host.within():
            self.process = popen(
                [*command, "--role", role],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **KEYS, **fleet.environment},
            )

    @property
    def receives(self) -> bool:
        """Whether it takes events."""
        return self.role != "deliver"

    @property
    def delivers(self) -> bool:
        """Whether it delivers events."""
        return self.role != "receive"

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text("utf-8")

    def is_ready(self) -> bool:
        """Return whether it takes events, or delivers."""
        return self.readiness()[0] == 200

    def readiness(self) -> tuple[int, str]:
        """Return what it says of that; the status is 0 if it cannot be asked."""
        try:
            address = self.host.address
            with closing(http.client.HTTPConnection(address, self.port, timeout=5)) as one:
                one.request("GET", "/readyz")
                response = one.getresponse()
                return response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)

    def sockets(self) -> set[int]:
        """Return the ports at this end of its connections."""
        own = set()
        for each in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                own.add(str(each.readlink()))
            except OSError:
                continue
        ports = set()
        for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in own:
                ports.add(int(fields[1].rpartition(":")[2], 16))
        return ports


class Fleet:
    """The processes, which are started again if the kernel ends them, as an operator's system does.

    ``environment`` is what processes get besides. With a ``network`` they run on hosts of it, and
    find there what they need.
    """

    def __init__(
        self,
        folder: Path,
        server: PostgresServer,
        partner: LoggingPartner,
        *,
        lease: float = LEASE,
        hard_stop: bool = True,
        environment: Mapping[str, str] | None = None,
        dsn: str | None = None,
        durability: str = "single-node",
        network: Network | None = None,
        timeout: float = 20.0,
        settle_after: float = 0.5,
    ) -> None:
        self.folder = folder
        self.server = server
        self.partner = partner
        self.environment = environment or {}
        self.dsn = dsn or server.new_database()
        self.definition = write_definition(folder / "sample", timeout=timeout)
        self.ended_by_kernel: list[str] = []
        self.faults: list[str] = []
        self.members: list[Member] = []
        self.senders: Senders | None = None
        self._lease, self._hard_stop, self._durability = lease, hard_stop, durability
        self._network, self._settle_after = network, settle_after
        self._names = 0
        self._all: list[Member] = []
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._supervise, daemon=True)
        self._watch.start()

    def configuration(self, member: Member, definition: Path) -> Mapping[str, Any]:
        """Return what a process is started with."""
        endpoint, dsn = self.partner.url, self.dsn
        if self._network is not None:
            network, name = self._network, member.host.name
            endpoint = _moved(endpoint, *network.way_to(name, PARTNER, self.partner.port))
            if "," not in dsn:  # else they find the servers by themselves
                dsn = _moved(dsn, *network.way_to(name, DB, self.server.port))
        settings = {
            "endpoint": endpoint,
            "process": member.name,
            "apiKey": {"env": "SAMPLE_KEY"},
        }
        return {
            "listen": {"host": member.host.address, "port": member.port},
            "store": {
                "postgres": {
                    "dsn": dsn,
                    "leaseSeconds": self._lease,
                    "hardStop": self._hard_stop,
                    "durability": self._durability,
                }
            },
            "drainSeconds": 5,
            "destinations": [
                {
                    "name": "sample",
                    "destination": str(definition),
                    "account": "main",
                    "settings": settings,
                    "receiver": {"keys": [{"env": "RECEIVER_KEY"}]},
                    "delivery": {"allowPrivate": True, "settleAfterSeconds": self._settle_after},
                }
            ],
        }

    # -- processes -----------------------------------------------------------------------------

    def start(self, *roles: str, host: str = "") -> list[Member]:
        """Start processes of these roles, and return when all of them are ready.

        One that the kernel has ended meanwhile is not waited for.
        """
        place = self._network.host(host) if self._network is not None else Host()
        made = [self.spawn(role, place) for role in roles]
        try:
            wait_until(
                lambda: (
                    self.is_sound()
                    and all(one.is_ready() or one not in self.members for one in made)
                )
            )
        except AssertionError as error:
            for one in made:
                error.add_note(f"{one.name} {one.readiness()}: {one.log[-2000:]}")
            raise
        return made

    def is_sound(self) -> bool:
        """Fail at once if a process has ended by itself: who waits for it would wait in vain."""
        assert self.faults == [], "\n".join(self.faults)
        return True

    def spawn(self, role: str, host: Host | None = None) -> Member:
        """Start a process; it is not ready yet."""
        with self._lock:
            name = f"{role}-{self._names}"
            member = Member(self, name, role, self.definition, host or Host())
            self._names += 1
            self.members.append(member)
            self._all.append(member)
        return member

    def forget(self, member: Member) -> None:
        """Let a process end, however it does."""
        with self._lock:
            self.members.remove(member)

    def kill(self, member: Member) -> None:
        """End a process at once."""
        self.forget(member)
        member.process.kill()
        assert member.process.wait(PATIENCE) == -signal.SIGKILL

    def end(self, member: Member) -> None:
        """End a process in order."""
        self.forget(member)
        member.process.terminate()
        assert member.process.wait(PATIENCE) == 0, member.log

    def of_role(self, is_so: Callable[[Member], bool]) -> list[Member]:
        """Return the processes of some kind that are meant to run."""
        with self._lock:
            return [one for one in self.members if is_so(one)]

    def on(self, host: str) -> Member:
        """Return the process that is meant to run on a host."""
        (found,) = self.of_role(lambda one: one.host.name == host)
        return found

    def _supervise(self) -> None:
        while not self._closed.wait(SOON):
            with self._lock:
                for member in list(self.members):
                    code = member.process.poll()
                    if code is None:
                        continue
                    self.members.remove(member)
                    if code == -signal.SIGALRM:  # too busy a machine is as good as frozen
                        self.ended_by_kernel.append(member.name)
                    else:
                        self.faults.append(f"{member.name} ended with {code}: {member.log}")
                    self.spawn(member.role, member.host)

    def close(self) -> None:
        """Leave no process behind."""
        self._closed.set()
        self._watch.join()
        for member in self._all:
            if member.process.poll() is None:
                member.process.kill()
                member.process.wait()

    # -- the store -----------------------------------------------------------------------------

    @property
    def address(self) -> PostgresAddress:
        """That of the store."""
        return PostgresAddress.parse(self.dsn)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the database says, once it can be asked."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
                    return connection.execute(query.encode(), values or None).fetchall()
            except psycopg.OperationalError:
                assert time.monotonic() < give_up
                time.sleep(SOON)

    def is_done(self) -> bool:
        """Return whether nothing waits."""
        return not self.ask("SELECT 1 FROM destinations.open LIMIT 1")

    def lanes(self) -> Counter[int | None]:
        """Return how many lanes each living session has."""
        found = self.ask(
            "SELECT w.id, count(*) FROM destinations.lanes l LEFT JOIN destinations.workers w"
            " ON w.id = l.worker AND w.state = 'alive' GROUP BY 1"
        )
        return Counter(dict(found))

    def lanes_on(self, host: str) -> int:
        """Return how many lanes the process on a host has."""
        found = self.ask(
            "SELECT count(*) FROM destinations.lanes l JOIN destinations.workers w"
            " ON w.id = l.worker AND w.state = 'alive' WHERE w.name LIKE %s",
            f"%:{self.on(host).process.pid}",
        )
        return int(found[0][0])

    def are_lanes_shared(self) -> bool:
        """Return whether every process that delivers has its share of the lanes."""
        count = len(self.of_role(lambda one: one.delivers))
        found = self.lanes()
        return (
            len(found) == count and None not in found and max(found.values()) <= -(-LANES // count)
        )


class Senders:
    """Threads that post events of their own users, in order, each again until it is taken."""

    def __init__(self, fleet: Fleet, chance: random.Random, count: int, users: int) -> None:
        fleet.senders = self
        self._fleet = fleet
        self._stop = threading.Event()
        self.acknowledged: dict[str, list[int]] = {}
        """By user, what each event that was taken adds; its number is its place."""
        self.refused: list[str] = []
        self._threads = []
        for number in range(count):
            own = [f"u{number}.{index}" for index in range(users)]
            self.acknowledged |= {user: [] for user in own}
            args = (own, random.Random(chance.random()))
            self._threads.append(threading.Thread(target=self._send, args=args, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def count(self) -> int:
        """How many events were taken."""
        return sum(map(len, self.acknowledged.values()))

    @property
    def reached(self) -> Mapping[str, int]:
        """The number of the last event of each user that was taken."""
        return {user: len(taken) - 1 for user, taken in self.acknowledged.items() if taken}

    def stop(self) -> None:
        """Begin nothing more, and return when all that was begun is taken."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _send(self, users: Sequence[str], chance: random.Random) -> None:
        while not self._stop.wait(chance.uniform(0.1, 0.3)):
            events: list[Mapping[str, Any]] = []
            added: list[tuple[str, int]] = []
            for _ in range(chance.randint(1, 4)):
                user = chance.choice(users)
                number = len(self.acknowledged[user]) + sum(one == user for one, _ in added)
                by = chance.randint(1, 9)
                added.append((user, by))
                group = group_of(user, number) if self._fleet.partner.shares else None
                events.append(event(user, number, by, group))
            body = json.dumps(events[0] if len(events) == 1 else events).encode()
            give_up = time.monotonic() + PATIENCE
            while not self._post(body, chance):
                if time.monotonic() > give_up:
                    self.refused.append("not taken in time")
                    return
                time.sleep(SOON)
            for user, by in added:
                self.acknowledged[user].append(by)

    def _post(self, body: bytes, chance: random.Random) -> bool:
        receivers = self._fleet.of_role(lambda one: one.receives)
        if not receivers:
            return False
        one = chance.choice(receivers)
        with closing(
            http.client.HTTPConnection(one.host.address, one.port, timeout=10)
        ) as connection:
            try:
                connection.request("POST", "/v1/sample", body, HEADERS)
                if chance.random() < 0.02:
                    return False  # as if the answer had been lost on its way
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                return False
        if response.status not in {200, 503}:
            self.refused.append(f"{response.status} {answer!r}")
        return response.status == 200


def _moved(url: str, host: str, port: int) -> str:
    """Return a URL with another host and port."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{host}:{port}").geturl()


def event(user: str, number: int, by: int, group: str | None = None) -> Mapping[str, Any]:
    """Return an event that adds to what a user has."""
    properties = {"by": by, "thing": user, "number": number, "group": group}
    head = {"type": "track", "event": "E", "userId": user, "messageId": f"{user}-{number}"}
    return {**head, "properties": properties}


_WAITING = """
    SELECT one.id, one.tx, one.lane, l.worker, one.status, one.effect, one.attempts, one.next_at,
        extract(epoch from clock_timestamp()), i.id, i.worker
    FROM destinations.open one JOIN destinations.lanes l USING (lane)
    LEFT JOIN destinations.intents i ON i.deliveries::text LIKE '%' || one.id || '%'
    ORDER BY one.id LIMIT 20
"""


def until_all_flow(fleet: Fleet) -> None:
    """Return when of each user something is delivered that was taken just now."""
    assert fleet.senders is not None
    reached = fleet.senders.reached
    last = fleet.partner.last
    try:
        wait_until(
            lambda: (
                fleet.is_sound()
                and all(last.get(user, -1) >= number for user, number in reached.items())
            )
        )
    except AssertionError as error:
        late = {user: (last.get(user), number) for user, number in reached.items()}
        error.add_note(f"reached and taken: {late}")
        error.add_note("\n".join(map(str, fleet.ask(_WAITING))))
        raise


def until_done(fleet: Fleet) -> None:
    """Return when nothing waits any more."""
    try:
        wait_until(lambda: fleet.is_sound() and fleet.is_done())
    except AssertionError as error:
        error.add_note("\n".join(map(str, fleet.ask(_WAITING))))
        raise


def until_all_are_ready(fleet: Fleet) -> None:
    """Return when each process takes events, or delivers: a frozen one has begun to."""
    try:
        wait_until(
            lambda: (
                fleet.is_sound()
                and fleet.are_lanes_shared()
                and all(one.is_ready() for one in list(fleet.members))
            )
        )
    except AssertionError as error:
        error.add_note(f"lanes: {fleet.lanes()}, ended by the kernel: {fleet.ended_by_kernel}")
        for one in list(fleet.members):
            error.add_note(f"{one.name} {one.readiness()}: {one.log[-2000:]}")
        raise


def until_all_lanes_are_on(fleet: Fleet, host: str) -> None:
    """Return when the process on a host has all lanes."""
    try:
        wait_until(lambda: fleet.lanes_on(host) == LANES)
    except AssertionError as error:
        error.add_note(f"lanes: {fleet.lanes()}, ended by the kernel: {fleet.ended_by_kernel}")
        error.add_note("\n".join(map(str, fleet.ask("SELECT * FROM destinations.workers"))))
        for one in list(fleet.members):
            error.add_note(f"{one.name} {one.readiness()}: {one.log[-2000:]}")
        raise


def check(fleet: Fleet, senders: Senders) -> None:
    """All that was taken has one outcome, is counted once, and in the order of its user."""
    assert senders.refused == [], senders.refused
    assert fleet.faults == [], fleet.faults
    partner = fleet.partner
    assert partner.doubles == [], partner.told_of_doubles()
    assert partner.disorder == [], partner.disorder
    assert partner.overlaps == [], partner.overlaps
    with PostgresStore(fleet.address) as store:
        entries = list(store.ledger().find(Selection()))
    database = PostgresDatabase(fleet.address)
    try:
        assert broken_rules(database) == []
    finally:
        database.close()
    expected = {
        f"{user}-{number}"
        for user, taken in senders.acknowledged.items()
        for number in range(len(taken))
    }
    found = {one.message_id: str(one.status) for one in entries}
    odd = {name: found.get(name) for name in expected | found.keys()}
    odd = {name: status for name, status in odd.items() if status != "delivered"}
    assert odd == {}, f"of {senders.count}: {odd}"
    assert found.keys() == expected, sorted(found.keys() ^ expected)
    assert len(entries) == senders.count
    counts = {user: sum(taken) for user, taken in senders.acknowledged.items()}
    assert partner.counts == counts
    assert len(partner.log) == senders.count
