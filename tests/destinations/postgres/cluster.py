"""Several processes that deliver from one store, each an engine without threads in this one.

Time moves when the test says so: every member reads one clock, and beats when it is told to.
"""

from __future__ import annotations

from destinations.kit.testing.stand_ins import StillClock
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.membership import Membership
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import Receipt
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.retry import RetryPolicy
from destinations.postgres.address import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import broken_rules
from tests.destinations.pipeline.conftest import Partner, Told
from tests.postgres_server import new_store_address

TIMES = LeaseTimes(lease=15.0, beat=3.0, margin=2.0, hard_stop=False)


class Member:
    """One process: a store, a lease, an engine and a pipeline."""

    def __init__(self, cluster: Cluster, name: str, destination: Destination) -> None:
        self.cluster = cluster
        self.destination = destination
        self.clock = cluster.clock
        self.told = Told()
        self.store = PostgresStore(cluster.address)
        self.scope = self.store.accounts().served("sample", identity_of(destination))
        self.lease = self.store.session(name, "1", cluster.times, clock=self.clock)
        self.queue = self.store.queue(self.clock, lease=self.lease)
        self.engine = Engine(
            self.queue, clock=self.clock, observer=self.told, inline=True, lease=self.lease
        )
        self.lease.holder = Membership(self.engine, self.lease, self.open)
        self.intake = Intake(destination)
        self.open()
        self.lease.beat()

    def open(self) -> None:
        """Open the pipeline."""
        cluster = self.cluster

        def make() -> Pipeline:
            self.queue.recover([self.scope], 30.0)
            return Pipeline(
                self.scope,
                self.destination,
                Sender(self.destination, cluster.partner, clock=self.clock),
                self.queue,
                policy=RetryPolicy(
                    deadline=4 * 3600.0,
                    base=1.0,
                    cap=120.0,
                    max_retry_after=3600.0,
                    outage="dead",
                    draw=lambda: 1.0,
                ),
                options=PipelineOptions(2, linger=0.0, losses=LossOptions(30.0)),
                clock=self.clock,
                observer=self.told,
                source=self.queue.source(self.scope),
            )

        self.pipeline = self.engine.open(make)

    def accept(self, *raw: bytes) -> list[Receipt]:
        """Accept events as they were read."""
        arrivals = [
            self.intake.arrival(
                planned,
                self.intake.digest,
                message_id=planned.message_id,
                accepted_at=self.clock.time(),
            )
            for planned in (plan(self.destination, one) for one in raw)
        ]
        future = self.engine.accept(self.scope, arrivals)
        if not future.done():
            self.engine.run_round(0.0)
        return list(future.result(0))

    def step(self) -> None:
        """Do a round now."""
        self.engine.run_round(0.0)

    def vanish(self) -> None:
        """End as a killed process does."""
        self.cluster.members.remove(self)
        self.store.close()
        self.lease._closing()
        if self.lease._connection is not None:
            self.lease._connection.raw.close()

    def leave(self) -> None:
        """End in order."""
        self.engine.drain([self.scope], 10.0)
        self.lease.close()
        self.engine.remove([self.scope])
        self.engine.close()
        self.vanish()


class Cluster:
    """The members, with their partner and their clock."""

    def __init__(self, destination: Destination, times: LeaseTimes = TIMES) -> None:
        self.times = times
        self.destination = destination
        self.address: PostgresAddress = new_store_address()
        self.clock = StillClock()
        self.partner = Partner()
        self.members: list[Member] = []

    def join(self, name: str = "member", destination: Destination | None = None) -> Member:
        """Begin one more process, which may have another definition."""
        member = Member(self, name, destination or self.destination)
        self.members.append(member)
        return member

    def beat(self, seconds: float = 0.0) -> None:
        """Let time pass, then let each member beat and do a round."""
        self.clock.now += seconds
        for member in list(self.members):
            member.lease.beat()
            member.step()

    def even(self) -> None:
        """Beat until the lanes are shared out."""
        for _ in range(4):
            self.beat(1.0)

    def run(self, seconds: float = 1.0, rounds: int = 50) -> None:
        """Do rounds of all members in turn, with time moving on, and with their beats."""
        for _ in range(rounds):
            self.clock.now += seconds / rounds
            for member in list(self.members):
                if member.lease.remaining() < TIMES.lease / 2:
                    member.lease.beat()
                member.step()

    def close(self) -> None:
        """End everything; what must hold in a store holds."""
        for member in list(self.members):
            member.leave()
        database = PostgresDatabase(self.address)
        assert broken_rules(database) == []
        database.close()
