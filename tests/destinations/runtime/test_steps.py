"""The steps of an action: what is made after which answers, and what becomes of the event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result, State
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.sender import Sender

Bind = Callable[..., Destination]

REPEATABLE = {"repeatable": True}


@pytest.fixture
def deliver(
    bind: Bind, scripted: Any, contacts: Any, with_steps: Any, clock: Any
) -> Callable[..., list[Result]]:
    """Delivers identify calls of users with these emails to contacts."""

    def make(
        emails: Iterable[str], change: Any = None, *, resumes: bool = False, **perform: Any
    ) -> list[Result]:
        def changed(documents: Any) -> None:
            with_steps(documents)
            documents["sync"]["perform"] |= perform
            if change is not None:
                change(documents)

        destination = bind(changed)
        deliveries = []
        for email in emails:
            event = {"type": "identify", "userId": email, "traits": {"email": email, "name": "A"}}
            ((subscription, payload),) = destination.payloads(event)
            assert subscription is not None
            assert isinstance(payload, dict)
            deliveries.append(Delivery(subscription, event, payload, resumes=resumes))
        return Sender(destination, scripted([contacts]), clock=clock).deliver(deliveries)

    return make


Deliver = Callable[..., list[Result]]


def test_who_is_missing_is_created(deliver: Deliver, contacts: Any) -> None:
    """The step that would change a contact is left out, as its condition does not hold."""
    (result,) = deliver(["a@x"])
    assert (contacts.asked, contacts.created) == (["find", "create"], ["a@x"])
    assert (result.outcome, result.reason) == (Outcome.DELIVERED, "steps: find, create")
    assert result.attempts == 2


def test_who_is_found_is_changed(deliver: Deliver, contacts: Any) -> None:
    """The id in the address comes from the answer of the first step."""
    contacts.people["a@x"] = "c/5"
    (result,) = deliver(["a@x"])
    assert contacts.created == []
    assert contacts.changed == [("c%2F5", {"name": "A"})]
    assert result.reason == "steps: find, change"


@pytest.mark.parametrize(
    ("step", "done", "perform", "outcome", "is_part"),
    [
        # Nothing was changed before, or what was may be sent again.
        ("find", True, {}, State.READY, False),
        ("change", True, {}, State.READY, False),
        ("create", False, {}, State.UNKNOWN, False),
        ("create", True, {}, State.UNKNOWN, False),
        ("create", True, REPEATABLE, State.READY, False),
    ],
)
def test_a_lost_answer(  # noqa: PLR0917 - fixtures, and the cells of a table
    deliver: Deliver,
    contacts: Any,
    replies: Any,
    step: str,
    done: bool,
    perform: Any,
    outcome: State,
    is_part: bool,
) -> None:
    """Only a whole that may be repeated waits for another attempt after one that may not be."""
    if step == "change":
        contacts.people["a@x"] = "c5"
    contacts.hook = lambda what, after: replies.lost if (what, after) == (step, done) else None
    (result,) = deliver(["a@x"], **perform)
    assert (result.outcome, result.applied_in_part) == (outcome, is_part)
    assert f"in the step {step}" in result.reason
    assert result.maybe_applied is (step != "find")


def test_another_attempt_makes_nothing_twice(deliver: Deliver, contacts: Any, replies: Any) -> None:
    """The look-up of the next attempt finds what the lost request has created."""
    contacts.hook = lambda what, after: replies.lost if (what, after) == ("create", True) else None
    (lost,) = deliver(["a@x"], repeatable={"after": 7})
    assert (lost.outcome, contacts.created) == (State.READY, ["a@x"])
    assert lost.retry is not None
    assert lost.retry.at_least == 7  # until the request cannot arrive any more
    contacts.hook = lambda _what, _after: None
    (again,) = deliver(["a@x"], repeatable=True)
    assert (again.outcome, again.reason) == (Outcome.DELIVERED, "steps: find, change")
    assert contacts.created == ["a@x"]


@pytest.mark.parametrize(
    ("step", "reply", "at_least"),
    [
        ("find", "lost", 0),  # it changes nothing
        ("create", "refused", 0),  # it never left
        ("create", "lost", 120),
    ],
)
def test_a_request_that_may_still_arrive(
    deliver: Deliver, contacts: Any, replies: Any, step: str, reply: str, at_least: float
) -> None:
    """The look-up would come too early, and find nobody who is created a moment later."""
    answer = getattr(replies, reply)
    contacts.hook = lambda what, after: answer if (what, after) == (step, False) else None
    (lost,) = deliver(["a@x"], repeatable=True)
    assert lost.outcome is State.READY
    assert lost.retry is not None
    assert lost.retry.at_least == at_least


def _tagged(documents: Any) -> None:
    """A third step follows the creation, with the answer of it."""
    requests = documents["destination"]["requests"]
    requests["tag"] = requests.pop("alter")
    requests["tag"]["rest"]["path"][1] = {"@path": "$.answers.create.id"}
    steps = documents["sync"]["perform"]["steps"]
    steps[2:] = [{"name": "tag", "request": "tag", "when": {"create": "ok"}}]


@pytest.mark.parametrize(
    ("perform", "outcome"), [({}, State.UNKNOWN), (REPEATABLE, Outcome.REJECTED)]
)
def test_a_later_step_that_is_refused(
    deliver: Deliver, contacts: Any, replies: Any, perform: Any, outcome: Any
) -> None:
    """What was created before stays: unless all may be done again, an operator has to know."""
    contacts.hook = lambda what, _after: replies.http(400, "no") if what == "change" else None
    (result,) = deliver(["a@x"], _tagged, **perform)
    assert (result.outcome, result.applied_in_part) == (outcome, outcome is State.UNKNOWN)
    assert result.reason == "HTTP 400: no (in the step tag, after find, create)"


def test_a_step_without_the_answer_that_it_reads(deliver: Deliver, contacts: Any) -> None:
    """The request cannot be made, and the reason names step and place."""
    contacts.people["a@x"] = ""
    (result,) = deliver(["a@x"])
    assert result.outcome is Outcome.INVALID
    assert result.reason == (
        "the request alter cannot be made: /path/1: is empty; expected a value, as it is a segment"
        " of the path (in the step change, after find)"
    )


def _named(documents: Any) -> None:
    """The search answers 404 where it finds nobody."""
    requests = documents["destination"]["requests"]
    requests["search"]["answers"] = [{"name": "missing", "when": {"status": 404}}]
    steps = documents["sync"]["perform"]["steps"]
    steps[1]["when"], steps[2]["when"] = {"find": "missing"}, {"find": "ok"}


def test_a_named_answer(deliver: Deliver, contacts: Any, replies: Any) -> None:
    """An error that counts as an answer chooses a step by its name."""
    contacts.hook = lambda what, after: replies.http(404) if what == "find" and after else None
    (result,) = deliver(["a@x"], _named)
    assert result.reason == "steps: find (missing), create"
    assert contacts.created == ["a@x"]


def test_a_schema_never_fits_an_error(deliver: Deliver, contacts: Any, replies: Any) -> None:
    """An error that counts as an answer has no value, and no step goes on by a schema of one."""

    def change(documents: Any) -> None:
        _named(documents)
        documents["sync"]["perform"]["steps"][1]["when"] = {"find": {"not": {"type": "string"}}}

    contacts.hook = lambda what, after: replies.http(404) if what == "find" and after else None
    (result,) = deliver(["a@x"], change, otherwise="delivered")
    assert (result.outcome, result.reason) == (Outcome.DELIVERED, "steps: find (missing)")


def test_what_waits_for_a_step_that_was_left_out(deliver: Deliver, contacts: Any) -> None:
    """It is left out as well."""
    contacts.people["a@x"] = "c5"
    (result,) = deliver(["a@x"], _tagged, otherwise="delivered")
    assert (result.reason, contacts.asked) == ("steps: find", ["find"])


def _exactly_two(documents: Any) -> None:
    """No step is for a search that finds one contact."""
    two = {"type": "array", "minItems": 2}
    found = {"type": "object", "required": ["results"], "properties": {"results": two}}
    documents["sync"]["perform"]["steps"][2]["when"] = {"find": found}


LEFT_OUT = "left out: create, change"
WHY = "no step fits, so nothing was changed: find answered {results: array of 1}; " + LEFT_OUT

UNCHANGED: list[tuple[str | None, bool, Any, str]] = [
    (None, False, Outcome.REJECTED, WHY),
    ("filtered", False, Outcome.FILTERED, WHY),
    ("delivered", False, Outcome.DELIVERED, "steps: find"),
    # An earlier attempt may have changed what is found now.
    (None, True, State.HELD, f"an earlier attempt may have changed something, and now {WHY}"),
    ("filtered", True, Outcome.DELIVERED, "steps: find"),
    ("delivered", True, Outcome.DELIVERED, "steps: find"),
]


@pytest.mark.parametrize(("otherwise", "resumes", "outcome", "reason"), UNCHANGED)
def test_an_answer_that_no_step_fits(
    deliver: Deliver,
    contacts: Any,
    otherwise: str | None,
    resumes: bool,
    outcome: Any,
    reason: str,
) -> None:
    """The look-up alone is no delivery, unless the definition says that nothing is to be done."""
    contacts.people["a@x"] = "c5"
    perform = {} if otherwise is None else {"otherwise": otherwise}
    (result,) = deliver(["a@x"], _exactly_two, resumes=resumes, **perform)
    assert (result.outcome, contacts.asked) == (outcome, ["find"])
    assert result.reason.startswith(reason)
    assert result.maybe_applied is False
    code = "CONFLICT" if outcome is State.HELD else "NO_STEP"
    assert result.code == (None if outcome is Outcome.DELIVERED else code)


FORMS: list[tuple[Any, str]] = [
    ({"results": [1], "total": 2}, "{results: array of 1, total: number}"),
    ({"error": {"code": 7}, "ok": False, "at": None}, "{error: object, ok: boolean, at: null}"),
    ({}, "{}"),
    ([], "array of 0"),
    ("<html>", "string"),
    (None, "null"),
    (dict.fromkeys("abcdefghij", 1), "h: number, ...}"),
    ({"k" * 99: 1}, "{" + "k" * 40 + ": number}"),
]


@pytest.mark.parametrize(("answer", "form"), FORMS, ids=lambda one: str(one)[:20])
def test_a_success_of_another_form(
    deliver: Deliver, contacts: Any, replies: Any, answer: Any, form: str
) -> None:
    """The reason says what came, without its values."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["search"]["expect"] = {"not": {"const": 1}}
        _exactly_two(documents)

    reply = replies.http(200, answer)
    contacts.hook = lambda what, after: reply if what == "find" and after else None
    (result,) = deliver(["a@x"], change)
    assert result.outcome is Outcome.REJECTED
    assert f"{form}; {LEFT_OUT}" in result.reason


