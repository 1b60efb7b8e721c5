"""Compare what two versions of a destination make of one event, before anything is sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from destinations.errors import ResolveError
from destinations.http.json_bytes import encode_json
from destinations.outcome import Outcome, Result
from destinations.runtime.destination import Destination
from destinations.runtime.plan import Plan, PlannedDelivery, plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.json_pointer import pointer

__all__ = [
    "KINDS",
    "FieldChange",
    "Kind",
    "PlanChange",
    "PlanChanges",
    "PlannedChanges",
    "compare_plans",
]

Kind = Literal[
    "no_longer_matched", "invalid_now", "unmapped_now", "payload_changed", "newly_matched"
]
"""How a delivery changes: see `PlanChange`."""

KINDS: Final[Sequence[Kind]] = get_args(Kind)
"""The changes, the most important first."""

_EXAMPLES: Final = 3
_EVENT: Final = "event"
_DEEPEST: Final = 20
"""Levels of objects whose members are compared; what is deeper is compared as a whole."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value that changes, by its JSON pointer in the payload.

    One in the event, for requests that carry that, is at ``event`` and its pointer there. What is
    not there is not among ``values``, which are by ``before`` and ``after``.
    """

    path: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A delivery of an event that is not what it was.

    ``subscription`` is its name now, or before if it has none now; both are empty for an event that
    reaches no subscription. ``is_lost`` says that it is sent today, and would not be any more.
    """

    kind: Kind
    message_id: str
    subscription: str = ""
    action: str = ""
    reason: str = ""
    fields: Sequence[FieldChange] = ()
    is_lost: bool = False


@dataclass(slots=True)
class PlanChanges:
    """The changes of a destination, added up; of each kind the first examples are kept.

    ``before`` and ``after`` count deliveries that are sent, and ``unchanged`` those that are the
    same. An example comes with what names its place.
    """

    events: int = 0
    before: int = 0
    after: int = 0
    unchanged: int = 0
    lost: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, PlanChange]] = field(default_factory=list)

    def add(self, compared: PlannedChanges, place: str) -> None:
        """Add what became of one event."""
        self.events += 1
        self.before += compared.before
        self.after += compared.after
        self.unchanged += compared.unchanged
        for change in compared.changes:
            self.lost += change.is_lost
            self.kinds[change.kind] += 1
            self.fields.update({one.path for one in change.fields})
            if self.kinds[change.kind] <= _EXAMPLES:
                self.examples.append((place, change))


@dataclass(slots=True)
class PlannedChanges:
    """One event: how many of its deliveries are sent, and the changes."""

    before: int = 0
    after: int = 0
    unchanged: int = 0
    changes: list[PlanChange] = field(default_factory=list)


def compare_plans(
    before: Destination | None,
    after: Destination | None,
    raw: bytes,
    received_at: float,
    *,
    new: str = "the destination is new",
    gone: str = "the destination is gone",
) -> PlannedChanges:
    """Compare what becomes of a raw event; None stands for a destination that there is not.

    ``new`` and ``gone`` say why there is none before or after.

    Deliveries are compared by their subscription; of one that has another name now, by the action,
    if only one can be meant.
    """
    old = None if before is None else plan(before, raw, received_at=received_at)
    later = None if after is None else plan(after, raw, received_at=received_at)
    absent = Result(Outcome.FILTERED, new), Result(Outcome.FILTERED, gone)
    found = PlannedChanges()
    message_id = next((one.message_id for one in (later, old) if one is not None), "")
    pairs = _pairs(_by_key(before, old, received_at), _by_key(after, later, received_at))
    for key, own, other in pairs:
        one, two = _Side.of(own, old, absent[0]), _Side.of(other, later, absent[1])
        found.before += one.is_sent
        found.after += two.is_sent
        changed = _changed(one, two)
        fields: list[FieldChange] = []
        if changed is None and one.is_sent:
            fields = list(_payload_changes(before, after, one, two, received_at))
            changed = ("payload_changed", "") if fields else None
        if changed is None:
            found.unchanged += one.is_sent
            continue
        kind, reason = changed
        name, action = ("", "") if key is None else (key.name, key.action)
        is_lost = one.is_sent and not two.is_sent
        change = PlanChange(kind, message_id, name, action, reason, fields, is_lost)
        found.changes.append(change)
    return found


@dataclass(frozen=True, slots=True)
class _Side:
    """The plan of one version for an event and a subscription: a payload, or its end."""

    plan: Plan | None
    delivery: PlannedDelivery | None
    result: Result | None

    @classmethod
    def of(cls, delivery: PlannedDelivery | None, made: Plan | None, absent: Result) -> _Side:
        if delivery is None:
            return cls(made, None, absent if made is None else _without(made))
        result = delivery.result
        if result is None:
            try:
                encode_json(delivery.payload)
            except ResolveError as error:
                result = Result.invalid(error.message, "PAYLOAD_VALIDATION_FAILED")
        return cls(made, delivery, result)

    @property
    def is_sent(self) -> bool:
        return self.result is None

    def ends_as(self, outcome: Outcome) -> bool:
        return self.result is not None and self.result.outcome is outcome


