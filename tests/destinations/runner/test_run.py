"""A run accounts for every entry, keeps each user's order, and stops without losing anything."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

from destinations.http import HttpRequest, HttpResponse
from destinations.outcome import Outcome
from destinations.runner import Entry, Report, Row, Run, Undelivered, read_lines
from destinations.runtime.destination import Destination
from destinations.secrets import Masker

Bind = Callable[..., Destination]


def _track(by: object = 1, user: str = "u1", **more: Any) -> dict[str, Any]:
    properties = {"by": by, "thing": "t"}
    return {"type": "track", "userId": user, "event": "Used", "properties": properties, **more}


def _entries(*events: dict[str, Any] | bytes) -> Iterator[Entry]:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return read_lines(BytesIO(b"\n".join(lines)))


class Runner:
    """Runs entries against a transport, and keeps rows and what was not delivered."""

    def __init__(self, destination: Destination, clock: Any) -> None:
        self.destination = destination
        self.clock = clock
        self.rows: list[Row] = []
        self.undelivered = BytesIO()

    def __call__(self, transport: Any, entries: Iterator[Entry], **options: Any) -> Report:
        self.rows.clear()
        recorders = [self._record, Undelivered(self.undelivered, Masker()).record]
        run = Run(self.destination, transport, clock=self.clock, recorders=recorders, **options)
        return run.execute(entries)

    def _record(self, rows: Any) -> None:
        self.rows.extend(row for row, _ in rows)

    @property
    def outcomes(self) -> dict[int, list[str]]:
        """The outcomes of each line."""
        found: dict[int, list[str]] = {}
        for row in self.rows:
            found.setdefault(row.line, []).append(row.result.outcome.value)
        return dict(sorted(found.items()))


@pytest.fixture
def runner(bind: Bind, clock: Any) -> Runner:
    """A runner of the small destination."""
    return Runner(bind(), clock)


def _partner(replies: Any) -> Callable[[HttpRequest], HttpResponse]:
    """Counts everything, saves every page, and finds everybody."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.method == "PUT":
            return replies.http(200)
        if "person" in json.loads(request.body or b"")["query"]:
            return replies.data({"id": "u1", "name": "Ada"})
        return replies.success(request)

    return answer


def test_every_line_has_its_row(runner: Runner, scripted: Any, replies: Any) -> None:
    """Whatever is in a file: one outcome for each line, and totals that add up to the lines."""
    events: list[tuple[dict[str, Any] | bytes, str | None]] = [
        (_track(messageId="m1"), "delivered"),
        (b"not json", "invalid"),
        (b"", None),
        (b"[]", "invalid"),
        ({"type": "page", "userId": "u1", "name": "home"}, "delivered"),
        ({"type": "group", "userId": "u1", "groupId": "g"}, "filtered"),
        ({"type": "identify", "userId": "u1"}, "delivered"),
        ({"type": "identify", "anonymousId": "a"}, "invalid"),
        (_track(messageId="m1"), "filtered"),
        (_track(integrations={"Sample": False}), "filtered"),
        ({**_track(), "properties": {"by": 1}}, "unmapped"),
        ({**_track(), "properties": {"thing": "t"}}, "invalid"),
        (_track("many"), "invalid"),
        (b'{"type": "track", "type": "page"}', "invalid"),
        (b"x" * 40_000, "invalid"),
        (b"", None),
    ]
    report = runner(scripted([_partner(replies)]), _entries(*[event for event, _ in events]))
    assert runner.outcomes == {
        line: [outcome] for line, (_, outcome) in enumerate(events, start=1) if outcome is not None
    }
    assert (report.lines, report.empty) == (15, 1)  # the last line is empty: it is the file's end
    assert report.ledger.rows == len(runner.rows) == report.lines - report.empty
    assert report.ledger.outcomes == {
        Outcome.DELIVERED: 3,
        Outcome.FILTERED: 3,
        Outcome.UNMAPPED: 1,
        Outcome.INVALID: 7,
    }
    assert report.stopped is None
    assert report.requests == 3
    actions = {row.line: row.action for row in runner.rows}
    assert [actions[line] for line in (1, 2, 5, 6, 7, 11, 13)] == [
        "count",
        None,
        "save",
        None,
        "sync",
        "count",
        "count",
    ]


def test_a_line_may_be_for_several_actions(
    bind: Bind, clock: Any, scripted: Any, replies: Any
) -> None:
    """One row for each subscription that takes it."""

    def change(documents: Any) -> None:
        documents["destination"]["presets"][1]["subscribe"] = 'type = "track"'

    runner = Runner(bind(change), clock)
    report = runner(scripted([_partner(replies)]), _entries(_track(), _track()))
    assert report.lines == 2
    assert report.ledger.rows == 4
    assert sorted(row.action or "" for row in runner.rows) == ["count", "count", "save", "save"]


