from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.secrets import MASK, Secret
from destinations.telemetry import Form, Level, LogLines, Masks

CANARY = "canary-7f3a\n"

Open = Callable[..., LogLines]


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


@pytest.fixture
def opened(stream: io.StringIO) -> Iterator[Open]:
    """Opens log lines; closed after the test."""
    lines: list[LogLines] = []

    def make(level: Level = "info", form: Form = "json") -> LogLines:
        lines.append(LogLines(Masks([CANARY]), stream=stream, level=level, form=form))
        return lines[-1].__enter__()

    yield make
    for one in lines:
        one.__exit__()


def _fault() -> ValueError:
    """A fault with another one behind it, and the way to both."""
    nothing: dict[str, int] = {}
    try:
        nothing[CANARY]
    except KeyError as error:
        fault = ValueError(f"about {CANARY}")
        fault.__cause__ = error
        return fault
    raise AssertionError


def test_a_line(opened: Open, stream: io.StringIO) -> None:
    """One JSON object a line: time in UTC, level, logger and message first, then the rest."""
    opened().logger.warning("something happened", delivery=3, reason="a\nb")
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert list(line) == ["timestamp", "level", "logger", "message", "delivery", "reason"]
    assert line["timestamp"].endswith("Z")
    del line["timestamp"]
    assert line == {
        "level": "warning",
        "logger": "destinations.serve",
        "message": "something happened",
        "delivery": 3,
        "reason": "a\nb",
    }


WAYS: list[tuple[str, Callable[[LogLines], object]]] = [
    ("message", lambda lines: lines.logger.error(f"at {CANARY}")),
    ("value", lambda lines: lines.logger.error("x", reason=f"at {CANARY}")),
    ("nested", lambda lines: lines.logger.error("x", a={"b": [f"at {CANARY}"]})),
    ("key", lambda lines: lines.logger.error("x", **{CANARY: 1})),
    ("object", lambda lines: lines.logger.error("x", error=ValueError(CANARY))),
    ("fault", lambda lines: lines.logger.error("x", exc_info=_fault())),
    ("logging", lambda _: logging.getLogger("other").error("at %s", CANARY)),
    ("logged fault", lambda _: logging.getLogger("o").error("x", exc_info=_fault())),
    ("another secret", lambda lines: lines.logger.error("x", key=Secret(CANARY))),
]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(("_name", "log"), WAYS, ids=[name for name, _ in WAYS])
def test_no_secret_gets_out(
    opened: Open, stream: io.StringIO, form: Form, _name: str, log: Callable[[LogLines], object]
) -> None:
    """Whatever way a secret takes into a line, its place shows the mask."""
    log(opened(form=form))
    text = stream.getvalue()
    assert "canary" not in text
    assert MASK in text


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(opened: Open, stream: io.StringIO, level: Level, expected: list[str]) -> None:
    """A level takes itself and what is worse, from everywhere; servers only say what is wrong."""
    logger = opened(level).logger
    for name in ("debug", "info", "warning", "error"):
        getattr(logger, name)("x")
        getattr(logging.getLogger("other"), name)("x")
    logging.getLogger("uvicorn.error").info("started")
    found = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert found == [name for name in expected for _ in range(2)]


def test_a_thread_that_ends(opened: Open, stream: io.StringIO) -> None:
    """A fault that ends a thread is logged with its way, and not printed past the mask."""
    opened()

    def work() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=work, name="worker-1")
    thread.start()
    thread.join()
    line = json.loads(stream.getvalue())
    assert line["message"] == "thread ended with an internal error"
    assert line["thread"] == "worker-1"
    assert "ValueError" in line["exception"]
    assert "canary" not in stream.getvalue()


def test_text_for_a_terminal(opened: Open, stream: io.StringIO) -> None:
    """Control characters of others do nothing on a terminal; the message can be read."""
    opened(form="text").logger.warning("it broke", reason="red \x1b[31m text")
    text = stream.getvalue()
    assert "it broke" in text
    assert "\\x1b[31m" in text
    assert "\x1b" not in text