def _without(made: Plan) -> Result:
    """Return why an event does not reach a subscription."""
    for one in made.deliveries:
        if one.subscription is None and one.result is not None:
            return one.result
    return Result(Outcome.FILTERED, "the subscription does not take it")


def _by_key(
    destination: Destination | None, made: Plan | None, now: float
) -> dict[SubscriptionKey | None, PlannedDelivery]:
    """Return the plans of an event, and the ends of those that the partner does not take then."""
    if destination is None or made is None:
        return {}
    return {one.key: _in_window(destination, one, made, now) for one in made.deliveries}


def _in_window(
    destination: Destination, planned: PlannedDelivery, made: Plan, now: float
) -> PlannedDelivery:
    subscription, payload = planned.subscription, planned.payload
    window = None if subscription is None else subscription.action.window
    if window is None or payload is None or made.event is None:
        return planned
    late = window.result(destination.carry(made.event, now), payload, now, destination.settings)
    return planned if late is None else PlannedDelivery(subscription, result=late)


_Pair = tuple[SubscriptionKey | None, PlannedDelivery | None, PlannedDelivery | None]


def _pairs(
    old: Mapping[SubscriptionKey | None, PlannedDelivery],
    new: Mapping[SubscriptionKey | None, PlannedDelivery],
) -> Iterator[_Pair]:
    """Yield the deliveries that belong together, each with its subscription."""
    left = [key for key in old if key not in new and key is not None]
    added = [key for key in new if key not in old and key is not None]
    renamed: dict[SubscriptionKey, SubscriptionKey] = {}
    for action in {key.action for key in left}:
        one = [key for key in left if key.action == action]
        two = [key for key in added if key.action == action]
        if len(one) == len(two) == 1:
            renamed[one[0]] = two[0]
    for key, own in old.items():
        now = renamed.get(key, key) if key is not None else None
        if key is None and new and None not in new:
            continue  # it reaches subscriptions now, each of which is new
        yield now, own, new.get(now)
    for key, own in new.items():
        if key not in old and key not in renamed.values() and (key is not None or not old):
            yield key, None, own


def _changed(one: _Side, two: _Side) -> tuple[Kind, str] | None:
    """Return how a delivery changes, and why; None if at most its payload does."""
    reason = "" if two.result is None else two.result.reason
    if two.is_sent:
        return None if one.is_sent else ("newly_matched", one.result.reason if one.result else "")
    if two.ends_as(Outcome.INVALID):
        return None if one.ends_as(Outcome.INVALID) else ("invalid_now", reason)
    if two.ends_as(Outcome.UNMAPPED):
        return None if one.ends_as(Outcome.UNMAPPED) else ("unmapped_now", reason)
    return ("no_longer_matched", reason) if one.is_sent else None


def _payload_changes(
    before: Destination | None,
    after: Destination | None,
    one: _Side,
    two: _Side,
    received_at: float,
) -> Iterator[FieldChange]:
    """Yield what changes in a payload, and in the event where requests carry it."""
    assert one.delivery is not None  # noqa: S101 - it is sent
    assert two.delivery is not None  # noqa: S101 - as above
    yield from _differences(one.delivery.payload, two.delivery.payload, "", _DEEPEST)
    subscription = two.delivery.subscription
    if subscription is None or not subscription.action.reads_event:
        return
    old, new = (
        {}
        if destination is None or side.plan is None or side.plan.event is None
        else destination.carry(side.plan.event, received_at)
        for destination, side in ((before, one), (after, two))
    )
    yield from _differences(old, new, _EVENT, _DEEPEST)


def _differences(one: Any, two: Any, place: str, levels: int) -> Iterator[FieldChange]:
    """Yield the members of objects that differ; a list is compared as a whole."""
    if not (levels and isinstance(one, Mapping) and isinstance(two, Mapping)):
        if _differs(one, two):
            yield FieldChange(place, {"before": one, "after": two})
        return
    for key in _ordered(one, two):
        own = place + pointer(key)
        if key not in one:
            yield FieldChange(own, {"after": two[key]})
        elif key not in two:
            yield FieldChange(own, {"before": one[key]})
        else:
            yield from _differences(one[key], two[key], own, levels - 1)


def _ordered(one: Iterable[str], two: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys([*one, *two])


def _differs(one: Any, two: Any) -> bool:
    """Return whether two values of JSON differ; true is not 1."""
    if type(one) is type(two) and not isinstance(one, list | Mapping):
        return bool(one != two)
    return json.dumps(one, sort_keys=True) != json.dumps(two, sort_keys=True)