def test_the_same_question_of_several_events_is_asked_once(deliver: Deliver, contacts: Any) -> None:
    """A search only reads, whatever its method; each other question is asked on its own."""
    contacts.people |= {"a@x": "c5", "b@x": "c6"}
    results = deliver(["a@x", "b@x", "a@x"], batch={"size": 3})
    assert contacts.asked.count("find") == 2
    assert [one for one, _ in contacts.changed] == ["c5", "c6", "c5"]
    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 3


def test_questions_at_different_addresses_are_different(deliver: Deliver, contacts: Any) -> None:
    """The address belongs to a question, though all else is the same."""

    def change(documents: Any) -> None:
        alter = documents["destination"]["requests"]["alter"]
        alter["readOnly"] = True
        alter["rest"]["json"] = {}

    contacts.people |= {"a@x": "c5", "b@x": "c6"}
    deliver(["a@x", "b@x"], change, batch={"size": 2}, otherwise="delivered")
    assert [one for one, _ in contacts.changed] == ["c5", "c6"]


def test_events_that_are_created_go_one_after_another(deliver: Deliver, contacts: Any) -> None:
    """Each has its own creation, in the order of the events."""
    results = deliver(["a@x", "b@x"], batch={"size": 2})
    assert contacts.created == ["a@x", "b@x"]
    assert {result.reason for result in results} == {"steps: find, create"}
