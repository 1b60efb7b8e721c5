"""Keep the open alerts and the messages about them: at most one open alert for each subject.

An alert is opened by a message, repeated after a while, and closed by a message once its condition
has not held for some time. Of each alert only the latest message waits for a sink, so what waits is
bounded. Nothing here waits, reads a clock or does I/O.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from destinations.telemetry.alerts.judging import Finding
from destinations.telemetry.alerts.rules import AlertRule, Kind

__all__ = ["Alert", "AlertBook", "Message", "MessageKind"]

MessageKind = Literal["opened", "repeated", "closed", "test"]

_MOST_CLOSED: Final = 100
"""Closed alerts whose last message waits for a sink that is away; older ones are given up."""

_REMOVED: Final = "its rule or its destination is not configured any more"
_TOLD_OF: Final = "another server tells of it now"


@dataclass(frozen=True, slots=True)
class Message:
    """A message about an alert; ``id`` stays the same however often it is sent."""

    id: str
    kind: MessageKind
    at: float
    alert: str
    rule: str
    condition: Kind | None
    destination: str
    what: str
    limit: str = ""
    command: str = ""
    since: float = 0.0
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    subscription: str | None = None
    tenant: str | None = None


@dataclass(slots=True)
class Alert:
    """An alert; ``message`` is its latest one, which ``waiting`` sinks have not got yet.

    ``sinks`` are all who are told of it, so that those who heard of it hear of its end. All times
    are in seconds since 1970. ``calm_since`` is since when its condition does not hold.
    """

    id: str
    rule: str
    destination: str
    opened_at: float
    message: Message
    sinks: list[str]
    waiting: list[str]
    calm_since: float | None = None
    closed_at: float | None = None


class AlertBook:
    """The alerts of a server. One thread at a time."""

    def __init__(self, make_id: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._make_id = make_id
        self.alerts: list[Alert] = []
        self.given_up: list[tuple[str, Message]] = []
        """The messages that no sink gets, with its name; for the caller to tell of, and clear."""

    @property
    def open(self) -> Sequence[Alert]:
        """The alerts that are not closed."""
        return [one for one in self.alerts if one.closed_at is None]

    def take(
        self,
        rules: Sequence[AlertRule],
        findings: Iterable[Finding],
        now: float,
        silenced: Collection[str] = (),
    ) -> bool:
        """Take in what was found; returns whether anything changed that is to be kept.

        Rules that are ``silenced`` open nothing and repeat nothing. What is open is closed by a
        message even so.
        """
        by_name = {rule.name: rule for rule in rules}
        is_changed = False
        for finding in findings:
            rule = by_name[finding.rule]
            alert = self._open_one(rule.name, finding.destination)
            is_silent = rule.name in silenced
            if alert is None:
                if finding.holds and not is_silent:
                    self._opened(rule, finding, now)
                    is_changed = True
            elif finding.holds:
                is_changed |= alert.calm_since is not None
                alert.calm_since = None
                if not is_silent and now - alert.message.at >= rule.repeat:
                    self._say(alert, rule, finding, "repeated", now)
                    is_changed = True
            elif alert.calm_since is None:
                alert.calm_since = now
                is_changed = True
            elif now - alert.calm_since >= rule.close_after:
                alert.closed_at = now
                self._say(alert, rule, finding, "closed", now)
                is_changed = True
        self._leave_old()
        return is_changed

    def _open_one(self, rule: str, destination: str) -> Alert | None:
        for one in self.alerts:
            if one.closed_at is None and (one.rule, one.destination) == (rule, destination):
                return one
        return None

    def _opened(self, rule: AlertRule, finding: Finding, now: float) -> None:
        identity = self._make_id()
        message = self._message(identity, rule, finding, "opened", now, now)
        self.alerts.append(
            Alert(
                *(identity, rule.name, finding.destination, now, message),
                *(list(rule.sinks), list(rule.sinks)),
            )
        )

    def _say(
        self, alert: Alert, rule: AlertRule, finding: Finding, kind: MessageKind, now: float
    ) -> None:
        alert.message = self._message(alert.id, rule, finding, kind, now, alert.opened_at)
        alert.sinks = list(dict.fromkeys([*rule.sinks, *alert.sinks]))
        alert.waiting = list(alert.sinks)

    def _message(
        self,
        alert: str,
        rule: AlertRule,
        finding: Finding,
        kind: MessageKind,
        now: float,
        since: float,
    ) -> Message:
        return Message(
            *(f"msg_{self._make_id()}", kind, now, alert, rule.name, rule.condition.kind),
            *(finding.destination, finding.what, finding.limit, finding.command, since),
            *(finding.numbers, rule.subscription, rule.tenant),
        )

    def _leave_old(self) -> None:
        """Forget what is closed and told, and the oldest of too many that wait for a sink."""
        self.alerts = [one for one in self.alerts if one.closed_at is None or one.waiting]
        closed = [one for one in self.alerts if one.closed_at is not None]
        for one in closed[: max(0, len(closed) - _MOST_CLOSED)]:
            self.given_up += [(sink, one.message) for sink in one.waiting]
            self.alerts.remove(one)

    def reconfigure(
        self,
        rules: Sequence[AlertRule],
        destinations: Collection[str],
        sinks: Collection[str],
        now: float,
    ) -> bool:
        """Close what is about a rule or a destination that is gone; returns whether any was.

        Messages for sinks that are gone are given up.
        """
        by_name, is_changed = {rule.name: rule for rule in rules}, False
        for alert in self.open:
            rule = by_name.get(alert.rule)
            has_destination = not alert.destination or alert.destination in destinations
            named = None if rule is None else rule.destination
            if rule is not None and has_destination and named in {None, alert.destination}:
                continue
            self._end(alert, _REMOVED, now)
            is_changed = True
        for alert in self.alerts:
            gone = [sink for sink in alert.sinks if sink not in sinks]
            if gone:
                self.given_up += [(sink, alert.message) for sink in alert.waiting if sink in gone]
                alert.sinks = [sink for sink in alert.sinks if sink in sinks]
                alert.waiting = [sink for sink in alert.waiting if sink in sinks]
                is_changed = True
        self._leave_old()
        return is_changed

    def adopt(self, left: Iterable[Mapping[str, Any]], now: float) -> bool:
        """Go on with alerts that another process has left; returns whether there were any.

        One whose subject has an open alert here is closed by a message.
        """
        known, is_changed = {one.id for one in self.alerts}, False
        for alert in map(_read, left):
            if alert.id in known:
                continue
            is_changed = True
            if alert.closed_at is None and self._open_one(alert.rule, alert.destination):
                self._end(alert, _TOLD_OF, now)
            self.alerts.append(alert)
        return is_changed

    def _end(self, alert: Alert, why: str, now: float) -> None:
        """Close an alert by a message that says why, to all who were told of it."""
        alert.closed_at = now
        alert.message = Message(
            *(f"msg_{self._make_id()}", "closed", now, alert.id, alert.rule),
            *(alert.message.condition, alert.destination, why),
            since=alert.opened_at,
        )
        alert.waiting = list(alert.sinks)

    # -- what waits for a sink -----------------------------------------------------------------

    def next_for(self, sink: str) -> Message | None:
        """Return the oldest message that waits for a sink; None if there is none."""
        waiting = [one.message for one in self.alerts if sink in one.waiting]
        return min(waiting, key=lambda one: one.at, default=None)

    def sent(self, sink: str, message: Message) -> None:
        """Note that a sink got a message, or never will."""
        for one in self.alerts:
            if one.message.id == message.id and sink in one.waiting:
                one.waiting.remove(sink)
        self._leave_old()

    # -- across restarts -----------------------------------------------------------------------

    def to_json(self) -> Sequence[Mapping[str, Any]]:
        """Return all alerts as JSON values."""
        return [asdict(one) for one in self.alerts]

    def read(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """Take over the alerts that `to_json` returned."""
        self.alerts = list(map(_read, kept))


def _read(kept: Mapping[str, Any]) -> Alert:
    return Alert(**{**kept, "message": Message(**kept["message"])})
