"""Several events that go through plugin code side by side, at a partner that keeps GraphQL's word.

The partner's fields must not be null: one that fails leaves null for all of a request.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from destinations.errors import TransportError
from destinations.http import Answer, HttpRequest, HttpResponse, Selection
from destinations.outcome import Outcome, Result, State
from destinations.runtime.action import Call, Done, Payload
from destinations.runtime.destination import Code, Delivery, Destination
from destinations.runtime.lists import ListChoice, expected_requests
from destinations.runtime.sender import Sender

Bind = Callable[..., Destination]


def _batches(documents: Any) -> None:
    """Joins the requests of generators, and gives ``find`` a list."""
    requests, sync = documents["destination"]["requests"], documents["sync"]
    sync["perform"] = {
        "generator": "sync",
        "batch": {"size": 8},
        "requests": ["find", "create", "list"],
    }
    requests["find"] |= {
        "batch": {"size": 8},
        "list": {
            "request": "list",
            "key": "id",
            "value": {"@path": "$.payload.id"},
            "absent": "missing",
        },
    }
    requests["create"] |= {"batch": {"size": 8}, "idempotent": True}
    requests["list"] = {
        "description": "Lists everybody.",
        "idempotent": True,
        "graphql": {"document": "query { people { id name } }"},
        "example": [],
    }


@dataclass
class Partner:
    """People by id; ``created`` counts how often each was made, ``asked`` what each request was.

    ``seconds`` is how long each request takes, by its field; ``broken`` fields answer with an
    error, the answers of ``lost`` ones do not come. A ``bad`` one makes all of a creation fail.
    """

    replies: Any
    clock: Any
    people: set[str] = field(default_factory=set)
    refused: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    bad: set[str] = field(default_factory=set)
    lost: dict[str, TransportError] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        body = json.loads(request.body or b"")
        variables = body["variables"]
        ids = [variables[f"id_{at}"] for at in range(len(variables))]
        name = next(one for one in ("people", "person", "create") if f"{one}" in body["query"])
        self.asked.append((name, len(ids)))
        self.clock.now += self.seconds.get(name, 0.0)
        if name in self.lost:
            raise self.lost[name]
        if name in self.broken:
            return self._answer(self.replies.http(500))
        if name == "people":
            return self._answer(
                self.replies.data([{"id": one, "name": None} for one in self.people])
            )
        if name == "create" and self.bad & set(ids):
            return self._answer(self.replies.errors("ODD", data=None))
        values: list[Any] = []
        for at, one in enumerate(ids):
            code = self._code(name, one)
            if code:
                error = {"message": "no", "path": [f"e{at}"], "extensions": {"code": code}}
                return self._answer(self.replies.errors(error, data=None))
            if name == "create":
                self.people.add(one)
                self.created[one] += 1
            values.append({"id": one, "name": None})
        return self._answer(self.replies.data(*values))

    def _code(self, name: str, one: str) -> str:
        if name == "create":
            return "BAD" if one in self.refused else ""
        return "" if one in self.people else "MISSING"

    @staticmethod
    def _answer(reply: Any) -> HttpResponse:
        assert isinstance(reply, HttpResponse)
        return reply


@pytest.fixture
def partner(replies: Any, clock: Any) -> Partner:
    """A partner with nobody."""
    return Partner(replies, clock)


Deliver = Callable[..., list[Result]]


@pytest.fixture
def sender(bind: Bind, scripted: Any, partner: Partner, clock: Any) -> Callable[..., Sender]:
    """What makes a sender of the small destination, with the code of a test or its own."""

    def make(code: Any = None, change: Any = None) -> Sender:
        def changed(documents: Any) -> None:
            _batches(documents)
            if change is not None:
                change(documents)

        destination = bind(changed)
        if code is not None:
            destination = Destination(
                destination.definition, destination.settings, Code({"sync": code})
            )
        return Sender(destination, scripted([partner]), clock=clock)

    return make


def _deliver(sender: Sender, ids: Iterable[str]) -> list[Result]:
    deliveries = []
    for one in ids:
        event = {"type": "identify", "userId": one}
        ((subscription, payload),) = sender._destination.payloads(event)
        assert subscription is not None
        assert isinstance(payload, dict)
        deliveries.append(Delivery(subscription, event, payload))
    return sender.deliver(deliveries)


IDS = [f"u{at}" for at in range(8)]


def test_what_all_ask_for_shares_a_request(sender: Callable[..., Sender], partner: Partner) -> None:
    """People who are known are looked up together, and each event has its own outcome."""
    partner.people |= set(IDS)
    results = _deliver(sender(), IDS)
    assert partner.asked == [("person", 8)]
    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 8
    assert [result.attempts for result in results] == [1] * 8


@pytest.mark.parametrize("missing", [1, 3, 8])
def test_who_is_missing_hides_nobody(
    sender: Callable[..., Sender], partner: Partner, missing: int
) -> None:
    """The list is read once for a batch; who is not in it is created, and nobody else."""
    partner.people |= set(IDS[missing:])
    results = _deliver(sender(), IDS)
    assert partner.asked == [("person", 8), ("people", 0), ("create", missing)]
    assert partner.created == Counter(IDS[:missing])
    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 8


def test_one_event_alone_needs_no_list(sender: Callable[..., Sender], partner: Partner) -> None:
    """Its own answer tells all that there is to know."""
    _deliver(sender(), IDS[:1])
    assert partner.asked == [("person", 1), ("create", 1)]


def test_a_long_list_is_read_when_questions_took_as_long(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """Questions one by one cost at most as much as the list, and the list follows then."""
    partner.people |= set(IDS[1:])
    partner.seconds = {"people": 12.0, "person": 1.0}
    same = sender()
    _deliver(same, IDS)
    partner.asked.clear()
    partner.people.discard("u0")
    _deliver(same, IDS)  # one is missing: the others are asked for without it
    assert partner.asked == [("person", 8), ("person", 3), ("person", 4), ("create", 1)]
    partner.asked.clear()
    partner.people.clear()
    partner.seconds = {"people": 12.0, "person": 3.0}
    _deliver(same, IDS)  # all are missing: that takes too many questions
    assert [name for name, _ in partner.asked] == [*["person"] * 4, "people", "create"]


def test_where_most_were_missing_the_list_comes_at_once(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """A long list is no reason to ask first for everybody whom it will not have either."""
    partner.seconds = {"people": 6.0, "person": 1.0}
    same = sender()
    for _ in range(2):
        partner.people.clear()
        partner.asked.clear()
        _deliver(same, IDS)
        assert partner.asked == [("person", 8), ("people", 0), ("create", 8)]
    # Where it takes longer than all questions, they are asked.
    partner.seconds = {"people": 60.0, "person": 1.0}
    same = sender()
    partner.people.clear()
    _deliver(same, IDS)
    partner.people.clear()
    partner.asked.clear()
    _deliver(same, IDS)
    assert Counter(name for name, _ in partner.asked) == {"person": 8, "create": 1}


@pytest.mark.parametrize(
    ("questions", "share", "requests"),
    [
        *((count, 0.0, 1.0) for count in (1, 2, 100)),
        (0, 0.5, 0.0),
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (100, 1.0, 100.0),  # each request tells of one who is missing
        (2, 0.5, 1.75),
    ],
)
def test_how_many_requests_questions_take(questions: int, share: float, requests: float) -> None:
    """One that has all of them, if nobody is missing; as many as there are, if all are."""
    assert expected_requests(questions, share) == pytest.approx(requests)


@pytest.mark.parametrize(
    ("earlier", "then", "is_cheaper"),
    [
        ([], (100, 0), False),  # nothing is known: no more than the list took is spent
        ([(100, 100)], (100, 0), True),
        ([(100, 1)], (100, 0), False),
        # The latest answers count most.
        ([(100, 0)] * 50, (100, 90), True),
        ([(100, 100)] * 50, (100, 0), True),
        ([(100, 100)], (1_000, 0), False),
    ],
)
def test_what_earlier_answers_tell(
    clock: Any, earlier: Sequence[tuple[int, int]], then: tuple[int, int], *, is_cheaper: bool
) -> None:
    """The share of those who were missing lately decides, beside what both take."""
    choice = ListChoice(clock)
    choice.took("people", 5.0)
    for asked, absent in [*earlier, then]:
        choice.answered("people", asked, absent)
    assert choice.is_cheaper("people", 0.1, 1, [50, 49]) is is_cheaper


def test_a_list_that_cannot_be_had_is_not_asked_for_again(
    sender: Callable[..., Sender], partner: Partner, clock: Any
) -> None:
    """Questions are asked one by one instead, and after ten minutes the list is tried again."""
    partner.broken = frozenset({"people"})
    same = sender()
    assert [result.outcome for result in _deliver(same, IDS[:4])] == [Outcome.DELIVERED] * 4
    assert Counter(name for name, _ in partner.asked)["people"] == 1
    partner.people.clear()
    _deliver(same, IDS[:4])
    assert Counter(name for name, _ in partner.asked)["people"] == 1
    clock.now += 601
    partner.people.clear()
    _deliver(same, IDS[:4])
    assert Counter(name for name, _ in partner.asked)["people"] == 2


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_mutation_that_fails_ends_those_behind_it_alone(
    sender: Callable[..., Sender], partner: Partner, at: int
) -> None:
    """What stands before an error was carried out and is not sent again; what is behind it, is."""
    partner.refused = frozenset({IDS[at]})
    results = _deliver(sender(), IDS)
    expected = [Outcome.DELIVERED] * 8
    expected[at] = Outcome.REJECTED
    assert [result.outcome for result in results] == expected
    assert partner.created == Counter(one for one in IDS if one != IDS[at])


@pytest.mark.parametrize("error_class", ["", "invalid", "not_found", "conflict", "internal"])
def test_an_error_that_names_nobody_is_one_event_s(
    sender: Callable[..., Sender], partner: Partner, error_class: str
) -> None:
    """Whatever its class: the batch is halved until the event to blame is alone."""

    def rule(documents: Any) -> None:
        if error_class:
            documents["destination"]["errorRules"].append(
                {
                    "when": {"code": "ODD"},
                    "class": error_class,
                    "retryable": False,
                    "nothingApplied": False,
                }
            )

    partner.bad = {IDS[2]}
    results = _deliver(sender(change=rule), IDS)
    expected = [Outcome.DELIVERED] * 8
    expected[2] = Outcome.REJECTED
    assert [result.outcome for result in results] == expected
    assert partner.created == Counter(one for one in IDS if one != IDS[2])


def test_mutations_whose_answers_are_looked_at_are_not_taken_for_done(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """An answer that the definition expects something of has to be seen: it is asked for again."""

    def expect(documents: Any) -> None:
        documents["destination"]["requests"]["create"]["expect"] = {
            "type": "object",
            "required": ["id"],
        }

    partner.refused = frozenset({IDS[7]})
    results = _deliver(sender(change=expect), IDS)
    assert [result.outcome for result in results][:7] == [Outcome.DELIVERED] * 7
    assert partner.created == Counter(dict.fromkeys(IDS[:7], 2))


def test_what_is_not_repeatable_is_not_sent_again(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """Those behind an error may have run: nobody knows, so their events are unknown."""

    def once(documents: Any) -> None:
        documents["destination"]["requests"]["create"]["idempotent"] = False

    partner.refused = frozenset({IDS[3]})
    results = _deliver(sender(change=once), IDS)
    assert [result.outcome for result in results] == [
        *[Outcome.DELIVERED] * 3,
        Outcome.REJECTED,
        *[State.UNKNOWN] * 4,
    ]
    assert max(partner.created.values()) == 1


def test_the_same_question_is_asked_once(sender: Callable[..., Sender], partner: Partner) -> None:
    """Where all ask for the list, it is read once; each gets the answer."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        listed = yield Call("list", {})
        return Done(f"{payload['id']} of {len(listed.data)}")

    partner.people |= {"a", "b"}
    results = _deliver(sender(code), IDS)
    assert partner.asked == [("people", 0)]
    assert [result.reason for result in results] == [f"{one} of 2" for one in IDS]