def _random_events(seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    size = draw.choice([1, 5, 20, 60])
    return [(draw.choice("abc"), draw.choice(["track", "track", "page"])) for _ in range(size)]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_a_user_is_kept(
    runner: Runner, scripted: Any, replies: Any, seed: int
) -> None:
    """The partner sees each user's events in their order, each of them once."""
    events = _random_events(seed)
    seen: list[int] = []
    lock = threading.Lock()

    def partner(request: HttpRequest) -> HttpResponse:
        with lock:
            if request.method == "PUT":
                seen.append(int(request.url.rpartition("/")[2]))
            else:
                variables = json.loads(request.body or b"")["variables"]
                seen.extend(value for _, value in sorted(variables.items()))
        return _partner(replies)(request)

    made = [
        _track(number, user)
        if kind == "track"
        else {"type": "page", "userId": user, "name": str(number)}
        for number, (user, kind) in enumerate(events)
    ]
    report = runner(scripted([partner]), _entries(*made))
    assert report.ledger.outcomes[Outcome.DELIVERED] == len(events)
    assert sorted(seen) == list(range(len(events)))
    for user in "abc":
        own = [number for number in seen if events[number][0] == user]
        assert own == sorted(own)


def test_tracks_share_requests(runner: Runner, scripted: Any, replies: Any) -> None:
    """Events of one action go in batches of the definition's size."""
    transport = scripted([_partner(replies)])
    held = threading.Event()

    def entries() -> Iterator[Entry]:
        yield from _entries(*[_track(number, f"u{number}") for number in range(9)])
        held.set()

    def partner(request: HttpRequest) -> HttpResponse:
        assert held.wait(10)  # everything is read before the first answer
        return _partner(replies)(request)

    transport.replies = [partner]
    report = runner(transport, entries())
    assert report.ledger.outcomes == {Outcome.DELIVERED: 9}
    assert report.requests == len(transport.requests)
    assert 3 <= report.requests <= 4
    assert max(len(variables) for variables in transport.variables) == 4


def test_tracks_of_one_user(runner: Runner, scripted: Any, replies: Any) -> None:
    """They do not share a request: one that is tried again must not come after a later one."""
    transport = scripted([_partner(replies)])
    report = runner(transport, _entries(*[_track(number) for number in range(5)]))
    assert (report.ledger.outcomes, report.requests) == ({Outcome.DELIVERED: 5}, 5)


def test_wrong_credentials_stop_the_run(runner: Runner, scripted: Any, replies: Any) -> None:
    """Nothing more is read or sent; what was read can be fed back, and nothing is called dead."""
    read = []

    def entries() -> Iterator[Entry]:
        for entry in _entries(*[_track(number) for number in range(20_000)]):
            read.append(entry.line)
            yield entry

    report = runner(scripted([replies.errors({"message": "Who are you?"})]), entries())
    assert report.stopped is not None
    assert report.stopped.why == "authentication"
    assert report.stopped.message == "Who are you?"
    assert report.lines == len(read) < 20_000
    assert report.ledger.outcomes == {Outcome.RETRYING: len(read)}
    assert len(runner.undelivered.getvalue().splitlines()) == len(read)
    assert report.requests <= runner.destination.definition.transport.concurrency


def test_what_was_not_delivered_can_be_fed_back(
    runner: Runner, scripted: Any, replies: Any
) -> None:
    """A second run over the file delivers the rest, but not what may have been applied."""
    count = {"n": 0}

    def partner(request: HttpRequest) -> Any:
        if request.method == "PUT":
            return replies.refused
        count["n"] += 1
        return replies.lost

    page = {"type": "page", "userId": "u2", "name": "home", "messageId": "p1"}
    first = runner(scripted([partner]), _entries(_track(messageId="m1"), page, b"not json"))
    assert first.ledger.outcomes == {Outcome.UNKNOWN: 1, Outcome.DEAD: 1, Outcome.INVALID: 1}
    fed = BytesIO(runner.undelivered.getvalue())
    transport = scripted([_partner(replies)])
    second = runner(transport, read_lines(fed))
    assert second.ledger.outcomes == {Outcome.DELIVERED: 1, Outcome.UNKNOWN: 1, Outcome.INVALID: 1}
    assert [request.method for request in transport.requests] == ["PUT"]


def test_what_is_fed_back_is_for_its_action_only(
    bind: Bind, clock: Any, scripted: Any, replies: Any
) -> None:
    """An event that two actions took, and only one delivered, goes to the other one alone."""

    def change(documents: Any) -> None:
        documents["destination"]["presets"][1]["subscribe"] = 'type = "track"'

    def only(method: str) -> Callable[[HttpRequest], Any]:
        return lambda request: (
            _partner(replies)(request) if request.method == method else replies.refused
        )

    for delivered, missing in (("PUT", "POST"), ("POST", "PUT")):
        runner = Runner(bind(change), clock)
        runner(scripted([only(delivered)]), _entries(_track(messageId="m1")))
        fed = runner.undelivered.getvalue()
        assert len(fed.splitlines()) == 1
        transport = scripted([_partner(replies)])
        report = runner(transport, read_lines(BytesIO(fed)))
        assert report.ledger.outcomes == {Outcome.DELIVERED: 1}
        assert [request.method for request in transport.requests] == [missing]


def test_duplicates_in_what_is_fed_back(
    bind: Bind, clock: Any, scripted: Any, replies: Any
) -> None:
    """Both actions of one message are delivered, and each of them once, whatever else is read."""

    def change(documents: Any) -> None:
        documents["destination"]["presets"][1]["subscribe"] = 'type = "track"'

    runner = Runner(bind(change), clock)
    event = _track(messageId="m1")
    runner(scripted([replies.refused]), _entries(event))
    fed = runner.undelivered.getvalue()
    both = [b"POST", b"PUT"]
    for data in (
        fed,
        fed + fed,
        json.dumps(event).encode() + b"\n" + fed,
        fed + json.dumps(event).encode(),
    ):
        transport = scripted([_partner(replies)])
        runner(transport, read_lines(BytesIO(data)))
        assert sorted(request.method.encode() for request in transport.requests) == both
        outcomes = [outcome for found in runner.outcomes.values() for outcome in found]
        assert outcomes.count("delivered") == 2
        assert set(outcomes) <= {"delivered", "filtered"}


def test_an_interrupt_loses_nothing(runner: Runner, scripted: Any, replies: Any) -> None:
    """Ctrl-C ends the reading, and what was read has its row."""

    def entries() -> Iterator[Entry]:
        yield from _entries(*[_track(number, f"u{number}") for number in range(50)])
        signal.raise_signal(signal.SIGINT)

    report = runner(scripted([_partner(replies)]), entries())
    assert report.stopped is not None
    assert report.stopped.why == "interrupted"
    assert report.ledger.rows == 50
    assert set(report.ledger.outcomes) <= {Outcome.DELIVERED, Outcome.RETRYING}


def test_a_source_that_breaks_loses_nothing(runner: Runner, scripted: Any, replies: Any) -> None:
    """What was read before has its rows when the error comes out."""

    def entries() -> Iterator[Entry]:
        yield from _entries(*[_track(number, f"u{number}") for number in range(50)])
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        runner(scripted([_partner(replies)]), entries())
    assert len(runner.rows) == 50
    assert {row.result.outcome for row in runner.rows} <= {Outcome.DELIVERED, Outcome.RETRYING}


def test_a_recorder_that_breaks_ends_the_run(runner: Runner, scripted: Any, replies: Any) -> None:
    """A full disk must not leave the reader waiting for workers that have died."""

    def full(_: object) -> None:
        raise OSError("no space left")

    transport = scripted([_partner(replies)])
    run = Run(runner.destination, transport, clock=runner.clock, recorders=[full])
    with pytest.raises(OSError, match="no space left"):
        run.execute(_entries(*[_track(number, f"u{number}") for number in range(5000)]))
    assert len(transport.requests) <= 2 * runner.destination.definition.transport.concurrency


def test_texts_that_cannot_be_written_are_reported_all_the_same(
    bind: Bind, clock: Any, scripted: Any, replies: Any
) -> None:
    """A mapping can make half a surrogate pair; its event alone is invalid, and can be fed back."""

    def change(documents: Any) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["by"]["default"] = {
            "@json": {"mode": "decode", "value": {"@path": "$.properties.by"}}
        }

    runner = Runner(bind(change), clock)
    events = [_track("1"), _track('"\\ud800"'), _track('["\\udfff"]'), _track("2")]
    report = runner(scripted([_partner(replies)]), _entries(*events))
    assert report.ledger.outcomes == {Outcome.DELIVERED: 2, Outcome.INVALID: 2}
    again = runner(
        scripted([_partner(replies)]), read_lines(BytesIO(runner.undelivered.getvalue()))
    )
    assert again.ledger.outcomes == {Outcome.INVALID: 2}
    assert [row.line for row in runner.rows] == [1, 2]
    assert {row.result.code for row in runner.rows} == {"PAYLOAD_VALIDATION_FAILED"}


def test_a_fault_of_the_transport_comes_out(runner: Runner, scripted: Any) -> None:
    """An error that is none of a partner is not swallowed by a worker."""

    def broken(_: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runner(scripted([broken]), _entries(*[_track(n, f"u{n}") for n in range(5000)]))
