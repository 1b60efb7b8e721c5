"""At most one open alert for each subject, each closed by a message or still open."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from destinations.telemetry.alerts import AlertBook, AlertRule, Condition, Finding, Message
from tests.example_counts import examples

MakeRule = Callable[..., AlertRule]
MakeFinding = Callable[..., Finding]

HOUR: Final = 3600.0


def _kinds(book: AlertBook) -> list[str]:
    return [one.message.kind for one in book.alerts]


def test_the_life_of_an_alert(rule: MakeRule, finding: MakeFinding) -> None:
    """It is opened with the numbers, repeated after a while, and closed when it is over."""
    book, rules = AlertBook(), [rule(repeat=4 * HOUR, close_after=300)]
    assert book.take(rules, [finding(holds=False)], 0) is False
    assert book.alerts == []
    assert book.take(rules, [finding()], 10)
    (alert,) = book.open
    opened = alert.message
    assert (opened.kind, opened.what) == ("opened", "3 deliveries dead")
    assert opened.limit == "more than 2"
    assert book.take(rules, [finding()], 20) is False
    book.sent("page", opened)
    assert book.next_for("page") is None
    assert book.take(rules, [finding()], 10 + 4 * HOUR)
    repeated = book.next_for("page")
    assert repeated is not None
    assert (repeated.kind, repeated.since, repeated.alert) == ("repeated", 10, opened.alert)
    assert repeated.id != opened.id
    book.sent("page", repeated)
    book.take(rules, [finding(holds=False)], 5 * HOUR)
    assert book.next_for("page") is None
    book.take(rules, [finding(holds=False)], 5 * HOUR + 299)
    assert len(book.open) == 1
    book.take(rules, [finding(holds=False)], 5 * HOUR + 300)
    assert book.open == []
    closed = book.next_for("page")
    assert closed is not None
    assert (closed.kind, closed.alert) == ("closed", opened.alert)
    book.sent("page", closed)
    assert book.alerts == []


def test_it_does_not_flap(rule: MakeRule, finding: MakeFinding) -> None:
    """A condition that comes and goes is one alert, and one message."""
    book, rules = AlertBook(), [rule(close_after=300, repeat=24 * HOUR)]
    for number in range(100):
        book.take(rules, [finding(holds=number % 2 == 0)], number * 200.0)
    assert _kinds(book) == ["opened"]


def test_what_is_not_known_changes_nothing(rule: MakeRule, finding: MakeFinding) -> None:
    """Without a finding, as while the store cannot be read, an alert stays as it is."""
    book, rules = AlertBook(), [rule(close_after=300)]
    book.take(rules, [finding()], 0)
    book.take(rules, [], 10_000)
    assert _kinds(book) == ["opened"]


def test_each_destination_has_its_own(rule: MakeRule, finding: MakeFinding) -> None:
    """A rule for all destinations has an alert for each that it holds for."""
    book = AlertBook()
    book.take([rule()], [finding(), finding(destination="other")], 0)
    assert [one.destination for one in book.open] == ["kana", "other"]


def test_a_silenced_rule(rule: MakeRule, finding: MakeFinding) -> None:
    """It opens and repeats nothing; the end of what is open is told, and what is left later."""
    book, rules = AlertBook(), [rule(repeat=HOUR, close_after=300)]
    book.take(rules, [finding()], 0, silenced={"dead"})
    assert book.alerts == []
    book.take(rules, [finding()], 100)
    book.take(rules, [finding()], 2 * HOUR, silenced={"dead"})
    assert _kinds(book) == ["opened"]
    book.take(rules, [finding()], 3 * HOUR)
    assert _kinds(book) == ["repeated"]
    for at in (4 * HOUR, 5 * HOUR):
        book.take(rules, [finding(holds=False)], at, silenced={"dead"})
    assert _kinds(book) == ["closed"]


def test_a_rule_that_is_gone(rule: MakeRule, finding: MakeFinding) -> None:
    """Its alerts are closed by a message to those who were told of them."""
    book = AlertBook()
    book.take([rule()], [finding()], 0)
    assert book.reconfigure([], ["kana"], ["page", "mail"], 50)
    (alert,) = book.alerts
    assert (alert.message.kind, alert.waiting, alert.closed_at) == ("closed", ["page"], 50)
    assert "not configured any more" in alert.message.what


def test_a_destination_that_is_gone(rule: MakeRule, finding: MakeFinding) -> None:
    """So are those about a destination that is not configured any more, but not about others."""
    book = AlertBook()
    findings = [finding(), finding(destination="other"), finding(destination="")]
    book.take([rule()], findings, 0)
    assert book.reconfigure([rule()], ["kana"], ["page"], 50)
    assert [one.destination for one in book.open] == ["kana", ""]
    assert not book.reconfigure([rule()], ["kana"], ["page"], 60)


def test_a_sink_that_is_gone(rule: MakeRule, finding: MakeFinding) -> None:
    """Messages for it are given up, and that is told."""
    book, of_two = AlertBook(), rule(sinks=("page", "mail"))
    book.take([of_two], [finding()], 0)
    assert book.reconfigure([rule()], ["kana"], ["page"], 50)
    assert [(sink, one.kind) for sink, one in book.given_up] == [("mail", "opened")]
    assert book.alerts[0].waiting == ["page"]


def test_who_heard_of_it_hears_of_its_end(rule: MakeRule, finding: MakeFinding) -> None:
    """Also if the rule names another sink by then."""
    book = AlertBook()
    book.take([rule()], [finding()], 0)
    rules = [rule(sinks=("mail",), close_after=1)]
    book.reconfigure(rules, ["kana"], ["page", "mail"], 10)
    for at in (20, 30):
        book.take(rules, [finding(holds=False)], at)
    assert book.alerts[0].waiting == ["mail", "page"]


def test_a_restart(rule: MakeRule, finding: MakeFinding) -> None:
    """All of it is the same after a restart."""
    book = AlertBook()
    book.take([rule(tenant="acme")], [finding(), finding(destination="other")], 0)
    book.sent("page", book.alerts[0].message)
    again = AlertBook()
    again.read(json.loads(json.dumps(book.to_json())))
    assert again.alerts == book.alerts


def test_what_waits_is_bounded(rule: MakeRule, finding: MakeFinding) -> None:
    """A sink that is away for long costs the oldest closed alerts, and that is told."""
    book, rules = AlertBook(), [rule(close_after=1)]
    for number in range(150):
        for second, holds in enumerate((True, False, False)):
            book.take(rules, [finding(holds=holds)], number * 10.0 + second)
    assert len(book.alerts) == 100
    assert len(book.given_up) == 50
    assert book.given_up[0][1].since == 0
    assert book.alerts[0].opened_at == 500


class Machine(RuleBasedStateMachine):
    """Whatever is found, configured, silenced and sent in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = AlertBook()
        self.now = 0.0
        self.configured = self._rules(["a", "b"])
        self.names = ["kana", "other"]
        self.sinks = ["page", "mail"]
        # By sink and subject, the alert that it was told of last, and how.
        self.heard: list[tuple[str, Message]] = []
        self.made: dict[str, list[Message]] = {}

    @staticmethod
    def _rules(names: list[str]) -> list[AlertRule]:
        return [
            AlertRule(name, Condition("dead"), ("page", "mail"), repeat=100, close_after=20)
            for name in names
        ]

    def _note(self) -> None:
        for alert in self.book.alerts:
            messages = self.made.setdefault(alert.id, [])
            if alert.message not in messages:
                messages.append(alert.message)
        for _, message in self.book.given_up:
            messages = self.made.setdefault(message.alert, [])
            if message not in messages:
                messages.append(message)
        self.book.given_up.clear()

    @rule(
        seconds=st.sampled_from([1, 5, 25, 120]),
        holds=st.lists(st.booleans(), min_size=4, max_size=4),
        known=st.lists(st.booleans(), min_size=4, max_size=4),
        silenced=st.sets(st.sampled_from(["a", "b"])),
    )
    def look(self, seconds: int, holds: list[bool], known: list[bool], silenced: set[str]) -> None:
        """Judge what is known."""
        self.now += seconds
        subjects = [(one.name, name) for one in self.configured for name in self.names]
        findings = [
            Finding(one, name, held, "x", "", "")
            for (one, name), held, is_known in zip(subjects, holds, known, strict=False)
            if is_known
        ]
        self.book.take(self.configured, findings, self.now, silenced)
        self._note()

    @rule(sink=st.sampled_from(["page", "mail"]))
    def send(self, sink: str) -> None:
        """Let a sink take what waits for it first."""
        message = self.book.next_for(sink)
        if message is not None:
            self.heard.append((sink, message))
            self.book.sent(sink, message)
            assert self.book.next_for(sink) != message

    @rule(
        names=st.sampled_from([["a", "b"], ["a"], []]),
        destinations=st.sampled_from([["kana", "other"], ["kana"]]),
    )
    def reload(self, names: list[str], destinations: list[str]) -> None:
        """Exchange the rules and the destinations."""
        self.configured, self.names = self._rules(names), destinations
        self.book.reconfigure(self.configured, destinations, self.sinks, self.now)
        self._note()

    @rule()
    def restart(self) -> None:
        """Go on in another process."""
        book = AlertBook()
        book.read(json.loads(json.dumps(self.book.to_json())))
        self.book = book

    @invariant()
    def never_two_open(self) -> None:
        """No subject has two open alerts."""
        subjects = [(one.rule, one.destination) for one in self.book.open]
        assert len(subjects) == len(set(subjects))

    @invariant()
    def closed_by_a_message(self) -> None:
        """Every alert begins with a message, and is open or ends with one that says so."""
        still_open = {one.id for one in self.book.open}
        for alert, messages in self.made.items():
            kinds = [one.kind for one in messages]
            assert kinds[0] == "opened"
            assert kinds.count("opened") == 1
            assert kinds.count("closed") == (alert not in still_open)
            assert "closed" not in kinds[:-1]

    @invariant()
    def nobody_hears_anything_twice(self) -> None:
        """No sink gets a message twice, nor anything of an alert after its end."""
        heard = [(sink, message.id) for sink, message in self.heard]
        assert len(heard) == len(set(heard))
        for sink in self.sinks:
            ended = set()
            for one, message in self.heard:
                if one == sink:
                    assert message.alert not in ended
                    if message.kind == "closed":
                        ended.add(message.alert)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=examples(20), stateful_step_count=40, deadline=None)