def _ids_of(item: Any) -> Sequence[str]:
    return [item["id"]]


def _only(*ids: str) -> Selection:
    return Selection(_ids_of, frozenset(ids))


def test_each_gets_the_items_that_it_selects(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """Events that ask together get one list with the items of each, and no others."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        listed = yield Call("list", {}, _only(payload["id"]))
        return Done(" ".join(sorted(one["id"] for one in listed.data)))

    partner.people |= {"u0", "u1", "u7", "other"}
    results = _deliver(sender(code), IDS)
    assert partner.asked == [("people", 0)]
    assert [result.reason for result in results] == ["u0 u1 u7"] * 8


@pytest.mark.parametrize(
    ("later", "lists"),
    [
        (_only, 1),
        (lambda one: _only(one, "other"), 1),
        (lambda one: _only(one, "u9"), 2),
        (lambda _: None, 2),
    ],
)
def test_a_list_serves_who_selected_its_items(
    sender: Callable[..., Sender],
    partner: Partner,
    later: Callable[[str], Selection | None],
    lists: int,
) -> None:
    """It answers further questions, and the one for the list; who needs more reads it anew."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        one = payload["id"]
        first = yield Call("find", payload, _only(one, "other"))
        listed = yield Call("list", {}, later(one))
        found = {item["id"] for item in listed.data}
        return Done(f"{first.name} {one in found} {'other' in found}")

    partner.people |= {"u0", "u1", "other", "u9"}
    results = _deliver(sender(code), IDS)
    assert Counter(name for name, _ in partner.asked) == {"person": 1, "people": lists}
    assert {result.reason.split()[2] for result in results} <= {"True", "False"}
    assert [" ".join(result.reason.split()[:2]) for result in results] == [
        *["ok True"] * 2,
        *["missing False"] * 6,
    ]


def test_questions_about_others_than_those_of_a_list(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """A list without somebody does not tell that they are missing."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        yield Call("find", payload, _only(payload["id"]))
        other = yield Call("find", {"id": f"other of {payload['id']}"})
        return Done(other.name)

    partner.people |= {f"other of {one}" for one in IDS}
    results = _deliver(sender(code), IDS)
    assert [result.reason for result in results] == ["ok"] * 8
    assert [name for name, _ in partner.asked] == ["person", "people", "person"]


def test_a_list_is_not_used_after_a_change(sender: Callable[..., Sender], partner: Partner) -> None:
    """Who was created since the list was read is found."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        first = yield Call("find", payload)
        again = yield Call("find", payload)
        yield Call("create", payload)
        last = yield Call("find", payload)
        return Done(f"{first.name}, {again.name}, {last.name}")

    results = _deliver(sender(code), IDS)
    assert [result.reason for result in results] == ["missing, missing, ok"] * 8
    assert partner.asked == [("person", 8), ("people", 0), ("create", 8), ("person", 8)]


def test_plugin_code_that_fails_costs_the_others_nothing(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """Before its first request, between two, or with a request that cannot be made."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        if payload["id"] == "u0":
            raise KeyError("at once")
        yield Call("find", payload)
        if payload["id"] == "u1":
            raise KeyError("later")
        if payload["id"] == "u2":
            yield Call("create", {"id": float("inf")})
        if payload["id"] == "u3":
            sys.exit(0)
        return Done("done")

    partner.people |= set(IDS)
    results = _deliver(sender(code), IDS)
    assert [result.outcome for result in results] == [
        Outcome.DEAD, Outcome.DEAD, Outcome.INVALID, Outcome.DEAD, *[Outcome.DELIVERED] * 4,
    ]  # fmt: skip
    assert partner.asked == [("person", 7)]


def test_generators_of_different_lengths(sender: Callable[..., Sender], partner: Partner) -> None:
    """Each goes on with what it asks for, whatever the others do; none waits for ever."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        number = int(payload["id"][1:])
        for _ in range(number):
            yield Call("find", payload)
        if number % 2:
            yield Call("list", {})
        return Done(str(number))

    partner.people |= set(IDS)
    results = _deliver(sender(code), IDS)
    assert [result.reason for result in results] == [str(at) for at in range(8)]
    assert Counter(name for name, _ in partner.asked) == {"person": 7, "people": 4}


def test_a_list_that_is_too_long_is_asked_for_once(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """An answer that is too long would come again: who needs it is rejected, and others go on."""

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        yield Call("find", payload)
        if payload["id"] == "u0":
            yield Call("list", {})
        return Done("done")

    partner.people |= set(IDS)
    partner.lost["people"] = TransportError("too long", sent=True, too_long=True)
    results = _deliver(sender(code), IDS)
    assert [result.outcome for result in results] == [
        Outcome.REJECTED,
        *[Outcome.DELIVERED] * 7,
    ]
    assert results[0].reason == "too long"
    assert not results[0].maybe_applied
    assert partner.asked == [("person", 8), ("people", 0)]


def test_a_change_whose_answer_is_too_long_is_unknown(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """It was carried out, or not: that its answer cannot be read says nothing about it."""

    def once(documents: Any) -> None:
        documents["destination"]["requests"]["create"]["idempotent"] = False

    partner.lost["create"] = TransportError("too long", sent=True, too_long=True)
    results = _deliver(sender(change=once), IDS)
    assert [result.outcome for result in results] == [State.UNKNOWN] * 8
    assert [result.retry for result in results] == [None] * 8


def test_changes_that_go_alone_are_not_interleaved(
    sender: Callable[..., Sender], partner: Partner
) -> None:
    """What has begun a change of several steps goes on to its end before the next one begins."""

    def alone(documents: Any) -> None:
        del documents["destination"]["requests"]["create"]["batch"]

    order: list[str] = []

    def code(payload: Payload) -> Generator[Call, Answer, Done]:
        yield Call("find", payload)
        order.append(f"{payload['id']} begins")
        yield Call("create", payload)
        yield Call("find", payload)
        yield Call("create", payload)
        order.append(f"{payload['id']} ends")
        return Done("done")

    partner.people |= set(IDS)
    plain = sender(change=alone)
    plain._destination = Destination(
        plain._destination.definition, plain._destination.settings, Code({"sync": code})
    )
    results = _deliver(plain, IDS)
    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 8
    assert partner.asked == [
        ("person", 8),
        *[("create", 1), ("person", 1), ("create", 1)] * 8,
    ]
    assert order[8:] == [f"{one} ends" for one in IDS]
