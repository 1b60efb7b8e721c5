"""Makes single example events and notes in the ledger what the outcome of each must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from event_cases import ABSENT
from event_ledger import Expectation
from event_libraries import LIBRARIES, PLAIN_LIBRARY, encode
from event_writer import ACCOUNT_USERS, IDENTIFIED, TRACKED, EventWriter

__all__ = ["MAX_EVENT_BYTES", "Builder"]

MAX_EVENT_BYTES: Final = 32 * 1024  # Segment's limit for one event

# Its usage is as wide as 32 bits allow, so no other event may touch it.
_WIDE_USER: Final = "user_wide"
_WITH_IDS: Final = tuple(library for library in LIBRARIES if library.message_id is not None)
_ANONYMOUS: Final = tuple(library for library in LIBRARIES if library.anonymous)
_NAMES: Final = (
    "Example User {}",
    "Beispiel {} ß",
    "例のユーザー {}",
    "Пример {}",
    "Exemplo {} 😀",
)


class Builder(EventWriter):
    """Every public method makes exactly one row of the file (:meth:`blank` an empty line).

    The methods pick users, features and libraries at random wherever the case does not say.
    """

    # --- ordinary calls -----------------------------------------------------------------------

    def track(self, user: str | None = None, *, message_id: object = None) -> None:
        """Add a usage of a feature that exists, by a user that exists."""
        library = self._rng.choice(LIBRARIES)
        delta: object = self._rng.choice((ABSENT, 1, 1, self._rng.randrange(2, 50), -1))
        amount = delta if isinstance(delta, int) else 1
        event = self._track_event(library, user or self._rng.choice(self._users), delta)
        if message_id is not None:
            event["messageId"] = message_id
        self._deliver_track(event, library, amount)

    def identify_new(self, user: str | None = None) -> None:
        """Add a user that Kana does not know yet; later events may be about it."""
        number = len(self._users) + 1
        name = user or f"user_{number:04d}"
        rng = self._rng
        fields: dict[str, str] = {}
        if rng.random() < 0.9:
            fields["name"] = rng.choice(_NAMES).format(number)
        if rng.random() < 0.85:
            # some users share their e-mail address with the one before
            fields["email"] = _email(number - 1 if rng.random() < 0.06 else number)
        if rng.random() < 0.4:
            fields["billingId"] = f"cus_example{number:05d}"
        self._identify(name, fields)
        self._created.append(name)
        self._users.append(name)

    def identify_known(self, user: str) -> None:
        """All fields of a user of the account, so that the ledger knows them whatever they were."""
        number = ACCOUNT_USERS.index(user) + 1
        billing = f"cus_example{number:05d}"
        fields = {"name": f"Example User {number}", "email": _email(number), "billingId": billing}
        self._identify(user, fields)

    def identify_again(self) -> None:
        """One field of a known user, changed or not."""
        number = self._rng.randrange(1, 10_000)
        name, value = self._rng.choice(
            (
                ("name", f"Renamed User {number}"),
                ("email", f"changed-{number:04d}@example.com"),
                ("billingId", f"cus_changed{number:05d}"),
            )
        )
        self._identify(self._rng.choice(self._users), {name: value})

    def unsupported(self, call: str) -> None:
        """Add a good call of a type that has no subscription."""
        library = self._rng.choice(LIBRARIES)
        event = self._event(library, call, self._rng.choice(self._users))
        self._emit(event, library, Expectation("not_subscribed"))

    def no_usage(self) -> None:
        """Add an everyday track without a feature: kept until a mapping rule gives it one."""
        library = self._rng.choice(LIBRARIES)
        event = self._event(library, "track", self._rng.choice(self._users))
        event["event"] = self._rng.choice(("Product Viewed", "Search Performed", "Größe gewählt"))
        event["properties"] = {
            "object": {"name": self._rng.choice(("invoice", "project", "report"))},
            "price": self._rng.choice((9.99, 25, 100.5)),
        }
        self._emit(event, library, Expectation("no_feature", "track"))

    def anonymous(self) -> None:
        """Add a good call of a visitor that has not been identified."""
        library = self._rng.choice(_ANONYMOUS)
        call = self._rng.choice(("page", "screen", "track", "identify"))
        event = self._event(library, call, None if library is LIBRARIES[0] else ABSENT)
        self._emit(event, library, Expectation("user_id_missing"))

    # --- special cases ------------------------------------------------------------------------

    def track_delta(self, delta: object, amount: int | None) -> None:
        """Add a track with this ``properties.delta``; ``amount`` None means that it is invalid."""
        library = self._rng.choice(LIBRARIES)
        event = self._track_event(library, self._rng.choice(self._users), delta)
        if amount is None:
            self._emit(event, library, Expectation("payload", "track"))
        else:
            self._deliver_track(event, library, amount)

    def track_feature(self, feature: object, reason: str) -> None:
        """Add a track with this ``properties.featureId``."""
        library = self._rng.choice(_WITH_IDS)
        event = self._track_event(library, self._rng.choice(self._users), 1, feature)
        self._emit(event, library, Expectation(reason, "track"))

    def identify_traits(
        self, traits: object, fields: Mapping[str, str] | None, *, escapes: bool
    ) -> None:
        """Add an identify of a known user with these traits; ``fields`` None means invalid."""
        library = self._rng.choice([one for one in LIBRARIES if one.escapes == escapes])
        user = self._rng.choice(self._users)
        event = self._event(library, "identify", user)
        event["traits"] = traits
        if fields is None:
            self._emit(event, library, Expectation("payload", "identify"))
        else:
            self._emit(event, library, IDENTIFIED)
            self._ledger.save_user(user, fields)

    def integrations(self, value: object, passes: bool) -> None:  # noqa: FBT001 - a table's column
        """Add a good track with this integrations object."""
        library = self._rng.choice(_WITH_IDS)
        event = self._track_event(library, self._rng.choice(self._users), 2)
        event["integrations"] = value
        if passes:
            self._deliver_track(event, library, 2)
        else:
            self._emit(event, library, Expectation("integrations"))

    def fault(self, call: str, changes: Mapping[str, object], reason: str) -> None:
        """Add a good call with ``changes`` that keep it from reaching an action."""
        library = self._rng.choice(_WITH_IDS)
        event = self._event(library, call, self._rng.choice(self._users))
        self._emit({**event, **changes}, library, Expectation(reason))

    def no_access(self) -> None:
        """Add a track of a binary feature by a user without any subscription."""
        library = self._rng.choice(LIBRARIES)
        event = self._track_event(library, self._rng.choice(self._created), ABSENT, "sso")
        self._emit(event, library, Expectation("no_access", "track"))

    def identify_wide(self) -> None:
        """Create the user of :meth:`track_wide`, which no other event is about."""
        self._identify(_WIDE_USER, {"name": "Example User with wide deltas"})

    def track_wide(self, feature: str, delta: object, amount: int) -> None:
        """Add a delta at a bound of 32 bits."""
        event = self._track_event(PLAIN_LIBRARY, _WIDE_USER, delta, feature)
        self._deliver_track(event, PLAIN_LIBRARY, amount)

    def longest_message_id(self) -> None:
        """Add a messageId of 100 characters, which is as long as it may be."""
        self.track(message_id="m" * 100)

    def largest_line(self) -> None:
        """Add an event of exactly as many bytes as are allowed."""
        event = self._track_event(PLAIN_LIBRARY, self._rng.choice(self._users), 1)
        self._write(_enlarge(encode(event, PLAIN_LIBRARY), MAX_EVENT_BYTES, "x"), TRACKED)
        self._charge(event, 1)

    def too_large(self, size: int, filler: str) -> None:
        """Add an event of ``size`` bytes (or all but one), which is over the limit."""
        event = self._track_event(PLAIN_LIBRARY, ACCOUNT_USERS[0], 1)
        line = _enlarge(encode(event, PLAIN_LIBRARY), size, filler)
        self._write(line, Expectation("too_large"))

    def broken(self, damage: Callable[[bytes], bytes], reason: str) -> None:
        """Add a line that yields no event."""
        event = self._track_event(PLAIN_LIBRARY, self._rng.choice(ACCOUNT_USERS), 1)
        self._write(damage(encode(event, PLAIN_LIBRARY)), Expectation(reason))

    def changed(self, change: Callable[[bytes], bytes]) -> None:
        """Add a good event whose line is changed in a way that makes no difference to it."""
        event = self._track_event(PLAIN_LIBRARY, self._rng.choice(self._users), 1)
        self._write(change(encode(event, PLAIN_LIBRARY)), TRACKED)
        self._charge(event, 1)

    def repeat(self, first: str | None, second: str | None) -> None:
        """Repeat the messageId of an earlier event that ended with the reason ``first``.

        ``second`` is the reason for this one; None stands for a delivered event.
        """
        earlier = self._sent[first]
        event, library, action, line = earlier.pop(self._rng.randrange(len(earlier)))
        if second is None:
            self.track(message_id=event["messageId"])
            self._ledger.replace(line, Expectation(first, action))
        elif second == "duplicate":
            self._emit(event, library, Expectation(second, action))
        else:
            fresh = self._track_event(library, self._rng.choice(self._users), 5)
            changed = {**fresh, "messageId": event["messageId"]}
            self._emit(changed, library, Expectation(second))

    def blank(self, line: bytes) -> None:
        """Add a line that is not a row: ``line`` holds nothing or only white space."""
        self._out.write(line + b"\n")
        self._ledger.skip()


def _email(number: int) -> str:
    return f"member-{number:04d}@example.com"


def _enlarge(line: bytes, size: int, filler: str) -> bytes:
    """Return the object on the line with one more member, so that it has ``size`` bytes.

    A byte is missing where ``filler`` has two bytes and does not fit into the room.
    """
    head, tail = line[:-1] + b',"note":"', b'"}'
    unit = filler.encode()
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail
