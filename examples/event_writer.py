"""Composes single events and writes them, each with its row of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import BinaryIO, Final

from event_cases import ABSENT, CONSUMABLE
from event_ledger import Expectation, Ledger
from event_libraries import LIBRARIES, Event, Library, encode

__all__ = ["ACCOUNT_USERS", "IDENTIFIED", "TRACKED", "EventWriter"]

# Users that the sandbox's example account has before the run.
ACCOUNT_USERS: Final = tuple(f"user_{number:04d}" for number in range(1, 13))

TRACKED: Final = Expectation(action="track")
IDENTIFIED: Final = Expectation(action="identify")


class EventWriter:
    """What all cases have in common: good calls, lines, and the effect of what is delivered.

    It remembers what it wrote, so that a later event can take up a ``messageId``.
    """

    def __init__(self, rng: Random, ledger: Ledger, out: BinaryIO) -> None:
        self._rng = rng
        self._ledger = ledger
        self._out = out
        self._users = list(ACCOUNT_USERS)
        self._created: list[str] = []
        self._clock = 0
        # By the reason that each ended with, the event, its library, its action and its line.
        self._sent: dict[str | None, list[tuple[Event, Library, str, int]]] = {}

    def _event(self, library: Library, call: str, user: object) -> Event:
        """Return a good call of any type; ``user`` may be ABSENT or None."""
        self._clock += self._rng.randrange(50, 4_000)
        event = library.envelope(self._rng, self._clock)
        event |= {"type": call, "userId": user}
        if call == "track":
            feature = self._rng.choice(tuple(CONSUMABLE))
            event |= {"event": CONSUMABLE[feature], "properties": {"featureId": feature}}
        elif call == "identify":
            event |= {"traits": {"plan": self._rng.choice(("free", "team", "enterprise"))}}
        elif call == "group":
            company = f"company_{self._rng.randrange(1, 40):02d}"
            event |= {"groupId": company, "traits": {"industry": "Examples", "employees": 12}}
        elif call == "alias":
            event |= {"previousId": f"visitor_{self._rng.randrange(1_000):03d}"}
        else:
            event |= {"name": self._rng.choice(("Home", "Pricing", "Übersicht")), "properties": {}}
        return event

    def _track_event(
        self, library: Library, user: str, delta: object, feature: object = ...
    ) -> Event:
        """Return a track; without ``feature`` it is of one of the consumable features."""
        event = self._event(library, "track", user)
        known = event["properties"]
        properties: Event = dict(known) if isinstance(known, dict) else {}
        if feature is not ...:
            properties["featureId"] = feature
        properties["delta"] = delta
        if self._rng.random() < 0.3:
            properties["region"] = self._rng.choice(("eu-west", "us-east", "São Paulo"))
        event["properties"] = _present(properties)
        return event

    def _identify(self, user: str, fields: Mapping[str, str]) -> None:
        library = self._rng.choice(LIBRARIES)
        event = self._event(library, "identify", user)
        billing = self._rng.choice(("billingUserId", "billingUserId", "billingId"))
        traits = {billing if name == "billingId" else name: text for name, text in fields.items()}
        event["traits"] = {"plan": "team", **traits} if self._rng.random() < 0.5 else traits
        self._emit(event, library, IDENTIFIED)
        self._ledger.save_user(user, fields)

    def _deliver_track(self, event: Event, library: Library, amount: int) -> None:
        self._emit(event, library, TRACKED)
        self._charge(event, amount)

    def _charge(self, event: Event, amount: int) -> None:
        properties = event["properties"]
        if isinstance(properties, dict):
            self._ledger.charge(str(event["userId"]), str(properties["featureId"]), amount)

    def _emit(self, event: Event, library: Library, expected: Expectation) -> None:
        sent = _present(event)
        if isinstance(sent.get("messageId"), str):
            known = self._sent.setdefault(expected.reason, [])
            known.append((sent, library, expected.action, self._ledger.lines + 1))
        self._write(encode(sent, library), expected)

    def _write(self, line: bytes, expected: Expectation) -> None:
        self._out.write(line + b"\n")
        self._ledger.row(expected)


def _present(members: Mapping[str, object]) -> Event:
    return {name: value for name, value in members.items() if value is not ABSENT}