def test_colors_are_for_terminals() -> None:
    """Text that goes elsewhere, such as to a journal, has none."""
    for made, has in ((io.StringIO, False), (_Terminal, True)):
        stream = made()
        with LogLines(Masks(), stream=stream, form="text") as lines:
            lines.logger.info("x")
        assert ("\x1b" in stream.getvalue()) is has


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("made", "is_json"), [(io.StringIO, True), (_Terminal, False)])
def test_the_form_by_itself(made: type[io.StringIO], *, is_json: bool) -> None:
    """JSON for programs, text for a terminal."""
    stream = made()
    with LogLines(Masks(), stream=stream) as lines:
        lines.logger.info("x")
    assert stream.getvalue().startswith("{") is is_json


def test_a_stream_that_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written is counted; nothing is raised, and nothing goes elsewhere."""
    stream = io.StringIO()
    with LogLines(Masks([CANARY]), stream=stream, form="json") as lines:
        stream.close()
        lines.logger.error(CANARY)
        assert lines.lost == 1
    assert capsys.readouterr() == ("", "")


def test_afterwards_all_is_as_before() -> None:
    """Handlers, levels and the hook of threads are put back."""
    root = logging.getLogger()

    def state() -> Any:
        levels = [logging.getLogger(name).level for name in ("", "uvicorn", "urllib3")]
        return list(root.handlers), levels, threading.excepthook

    before = state()
    with LogLines(Masks(), stream=io.StringIO(), level="error"):
        assert state() != before
    assert state() == before


class _Clock:
    """A time and timers that go by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def start(self, seconds: float, call: Callable[[], None]) -> _Clock:
        self.waiting.append((self.now + seconds, call))
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def pass_to(self, now: float) -> None:
        while self.waiting and self.waiting[0][0] <= now:
            self.now, call = self.waiting.pop(0)
            call()
        self.now = now


_FLOODS: list[tuple[str, Callable[[LogLines, int], object]]] = [
    ("ours", lambda lines, n: lines.logger.warning("x", destination="kana", delivery=n)),
    ("a library", lambda _, n: logging.getLogger("other").error("number %d", n)),
    ("a text of its own each time", lambda _, n: logging.getLogger("other").error(f"at {n}")),
    (
        "one with a destination",
        lambda _, n: logging.getLogger("o").error("at %d", n, extra={"destination": "kana"}),
    ),
    ("faults", lambda lines, _: lines.logger.error("x", exc_info=_fault())),
]


@pytest.mark.parametrize(("_name", "log"), _FLOODS, ids=[name for name, _ in _FLOODS])
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "until the process ends"])
def test_no_flood(
    stream: io.StringIO, _name: str, log: Callable[[LogLines, int], object], ends: bool
) -> None:
    """Ten lines a second of any kind, and numbers that add up to all of them."""
    clock = _Clock()
    numbers = iter(range(10_000))
    with LogLines(
        Masks([CANARY]),
        stream=stream,
        form="json",
        monotonic=lambda: clock.now,
        start_timer=clock.start,
    ) as lines:
        for second in range(3):
            for part in range(500):
                clock.pass_to(second + part / 500)
                log(lines, next(numbers))
        if ends:
            clock.pass_to(20)
            before = stream.getvalue()
    if ends:
        assert stream.getvalue() == before  # all was told already
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(found) == 31
    *shown, last = found
    told = len(shown) + sum(line.get("more_like_it", 0) for line in shown)
    left = 1_500 - told
    assert last["message"].startswith(f"{left:,} more like it: ")
    assert (last["level"], last["logger"]) == (shown[0]["level"], shown[0]["logger"])
    assert last.get("destination") == shown[0].get("destination")


def test_a_line_about_the_end_is_the_last(stream: io.StringIO) -> None:
    """What was left out is told before it, and nothing is told after it."""
    clock = _Clock()
    with LogLines(
        Masks([CANARY]),
        stream=stream,
        form="json",
        monotonic=lambda: clock.now,
        start_timer=clock.start,
    ) as lines:
        for _ in range(500):
            lines.logger.info("delivered")
        lines.end_bursts()
        lines.logger.info("stopped")
    found = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert found == [*["delivered"] * 10, "490 more like it: delivered", "stopped"]


def test_no_flood_hides_others(stream: io.StringIO) -> None:
    """Another message, destination or level has its own lines; few of a kind are all there."""
    with LogLines(Masks(), stream=stream, form="json", monotonic=lambda: 0.0) as lines:
        for _ in range(10):
            for name in ("one", "two"):
                lines.logger.info("a", destination=name)
                lines.logger.info("b", destination=name)
                lines.logger.error("b", destination=name)
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(found) == 60
    assert not any("more" in line["message"] or "more_like_it" in line for line in found)
