from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.errors import DestinationsError, StoreDeniedError, TemporaryError
from destinations.outcome import Outcome, State
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import QueuedDelivery, Transition
from destinations.telemetry import LogLines, Logs, Masks, subject_of

Lines = Callable[[], list[dict[str, Any]]]


class Time:
    """A time that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    """At 0."""
    return Time()


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


@pytest.fixture
def logs(stream: io.StringIO, time: Time) -> Iterator[Logs]:
    """Logs as a server has them."""
    with LogLines(Masks(), stream=stream, form="json") as lines:
        yield Logs(lines.logger, monotonic=time)


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    """The lines so far, without what is the same in each."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [
            {key: value for key, value in line.items() if key not in {"timestamp", "logger"}}
            for line in found
        ]

    return read


def test_a_batch_is_one_line(logs: Logs, lines: Lines, became: Callable[..., Transition]) -> None:
    """However many deliveries a batch has, what became of them is one line with counts and ids."""
    logs.transitioned("kana", [became(number) for number in (*range(5, 100), 3)])
    assert lines() == [
        {
            "level": "info",
            "message": "deliveries settled",
            "destination": "kana",
            "action": "count",
            "deliveries": 96,
            "outcomes": {"delivered": 96},
            "first_delivery": 3,
            "last_delivery": 99,
        }
    ]


def test_no_transitions_no_line(logs: Logs, lines: Lines) -> None:
    """Nothing happened, so nothing is said."""
    logs.transitioned("kana", [])
    assert lines() == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"status": State.HELD}, "delivery held for an operator"),
        ({"status": State.HELD, "stage": "reconcile"}, "delivery held for an operator"),
        ({"status": Outcome.DEAD}, "delivery dead"),
        ({"status": Outcome.DEAD, "stage": "plan"}, "delivery dead"),
        ({"status": Outcome.REJECTED}, "delivery rejected"),
        ({"status": State.UNKNOWN}, "answer lost"),
        ({"status": State.UNKNOWN, "stage": "reconcile"}, None),
        ({"status": State.READY}, None),
        ({"status": Outcome.DELIVERED, "stage": "reconcile"}, None),
        ({"status": Outcome.FILTERED}, None),
        ({"status": Outcome.UNMAPPED, "stage": "plan"}, None),
        ({"status": Outcome.INVALID, "stage": "plan"}, None),
    ],
)
def test_trouble_has_a_line_of_its_own(
    logs: Logs,
    lines: Lines,
    became: Callable[..., Transition],
    more: dict[str, Any],
    message: str | None,
) -> None:
    """What somebody may have to look at is a warning with both ids; the rest is only counted."""
    logs.transitioned("kana", [became(7, code="NOT_FOUND", http_status=404, attempts=2, **more)])
    warnings = [line for line in lines() if "delivery" in line]
    expected = {
        "level": "warning",
        "message": message,
        "destination": "kana",
        "delivery": 7,
        "event_id": 70,
        "action": "count",
        "code": "NOT_FOUND",
        "status": 404,
        "stage": more.get("stage", "send"),
        "attempts": 2,
    }
    assert warnings == ([] if message is None else [expected])


def test_what_is_tried_again(logs: Logs, lines: Lines, became: Callable[..., Transition]) -> None:
    """A line a batch with the causes; the first in a row is a warning, until one is answered."""
    fails = {"status": State.READY, "reason": "user-1 is not known"}
    refused = [became(n, code="INVALID_AUTHENTICATION", http_status=401, **fails) for n in (4, 5)]
    late = became(6, code="SELF_TIMEOUT", http_status=408, attempts=3, **fails)
    logs.transitioned("kana", [*refused, late])
    (line,) = lines()
    assert line == {
        "level": "warning",
        "message": "deliveries failed, retry planned",
        "destination": "kana",
        "action": "count",
        "deliveries": 3,
        "causes": {"INVALID_AUTHENTICATION 401": 2, "SELF_TIMEOUT 408": 1},
        "attempts": 3,
        "first_delivery": 4,
        "last_delivery": 6,
    }
    logs.transitioned("kana", [late])
    logs.transitioned("other", [late])
    logs.transitioned("kana", [became(7, Outcome.INVALID, stage="plan")])  # nobody was asked
    logs.transitioned("kana", [late])
    logs.transitioned("kana", [became(8)])
    logs.transitioned("kana", [late])
    assert [line["level"] for line in lines() if "causes" in line] == [
        *("warning", "info"),
        *("warning", "info", "warning"),
    ]


def test_what_is_partly_tried_again(
    logs: Logs, lines: Lines, became: Callable[..., Transition]
) -> None:
    """What of a batch has its outcome is in one line, and what has not in another."""
    logs.transitioned("kana", [became(1), became(2, State.READY, code="X", http_status=503)])
    settled, again = lines()
    assert (settled["outcomes"], settled["deliveries"]) == ({"delivered": 1}, 1)
    assert (again["causes"], again["deliveries"]) == ({"X 503": 1}, 1)


def test_several_actions(logs: Logs, lines: Lines, became: Callable[..., Transition]) -> None:
    """Each has a line of its own, so that counts and causes are those of one request."""
    logs.transitioned(
        "kana",
        [
            became(1, action="count"),
            became(2, action="save"),
            became(3, action="count"),
            became(4, State.READY, action="save", code="X", http_status=503),
        ],
    )
    assert [(line["message"], line["action"], line["deliveries"]) for line in lines()] == [
        ("deliveries settled", "count", 2),
        ("deliveries settled", "save", 1),
        ("deliveries failed, retry planned", "save", 1),
    ]


def test_batches_side_by_side(logs: Logs, lines: Lines, became: Callable[..., Transition]) -> None:
    """Whether a failure is the first in a row is a matter of its destination alone."""
    fails = {"status": State.READY, "code": "X", "http_status": 503}
    logs.transitioned("kana", [became(1, **fails)])
    logs.transitioned("other", [became(2)])
    logs.transitioned("kana", [became(3, **fails)])
    logs.transitioned("other", [became(4, **fails)])
    found = [(line["destination"], line["level"]) for line in lines() if "causes" in line]
    assert found == [("kana", "warning"), ("kana", "info"), ("other", "warning")]


def test_asking_that_failed(logs: Logs, lines: Lines, became: Callable[..., Transition]) -> None:
    """Lost answers that are asked about again are told, a line a batch."""
    transitions = [became(n, State.UNKNOWN, stage="reconcile") for n in (1, 2)]
    logs.transitioned("kana", transitions)
    (line,) = lines()
    assert (line["level"], line["deliveries"]) == ("warning", 2)
    assert line["message"] == "question about lost answers failed, retry planned"


def test_no_customer_is_in_the_lines(
    logs: Logs,
    stream: io.StringIO,
    became: Callable[..., Transition],
    queued: Callable[..., QueuedDelivery],
) -> None:
    """No user, no key of an amount, and nothing of what the partner said of a user."""
    logs.transitioned("kana", [became(1, Outcome.DEAD, reason="user-1 has no such thing")])
    logs.reached("kana", "claimed", [queued(1)])
    logs.drifted("kana", '["user-1","seats"]', 4, 6)
    assert "user-1" not in stream.getvalue()


def test_drift(logs: Logs, lines: Lines) -> None:
    """Both numbers, and a name for the amount by which it is found again."""
    logs.drifted("kana", '["user-1","seats"]', 4, 6)
    (line,) = lines()
    assert (line["level"], line["expected"], line["found"]) == ("warning", 4, 6)
    assert line["subject"] == subject_of('["user-1","seats"]')
    assert line["subject"] != subject_of('["user-2","seats"]')


@pytest.mark.parametrize(
    ("state", "level"), [("open", "warning"), ("half-open", "info"), ("closed", "info")]
)
def test_the_breaker(logs: Logs, lines: Lines, state: str, level: str) -> None:
    """A change is one line; a partner that is down is a warning; its words are cut."""
    logs.breaker("kana", state, "x" * 1000)
    (line,) = lines()
    assert (line["level"], line["state"], line["reason"]) == (level, state, "x" * 300)


@pytest.mark.parametrize(
    ("is_over", "end"), [(True, "no longer refused"), (False, "refused until the server stopped")]
)
def test_refusals_do_not_flood(
    logs: Logs, lines: Lines, time: Time, end: str, *, is_over: bool
) -> None:
    """A few lines for each status say how many there were since the last, and from where.

    The last line claims an end only where there was one.
    """
    for number in range(1_000):
        logs.refused("kana", 401, f"192.0.2.{number % 7}")
    logs.refused("kana", 400, "", "NOT_JSON", 5)
    time.now = 1.5
    logs.refused("kana", 401, "192.0.2.9")
    logs.refused("kana", 401, "192.0.2.8")
    if is_over:
        time.now = 60
        logs._refusals._look()
    logs.close()
    logs.close()
    assert lines() == [
        {
            "level": level,
            "message": message,
            "destination": "kana",
            "status": status,
            "code": "UNAUTHORIZED" if status == 401 else "NOT_JSON",
            "refused": number,
            **more,
            "peer": peer,
        }
        for level, message, status, number, more, peer in [
            ("info", "requests refused", 401, 1, {}, "192.0.2.0"),
            ("warning", "requests refused", 400, 5, {}, ""),
            ("info", "requests refused", 401, 1_000, {}, "192.0.2.9"),
            ("info", f"requests {end}", 401, 1, {"in_all": 1_002}, "192.0.2.8"),
        ]
    ]


@pytest.mark.parametrize(
    ("destination", "status", "levels"),
    [
        *(("kana", status, ["warning", "info"]) for status in (400, 409, 413, 415, 501)),
        *(("kana", status, ["info", "info"]) for status in (401, 403, 405, 408, 500, 503)),
        ("", 404, ["info", "info"]),
        ("", 400, ["info", "info"]),
    ],
)
def test_lost_events_have_a_warning(
    logs: Logs, lines: Lines, destination: str, status: int, levels: list[str]
) -> None:
    """The first of a burst, if nobody sends them again; what comes again, or of strangers, not."""
    for _ in range(3):
        logs.refused(destination, status, "192.0.2.1")
    logs.close()
    assert [one["level"] for one in lines()] == levels


def test_refused_events_that_are_not_kept(logs: Logs, lines: Lines) -> None:
    """A warning says so at once, and one at the end how many there were."""
    logs.unkept("kana", 3)
    logs.unkept("kana", 4)
    logs.close()
    first, last = lines()
    assert (first["level"], first["events"], first.get("in_all")) == ("warning", 3, None)
    assert first["message"].startswith("refused events not kept: more came than can be written")
    assert (last["level"], last["events"], last["in_all"]) == ("warning", 4, 7)
    assert last["message"] == "refused events not kept until the server stopped"


def test_connections_that_are_turned_away(logs: Logs, lines: Lines) -> None:
    """One line says that it begins, one that it has ended, and how many there were."""
    for _ in range(40_000):
        logs.turned_away(900)
    logs.close()
    first, last = lines()
    assert (first["level"], first["most"], first["turned_away"]) == ("warning", 900, 1)
    assert first["message"] == "connections turned away: as many are open as may be (900)"
    assert last == {
        "level": "warning",
        "message": "connections turned away until the server stopped",
        "most": 900,
        "turned_away": 39_999,
        "in_all": 40_000,
    }


@pytest.mark.parametrize("error", [TemporaryError, StoreDeniedError])
def test_a_store_that_is_away(
    logs: Logs, lines: Lines, time: Time, error: type[DestinationsError]
) -> None:
    """It is no fault of this program: one line says why, and again each minute."""
    for seconds, why in (
        (0, "starts"),
        (1, "starts"),
        (30, "starts"),
        (62, "starts"),
        (63, "ends"),
    ):
        time.now = float(seconds)
        logs.failed("kana", error(why))
    assert [(one["level"], one["reason"]) for one in lines()] == [
        ("warning", "starts"),
        ("warning", "starts"),
        ("warning", "ends"),
    ]
    assert not any("exception" in one for one in lines())


def test_internal_errors(logs: Logs, lines: Lines) -> None:
    """What is wrong with this program is an error with the way to it; in other observers too."""
    nothing: dict[str, int] = {}
    try:
        nothing["here"]
    except LookupError as error:
        logs.failed("kana", error)
        logs.broken(Observer(), error)
    first, second = lines()
    assert first["level"] == second["level"] == "error"
    assert "KeyError: 'here'" in first["exception"]
    assert "test_internal_errors" in first["exception"]
    assert second["observer"] == "observer"


def test_debugging(
    stream: io.StringIO,
    lines: Lines,
    queued: Callable[..., QueuedDelivery],
    became: Callable[..., Transition],
) -> None:
    """The level debug has each point with the ids, and what was accepted."""
    with LogLines(Masks(), stream=stream, form="json", level="debug") as opened:
        logs = Logs(opened.logger)
        logs.accepted("kana", 3, 1)
        filtered = [
            became(number, Outcome.FILTERED, action=None, reason="user-1", stage="plan")
            for number in (1, 2)
        ]
        logs.ended("kana", filtered)
        logs.reached("kana", "sending", [queued(4), queued(5)])
    accepted, ended, reached = lines()
    assert ended["outcomes"] == {"filtered": 2}
    assert (accepted["events"], accepted["duplicates"]) == (3, 1)
    assert (reached["point"], reached["deliveries"]) == ("sending", [4, 5])
